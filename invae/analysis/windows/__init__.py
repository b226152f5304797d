"""Windows on a square grid: the values of the sites as images."""
