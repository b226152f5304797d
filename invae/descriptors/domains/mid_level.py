"""The level half way between the two domains, at which a blurred wall lies, and the noise of a frame."""

import numpy as np
import scipy.ndimage as ndi

REACH = 5
"""Distance within which both sides of a wall reach their level [px]."""
LEAST_LEVEL = 0.6
"""Least size of both levels, relative to a typical domain: the edges of lamellae have a weak side."""
LEAST_PIXELS = 60
"""Fewer pixels beside walls give no level: it is zero."""
LARGEST = 0.3
"""The mid-level is at most so far from zero, relative to a typical domain."""
LOCAL_SD = 12.0
"""Sd of the Gaussian mean of levels along walls [px]."""
FRAME_WEIGHT = 3.0
"""Weight of the frame's own level, in walls through the Gaussian."""
N_ROUNDS = 2
LAPLACIAN = np.outer((1, -2, 1), (1, -2, 1)) / 6.0
"""Has the variance of the noise, and no response to planes."""


def mid_level(field: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Half the sum of the levels on both sides of the nearest walls, float32 (y, x).

    A wall that the tip blurs, or that the noise filter smooths, crosses this level at its place, whatever background or
    asymmetry is there; the zero line lies beside it. Levels are the largest and the smallest value near a wall. The median over
    the walls of the frame is used where there is no wall near, and zero if the frame has next to none.

    Args:
        field: smoothed signed polarization (y, x), domains near ±1; NaN where unknown.
        valid: bool (y, x).
    """
    known = np.nan_to_num(field)
    size = 2 * REACH + 1
    upper, lower = ndi.maximum_filter(known, size), ndi.minimum_filter(known, size)
    half = (upper + lower) / 2
    two_sided = valid & (upper > LEAST_LEVEL) & (lower < -LEAST_LEVEL)
    level = np.zeros(field.shape, np.float32)
    for _ in range(N_ROUNDS):
        level = _along(half, two_sided & sign_changes(known - level))
    return level


def _along(half: np.ndarray, on_wall: np.ndarray) -> np.ndarray:
    """Local means of the levels of walls, drawn to that of the frame where walls are few."""
    if on_wall.sum() < LEAST_PIXELS:
        return np.zeros(half.shape, np.float32)
    frame = float(np.clip(np.median(half[on_wall]), -LARGEST, LARGEST))
    one_wall = 2 / (np.sqrt(2 * np.pi) * LOCAL_SD)  # a wall has pixels on both sides
    weight = ndi.gaussian_filter(on_wall.astype(np.float32), LOCAL_SD, mode="nearest") / one_wall
    excess = np.where(on_wall, half - frame, 0).astype(np.float32)
    total = ndi.gaussian_filter(excess, LOCAL_SD, mode="nearest") / one_wall
    return (frame + total / (weight + FRAME_WEIGHT)).astype(np.float32)


def sign_changes(field: np.ndarray) -> np.ndarray:
    """Pixels with another sign than one of their four neighbours, bool (y, x)."""
    up = field > 0
    changes = np.zeros(field.shape, bool)
    for axis in (0, 1):
        differs = np.diff(up, axis=axis)
        before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        before[axis], after[axis] = (0, 1), (1, 0)
        changes |= np.pad(differs, before) | np.pad(differs, after)
    return changes


def noise_of(polarization: np.ndarray, valid: np.ndarray) -> float:
    """Sd of the white noise, in the unit of the polarization; 0 if no pixel has valid neighbours.

    Source: Immerkær 1996, doi:10.1006/cviu.1996.0060, with the median of absolute values instead of their mean.
    """
    inside = np.asarray(ndi.binary_erosion(valid, np.ones((3, 3))), bool)
    if not inside.any():
        return 0.0
    response = ndi.convolve(np.where(valid, polarization, 0), LAPLACIAN, mode="nearest")
    return float(1.4826 * np.median(np.abs(response[inside])))
