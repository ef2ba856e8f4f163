"""The sources of raw data."""
