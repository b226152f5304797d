"""Models: a patch becomes a posterior over named latents, and named latents a likelihood of patches."""
