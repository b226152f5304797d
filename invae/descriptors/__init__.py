"""The describe stage: from recordings to patches and descriptors."""
