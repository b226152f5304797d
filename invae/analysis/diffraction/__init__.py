"""4D-STEM scans: maps of latents and of surprise."""
