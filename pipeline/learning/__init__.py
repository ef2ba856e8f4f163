"""Training and scoring with torch: chips to tensors, losses, networks, confusion matrices."""
