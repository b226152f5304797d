"""Embedding to answers: classes, manifolds, maps, switching and pinning."""
