"""Scores from pixel counts."""
