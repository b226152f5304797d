"""Networks that mark atoms in images and domain walls in PFM frames: training, weights, use."""
