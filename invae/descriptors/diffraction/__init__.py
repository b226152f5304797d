"""Diffraction patterns of a 4D-STEM scan: centring, averaging, resampling."""
