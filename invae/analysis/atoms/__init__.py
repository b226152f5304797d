"""Atoms in images and movies: outliers, tracks, what the report shows of them."""
