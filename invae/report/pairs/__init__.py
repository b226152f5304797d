"""The report of pairs of image and spectrum."""
