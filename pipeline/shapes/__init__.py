"""Polygons of vector files, and their place on the pixel grid of an image."""
