"""Latents to answers: classes, manifolds, maps, outliers, switching and pinning."""
