"""What training reads: class table, chips folder, datasets, PNG."""
