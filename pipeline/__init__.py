"""A reproducible pipeline from land-cover archives to a scored segmentation model."""
