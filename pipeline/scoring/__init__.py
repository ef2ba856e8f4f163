"""Scores from counts of pixels, how sure they are, and whether two differ."""
