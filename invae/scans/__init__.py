"""4D-STEM scans as stacks of patterns: the detector's faults, the bright-field disc, virtual images, deflection."""
