"""Orthophotos, cut into chips."""
