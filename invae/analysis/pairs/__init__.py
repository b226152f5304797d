"""Pairs: held-out predictions beside baselines, reliability, maps, latent variables and the verdict."""
