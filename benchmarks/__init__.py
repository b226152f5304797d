"""Speed of the stages, compared with the limits of this machine."""
