"""What the sides of `benchmarks.train` have in common; imports nothing that torchgeo's environment may lack."""

ENCODER = "resnet18"
WARM_UP = 3
"""Steps before the clock starts."""
