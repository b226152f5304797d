"""Pairs: every spectrum with the patch of the image about its place."""
