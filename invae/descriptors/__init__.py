"""Recordings to descriptors: Dataset or arrays in, the same out, one descriptor in each file."""
