"""Formats that training reads: class tables, chips folders, splits, PNG; and the datasets as data."""
