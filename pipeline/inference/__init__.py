"""A trained model applied to whole scenes."""
