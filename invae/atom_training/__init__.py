"""Training of the network that marks atoms, on simulated images of them."""
