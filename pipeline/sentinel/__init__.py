"""Sentinel-2 items, their bands and clouds, and which dates are kept."""
