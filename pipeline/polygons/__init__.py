"""Class maps as polygons: patches, borders, areas, GeoPackage."""
