"""Windows on a square grid over the frames of an image or movie."""
