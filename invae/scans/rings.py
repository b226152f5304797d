"""The first ring of diffracted discs around the bright-field disc, in the mean pattern of a scan."""

import numpy as np

GAP = 1.2
"""Distance at which the gap between the bright-field disc and diffracted ones begins [disc radius]."""
APART = 1.5
"""Smallest distance of a ring of discs [disc radius]; discs that overlap have no ring."""
RISE = 1.3
"""Smallest ratio of the intensity of a ring to that of the gap before it."""
FAINTEST = 1e-3
"""Smallest intensity of a ring relative to that of the bright-field disc."""
SIGMAS = 5.0
"""Smallest rise of a ring above the gap, in units of its counting noise."""
COVERED = 0.5
"""Smallest part of a ring that is on the detector."""


def first_ring(
    mean: np.ndarray, *, valid: np.ndarray, centre: tuple[float, float], disc: float, n_patterns: int
) -> float | None:  # fmt: skip
    """Distance from the axis of the first ring of discs that lie apart from the bright-field disc [pixel]; none without one.

    Args:
        mean: mean pattern (k_y, k_x).
        valid: bool (k_y, k_x).
        centre: optic axis (k_y, k_x) [pixel].
        disc: radius of the bright-field disc [pixel].
        n_patterns: number of patterns in the mean.
    """
    profile, sizes = _profile(mean, valid, centre)
    if disc <= 0 or len(profile) <= GAP * disc:
        return None
    bright = float(np.nanmean(profile[: max(1, round(0.8 * disc))]))
    scatter = np.sqrt(np.maximum(profile, 0) / (n_patterns * np.maximum(sizes, 1)))
    lowest = np.inf
    for number in range(int(np.ceil(GAP * disc)), len(profile)):
        here = profile[number]
        lowest = min(lowest, here)
        rises = here > RISE * lowest and here - lowest > SIGMAS * scatter[number]
        if rises and here > FAINTEST * bright and number >= APART * disc:
            top = profile[number : number + 2 * int(np.ceil(disc)) + 1]
            return float(number + np.argmax(top))
    return None


def scattered_beyond(
    mean: np.ndarray, *, valid: np.ndarray, centre: tuple[float, float], disc: float, radius: float
) -> float:  # fmt: skip
    """Share of the intensity outside the bright-field disc that lies beyond a radius [pixel]."""
    y, x = np.indices(mean.shape)
    distance = np.hypot(y - centre[0], x - centre[1])
    outside = np.where(valid & (distance > GAP * disc), mean, 0.0)
    total = float(outside.sum())
    return float(outside[distance > radius].sum()) / total if total > 0 else 0.0


def _profile(
    mean: np.ndarray, valid: np.ndarray, centre: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over rings one pixel wide, and their numbers of pixels, up to the first ring that is half outside."""
    y, x = np.indices(mean.shape)
    ring = np.rint(np.hypot(y - centre[0], x - centre[1])).astype(int)[valid]
    sizes = np.bincount(ring)
    profile = np.bincount(ring, mean[valid]) / np.maximum(sizes, 1)
    whole = sizes >= COVERED * 2 * np.pi * (np.arange(len(sizes)) - 1)  # few pixels at the centre
    end = len(sizes) if whole.all() else int(np.argmin(whole))
    return profile[:end], sizes[:end]
