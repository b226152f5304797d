"""Spectra: maps of latents over their grid, and the spectra that cannot be used."""
