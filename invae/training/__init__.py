"""Training: patches as seeded batches, held-out blocks, the one loop, checkpoints and saved models."""
