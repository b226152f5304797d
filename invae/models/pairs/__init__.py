"""Models of an image and a spectrum of the same site."""
