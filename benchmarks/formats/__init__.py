"""What invae reads of a file, compared with what other programs read of the same file."""
