"""Simulated recordings that are stored together with their ground truth."""
