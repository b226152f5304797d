"""Figures of 4D-STEM scans."""
