"""Split chips into train, val and test, and report the composition and the leak of the parts."""
