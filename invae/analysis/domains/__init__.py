"""Ferroelectric domains: descriptors of sites, motion and directions of walls."""
