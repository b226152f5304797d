"""Training on a set larger than memory, compared with training on the same set in memory."""
