"""Bring the images and labels of a folder, as people have them, into the layout of LandCover.ai."""
