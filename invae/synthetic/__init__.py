"""Simulated recordings whose true answers are stored with the data."""
