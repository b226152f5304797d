"""Speed and memory on 4D-STEM scans, as ratios to copying memory or a file in the same run, and beside LiberTEM and py4DSTEM."""
