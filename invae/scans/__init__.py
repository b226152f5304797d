"""4D-STEM scans as stacks of patterns: bad pixels, bright-field disc, virtual images, centre of mass."""
