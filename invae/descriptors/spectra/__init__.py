"""Spectra: which of them can be used, and their noise."""
