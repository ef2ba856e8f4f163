"""Class maps as polygons."""
