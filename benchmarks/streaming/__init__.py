"""Training on a set larger than memory, beside training on the same set in memory."""
