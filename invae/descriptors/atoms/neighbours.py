"""Nearest neighbours of atoms; the displacement of an atom from their mean position, and its height relative to theirs."""

import numpy as np
from scipy.spatial import KDTree

COUNTS = (3, 4, 6)
"""Numbers of nearest neighbours in plane lattices: honeycomb, square, hexagonal."""
WIDEST = 1.75
"""Largest angle between consecutive neighbours, relative to an even spread; beyond it one is missing."""
FARTHEST = 1.35
"""Largest distance of a neighbour, relative to the median of the frame; beyond it one is missing."""


def shells(places: np.ndarray, *, count: int | None = None) -> np.ndarray:
    """The nearest neighbours (atom, neighbour) of every atom; all −1 if one of them is missing.

    Args:
        places: positions of the atoms of a frame (atom, 2), in the same unit along both axes.
        count: number of neighbours; from the distances when empty.
    """
    if len(places) <= COUNTS[-1] + 1:
        return np.full((len(places), count or COUNTS[0]), -1)
    distance, near = (
        np.asarray(part) for part in KDTree(places).query(places, k=max(COUNTS[-1], count or 0) + 2)
    )
    n_near = count or _count_of(distance[:, 1:])
    kept = near[:, 1 : n_near + 1]
    around = places[kept] - places[:, None]
    bearing = np.sort(np.arctan2(around[..., 0], around[..., 1]), axis=1)
    gaps = np.diff(bearing, axis=1, append=bearing[:, :1] + 2 * np.pi)
    complete = gaps.max(axis=1) <= WIDEST * 2 * np.pi / n_near
    complete &= distance[:, n_near] <= FARTHEST * np.median(distance[:, 1 : n_near + 1])
    return np.where(complete[:, None], kept, -1)


def displacements(places: np.ndarray, shell: np.ndarray) -> np.ndarray:
    """Displacement of every atom from the mean position of its neighbours (atom, 2), in the unit of the positions; NaN if one is
    missing.

    In a perovskite along an axis this is the polar displacement of the inner sublattice against the cage of the outer
    sublattice, and for the outer sublattice its opposite, averaged over four atoms. The definition is our own.

    Args:
        places: positions of the atoms of a frame (atom, 2).
        shell: their neighbours, from `shells`.
    """
    apart = places - places[shell].mean(axis=1) if len(places) else places.astype(float)
    return np.where(shell[:, :1] >= 0, apart, np.nan)


def contrasts(height: np.ndarray, shell: np.ndarray) -> np.ndarray:
    """Ratio of the height of every atom to the mean height of its neighbours (atom,); NaN if one is missing."""
    if not len(height):
        return height.astype(float)
    around = height[shell].mean(axis=1)
    defined = (shell[:, 0] >= 0) & (around > 0)
    return np.where(defined, height / np.where(defined, around, 1), np.nan)


def _count_of(distance: np.ndarray) -> int:
    """Number of neighbours: the ratio of the next distance to theirs is the largest.

    Args:
        distance: distances of the nearest atoms in ascending order (atom, neighbour).
    """
    typical = np.median(distance, axis=0)
    return max(COUNTS, key=lambda n: typical[n] / typical[n - 1])
