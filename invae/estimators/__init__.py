"""The library interface: `InvariantVAE`, `Ensemble`, a guide to the number of classes."""
