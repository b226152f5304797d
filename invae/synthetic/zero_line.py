"""Pixels on the zero line of an image."""

import numpy as np


def zero_line(polarization: np.ndarray) -> np.ndarray:
    """Pixels nearest to the sign changes of an image (y, x), bool."""
    on_line = np.zeros(polarization.shape, bool)
    for axis in (0, 1):
        image = np.moveaxis(polarization, axis, 0)
        line = np.moveaxis(on_line, axis, 0)
        before, after = image[:-1], image[1:]
        crosses = (before > 0) != (after > 0)
        nearer_before = np.abs(before) <= np.abs(after)
        line[:-1] |= crosses & nearer_before
        line[1:] |= crosses & ~nearer_before
    return on_line
