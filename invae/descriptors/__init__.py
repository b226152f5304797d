"""Recordings to patches and descriptors: where to look, what to cut out, what to measure there."""
