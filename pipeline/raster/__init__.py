"""GeoTIFF, labels, imagery, and the layout of a raw folder."""
