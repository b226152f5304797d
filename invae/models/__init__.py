"""Models: a patch gives a posterior over named latents, and latents give a likelihood of patches."""
