"""Public autoencoders run beside ours, each in an environment of its own, on the same arrays."""
