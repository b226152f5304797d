"""Training: seeded batches, held-out sites, the training loop, checkpoints, saved models."""
