"""Patches and a trained model to the latents of every site."""
