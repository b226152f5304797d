"""Attacks that once made everything stand still, and the time until the rest goes on."""
