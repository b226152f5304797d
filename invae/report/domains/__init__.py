"""Figures of domains and their walls."""
