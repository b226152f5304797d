"""Speed and memory for 4D-STEM scans, as ratios to copying memory or a file in the same run, compared with LiberTEM and py4DSTEM."""
