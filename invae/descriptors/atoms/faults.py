"""Faults of an image that look like atoms: hot pixels, scan lines of another brightness, tops that are cut off."""

import numpy as np
import scipy.ndimage as ndi

OUTER = (0.005, 0.995)
"""Quantiles of the values between which an image is taken to lie."""
HOT = 2.0
"""Minimum rise of a hot pixel above the pixels around it, relative to that range."""
SHIFTED = 0.5
"""Minimum offset of a faulty line, relative to that range."""
SHARP = 0.2
"""Largest rise of the pixels or lines next to a fault, relative to its own: atoms reach over more than one pixel."""
FEW = 0.05
"""Largest fraction of faulty lines; more of them are a pattern of the sample."""
AROUND = 5
"""Side of the region, or number of lines, whose median is the surroundings of a pixel or a line."""

CUT_OFF = 0.002
"""Minimum fraction of the pixels at the largest value of an image whose tops are cut off."""
MORE = 2
"""Minimum number of pixels at the largest value, relative to those at the next one: without a cut, high values are rare."""


def mended(image: np.ndarray) -> np.ndarray:
    """The image (y, x) above its median, float64, without offsets of single lines, hot or dead pixels; 0 where it is NaN.

    The kernel of a truncated Laplacian does not add up to exactly 0, so that a large offset would hide the atoms.
    """
    known = np.isfinite(image)
    values = np.where(known, image, np.median(image[known])).astype(np.float64)
    bright = _without_hot_pixels(_without_line_offsets(values - np.median(values[known])))
    return -_without_hot_pixels(-bright)


def _without_line_offsets(image: np.ndarray) -> np.ndarray:
    line = np.median(image, axis=1)
    offset = line - ndi.median_filter(line, AROUND, mode="mirror")
    beside = np.maximum(np.abs(np.roll(offset, 1)), np.abs(np.roll(offset, -1)))
    faulty = (np.abs(offset) > SHIFTED * _range(image)) & (beside < SHARP * np.abs(offset))
    if not faulty.any() or faulty.mean() > FEW:
        return image
    return image - np.where(faulty, offset, 0)[:, None]


def _without_hot_pixels(image: np.ndarray) -> np.ndarray:
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    # the local median costs more than the rest and is needed only where a pixel is this far up
    if np.ptp(image) <= HOT * _range(image):
        return image
    ground = ndi.median_filter(image, AROUND, mode="mirror")
    rise = image - ground
    beside = ndi.maximum_filter(image, footprint=around, mode="mirror") - ground
    hot = (rise > HOT * _range(image)) & (beside < SHARP * rise)
    return np.where(hot, ground, image)


def _range(image: np.ndarray) -> float:
    low, high = np.quantile(image, OUTER)
    return float(high - low)


def cut_off(image: np.ndarray) -> np.ndarray:
    """Mask (y, x) of the pixels at the largest value, if the detector or the file cuts values off there."""
    top = image == image.max()
    if top.mean() < CUT_OFF or top.all():
        return np.zeros(image.shape, bool)
    below = image == image[~top].max()
    return top if top.sum() > MORE * below.sum() else np.zeros(image.shape, bool)
