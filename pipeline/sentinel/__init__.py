"""Sentinel-2 items: bands, clouds, date selection."""
