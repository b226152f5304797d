"""Refined poses: a search for the pose of every patch."""
