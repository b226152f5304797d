"""Figures of spectra: curves, maps over the grid, and the spectra that cannot be used."""
