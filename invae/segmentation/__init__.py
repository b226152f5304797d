"""The network that finds atoms in images: training, weights, use."""
