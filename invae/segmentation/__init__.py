"""Where atoms are, by a network."""
