"""Predicting spectra from images without a network: invariant features, a Gaussian process, baselines, scores."""
