"""Poses, polar grids and distributions of angles."""
