"""What others need to use a trained network."""
