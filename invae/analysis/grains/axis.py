"""The optic axis from pairs of opposite reflections, where the direct beam is blocked or saturated."""

import numpy as np
from scipy.ndimage import gaussian_filter

from invae.analysis.grains.discs import Discs

REACH = 4.0
"""Largest distance from the first axis [radius of a disc]."""
STEP = 0.1
"""Step of the grid of votes [px]."""
FEWEST = 8
"""Smallest number of votes at the maximum."""


def refined_axis(
    discs: list[Discs], axis: tuple[float, float], *, radius: float
) -> tuple[float, float]:
    """The position at which most pairs of discs have their middle; the first axis if few do.

    Args:
        discs: of the regions, relative to the first axis.
        axis: the first axis (y, x) [px].
        radius: of a disc [px].
    """
    middles = np.concatenate([_middles(one) for one in discs] or [np.zeros((0, 2))])
    reach = REACH * radius
    middles = middles[(np.abs(middles) < reach).all(1)]
    if not len(middles):
        return axis
    side = int(2 * reach / STEP) + 1
    edges = np.linspace(-reach, reach, side + 1)
    votes = np.histogram2d(middles[:, 0], middles[:, 1], bins=(edges, edges))[0]
    sd = 0.25
    smooth = gaussian_filter(votes, sd / STEP) * 2 * np.pi * (sd / STEP) ** 2
    if smooth.max() < FEWEST:
        return axis
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    peak = np.array([edges[row], edges[column]]) + STEP / 2
    near = np.hypot(*(middles - peak).T) < 3 * sd
    moved = np.median(middles[near], axis=0)
    return float(axis[0] + moved[0]), float(axis[1] + moved[1])


def _middles(discs: Discs) -> np.ndarray:
    """Middles of pairs of discs on opposite sides (pair, axis)."""
    first, second = np.triu_indices(len(discs.place), 1)
    a, b = discs.place[first], discs.place[second]
    lengths = np.hypot(*a.T), np.hypot(*b.T)
    opposite = (a * b).sum(1) < -0.9 * lengths[0] * lengths[1]
    return (a[opposite] + b[opposite]) / 2
