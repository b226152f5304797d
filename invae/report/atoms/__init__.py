"""Figures of atoms in images and movies."""
