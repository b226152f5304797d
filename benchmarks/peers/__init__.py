"""Public autoencoders for comparison, each in an environment of its own, on the same arrays."""
