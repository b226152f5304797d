"""Where atoms are, by a network trained on simulated images."""
