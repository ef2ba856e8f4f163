"""The study's tables and figures as grids of experiments."""
