"""Zarr stores in folders or object stores: layout, blocks, atomic publishing, provenance."""
