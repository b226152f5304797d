"""Atoms within the nearest ones around them: how far from the middle of these, and how bright beside them."""

import numpy as np
from scipy.spatial import KDTree

COUNTS = (3, 4, 6)
"""Nearest neighbours that an atom of a plane lattice has: honeycomb, square, hexagonal."""
WIDEST = 1.75
"""Angle between two of them that follow each other, over that of an even spread, beyond which one is missing."""
FARTHEST = 1.35
"""Distance of the farthest over the usual nearest distance of the frame, beyond which one is missing."""


def shells(places: np.ndarray, *, count: int | None = None) -> np.ndarray:
    """The nearest neighbours (atom, neighbour) of every atom; −1 throughout where one of them is missing.

    Args:
        places: of the atoms of a frame (atom, 2), in units alike along both axes.
        count: how many there are; what parts the near ones from the next best when empty.
    """
    if len(places) <= COUNTS[-1] + 1:
        return np.full((len(places), count or COUNTS[0]), -1)
    distance, near = (
        np.asarray(part) for part in KDTree(places).query(places, k=max(COUNTS[-1], count or 0) + 2)
    )
    n_near = count or _parted(distance[:, 1:])
    kept = near[:, 1 : n_near + 1]
    around = places[kept] - places[:, None]
    bearing = np.sort(np.arctan2(around[..., 0], around[..., 1]), axis=1)
    gaps = np.diff(bearing, axis=1, append=bearing[:, :1] + 2 * np.pi)
    whole = gaps.max(axis=1) <= WIDEST * 2 * np.pi / n_near
    whole &= distance[:, n_near] <= FARTHEST * np.median(distance[:, 1 : n_near + 1])
    return np.where(whole[:, None], kept, -1)


def displacements(places: np.ndarray, shell: np.ndarray) -> np.ndarray:
    """How far every atom lies from the middle of its neighbours (atom, 2), in the places' unit; NaN where one is missing.

    In a perovskite seen along an axis this is the polar displacement of the inner kind of atom against the cage of the
    outer kind, and its opposite, averaged over four, for the outer kind. A definition of ours.

    Args:
        places: of the atoms of a frame (atom, 2).
        shell: their neighbours, from `shells`.
    """
    apart = places - places[shell].mean(axis=1) if len(places) else places.astype(float)
    return np.where(shell[:, :1] >= 0, apart, np.nan)


def contrasts(height: np.ndarray, shell: np.ndarray) -> np.ndarray:
    """Height of every atom over the mean of its neighbours' (atom,); NaN where one is missing."""
    if not len(height):
        return height.astype(float)
    around = height[shell].mean(axis=1)
    known = (shell[:, 0] >= 0) & (around > 0)
    return np.where(known, height / np.where(known, around, 1), np.nan)


def _parted(distance: np.ndarray) -> int:
    """How many neighbours there are: the next one is farther away than they, by the largest ratio.

    Args:
        distance: of the nearest atoms, the nearest first (atom, neighbour).
    """
    usual = np.median(distance, axis=0)
    return max(COUNTS, key=lambda n: usual[n] / usual[n - 1])
