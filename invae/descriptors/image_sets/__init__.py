"""Sets of images: every frame is a patch, with its annotations."""
