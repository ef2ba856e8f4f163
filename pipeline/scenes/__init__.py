"""Scenes of any size: files, mosaics, parts of them, other pixel sizes."""
