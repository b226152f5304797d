"""Latents to answers: classes, manifolds, maps, outliers, wall motion."""
