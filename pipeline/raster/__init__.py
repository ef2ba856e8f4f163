"""Pixels and geometry: GeoTIFF and PNG from and to arrays. The only importer of rasterio, Pillow and OpenCV."""
