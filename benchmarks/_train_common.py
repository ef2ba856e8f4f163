"""Shared constants of `benchmarks.train`; imports nothing, since torchgeo's environment differs."""

ENCODER = "resnet18"
WARM_UP = 3
"""Steps before timing starts."""
