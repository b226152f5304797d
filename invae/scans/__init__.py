"""4D-STEM scans as stacks of patterns: faulty pixels, bright-field disc, virtual images, centre of mass."""
