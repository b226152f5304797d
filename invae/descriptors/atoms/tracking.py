"""The same atom in the frames of a movie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from invae.config.atoms import LinkConfig

NEIGHBOUR_SHARE = 1 / 3
"""Of the distance of neighbours: farther, an atom might as well be its neighbour."""
OFFSET = 1e-6
"""Added to squared distances [px²], because a sparse cost of zero means no edge."""


@dataclass(frozen=True)
class Links:
    """Which atoms are the same, and how all moved together."""

    track: np.ndarray
    """Number of every atom (atom,), frame after frame, counted from 0."""
    drift: np.ndarray
    """Place of each frame on the sample relative to the first (frame, 2), (y, x) [px]: what (y, x) of a frame is
    moved by to lie in the first."""


@dataclass(frozen=True)
class Seen:
    """Atoms that may come again, where they would be now."""

    position: np.ndarray
    track: np.ndarray
    age: np.ndarray
    """Frames since they were seen."""


def link(frames: Sequence[np.ndarray], *, config: LinkConfig) -> Links:
    """The same atoms in the frames of a movie.

    Every frame is matched as a whole with the tracks seen last at most `gap` frames ago: the sum of
    squared distances is the least possible, an atom left alone costing the radius squared. What
    all atoms share is drift and costs nothing; it must stay below half of a neighbour's distance.

    Args:
        frames: positions (atom, 2), (y, x) [px] of each frame.
        config: radius and gap.
    """
    seen = Seen(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0, int))
    tracks, drift, n_tracks = [], np.zeros((len(frames), 2)), 0
    for number, positions in enumerate(frames):
        step = _drift(seen.position[seen.age == 0], positions)
        drift[number] = drift[max(number - 1, 0)] - step
        seen = Seen(seen.position + step, seen.track, seen.age)
        track, left = _follow(seen, positions, config=config)
        new = np.flatnonzero(track < 0)
        track[new] = n_tracks + np.arange(len(new))
        n_tracks += len(new)
        tracks.append(track)
        seen = Seen(
            np.concatenate([positions, seen.position[left]]),
            np.concatenate([track, seen.track[left]]),
            np.concatenate([np.zeros(len(positions), int), seen.age[left] + 1]),
        )
    return Links(np.concatenate(tracks) if tracks else np.zeros(0, int), drift)


def _follow(
    seen: Seen, positions: np.ndarray, *, config: LinkConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Track of every atom of a frame (atom,), −1 for new ones; and which of those seen may still come again."""
    track = np.full(len(positions), -1)
    before = np.zeros(0, int)
    if len(seen.position) and len(positions):
        radius = config.radius or _radius(positions)
        before, after = match(seen.position, positions, radius=radius)
        track[after] = seen.track[before]
    left = np.setdiff1d(np.arange(len(seen.position)), before)
    return track, left[seen.age[left] < config.gap]


def match(before: np.ndarray, after: np.ndarray, *, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of pairs within the radius, each point used once, the sum of squared distances and of
    radius² for each point left alone being the least.
    """
    near = KDTree(before).sparse_distance_matrix(KDTree(after), radius, output_type="coo_matrix")
    rows, columns, cost = near.row, near.col, near.data**2 + OFFSET
    # every point before may also stay alone, in a column of its own
    own = np.arange(len(before))
    rows = np.concatenate([rows, own])
    columns = np.concatenate([columns, len(after) + own])
    cost = np.concatenate([cost, np.full(len(before), radius**2 + 2 * OFFSET)])
    graph = coo_array((cost, (rows, columns)), shape=(len(before), len(after) + len(before)))
    row, column = min_weight_full_bipartite_matching(graph.tocsr())
    paired = column < len(after)
    return row[paired], column[paired]


def _drift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far the frame moved (2,) [px]: the median step to the nearest atom."""
    if not len(before) or not len(after):
        return np.zeros(2)
    _, nearest = KDTree(after).query(before)
    return np.median(after[nearest] - before, axis=0)


def _radius(positions: np.ndarray) -> float:
    """A share of the usual distance of neighbours; one pixel if there are none."""
    if len(positions) < 2:
        return 1.0
    distance, _ = KDTree(positions).query(positions, k=2)
    return NEIGHBOUR_SHARE * float(np.median(distance[:, 1]))
