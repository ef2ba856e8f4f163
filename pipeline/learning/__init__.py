"""Training with torch: datasets, augmentation, losses, networks, the training loop, distributed runs, checkpoints."""
