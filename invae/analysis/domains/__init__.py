"""Ferroelectric domains: switching, pinning, directions of walls."""
