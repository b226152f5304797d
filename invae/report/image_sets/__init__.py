"""The report of a set of images."""
