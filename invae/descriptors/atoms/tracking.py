"""Tracks of atoms through the frames of a movie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from invae.config.atoms import LinkConfig

NEIGHBOUR_SHARE = 1 / 3
"""Largest step, relative to the distance of neighbours; beyond it an atom may be confused with its neighbour."""
OFFSET = 1e-6
"""Added to squared distances [px²], because a sparse cost of zero means no edge."""


@dataclass(frozen=True)
class Links:
    """Tracks of atoms, and their common drift."""

    track: np.ndarray
    """Number of the track of every atom (atom,), frame after frame, counted from 0."""
    drift: np.ndarray
    """Position of each frame on the sample relative to the first (frame, 2), (y, x) [px]: added to (y, x) of a frame it gives
    coordinates of the first."""


@dataclass(frozen=True)
class Candidates:
    """Atoms of earlier frames that may reappear, at their positions in the current frame."""

    position: np.ndarray
    track: np.ndarray
    age: np.ndarray
    """Number of frames since the last detection."""


def link(frames: Sequence[np.ndarray], *, config: LinkConfig) -> Links:
    """Link the atoms in the frames of a movie into tracks.

    Every frame is matched as a whole with the tracks detected at most `gap` frames ago. The matching minimises the sum of
    squared distances, where an unmatched atom costs the radius squared. Common motion of all atoms is drift and costs
    nothing; it must be less than half the distance of neighbours.

    Args:
        frames: positions (atom, 2), (y, x) [px] of each frame.
        config: radius and gap.
    """
    candidates = Candidates(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0, int))
    tracks, drift, n_tracks = [], np.zeros((len(frames), 2)), 0
    for number, positions in enumerate(frames):
        step = _drift(candidates.position[candidates.age == 0], positions)
        drift[number] = drift[max(number - 1, 0)] - step
        candidates = Candidates(candidates.position + step, candidates.track, candidates.age)
        track, remaining = _assign(candidates, positions, config=config)
        new = np.flatnonzero(track < 0)
        track[new] = n_tracks + np.arange(len(new))
        n_tracks += len(new)
        tracks.append(track)
        candidates = Candidates(
            np.concatenate([positions, candidates.position[remaining]]),
            np.concatenate([track, candidates.track[remaining]]),
            np.concatenate([np.zeros(len(positions), int), candidates.age[remaining] + 1]),
        )
    return Links(np.concatenate(tracks) if tracks else np.zeros(0, int), drift)


def _assign(
    candidates: Candidates, positions: np.ndarray, *, config: LinkConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Track of every atom of a frame (atom,), −1 for new atoms, and indices of the candidates that remain."""
    track = np.full(len(positions), -1)
    before = np.zeros(0, int)
    if len(candidates.position) and len(positions):
        radius = config.radius or _radius(positions)
        before, after = match(candidates.position, positions, radius=radius)
        track[after] = candidates.track[before]
    remaining = np.setdiff1d(np.arange(len(candidates.position)), before)
    return track, remaining[candidates.age[remaining] < config.gap]


def match(before: np.ndarray, after: np.ndarray, *, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of pairs within the radius, each point used at most once. The sum of squared distances, and of radius² for each
    unmatched point, is minimal.
    """
    near = KDTree(before).sparse_distance_matrix(KDTree(after), radius, output_type="coo_matrix")
    rows, columns, cost = near.row, near.col, near.data**2 + OFFSET
    # every point of `before` may also stay unmatched, in a column of its own
    own = np.arange(len(before))
    rows = np.concatenate([rows, own])
    columns = np.concatenate([columns, len(after) + own])
    cost = np.concatenate([cost, np.full(len(before), radius**2 + 2 * OFFSET)])
    graph = coo_array((cost, (rows, columns)), shape=(len(before), len(after) + len(before)))
    row, column = min_weight_full_bipartite_matching(graph.tocsr())
    paired = column < len(after)
    return row[paired], column[paired]


def _drift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Motion of the frame (2,) [px]: the median step to the nearest atom."""
    if not len(before) or not len(after):
        return np.zeros(2)
    _, nearest = KDTree(after).query(before)
    return np.median(after[nearest] - before, axis=0)


def _radius(positions: np.ndarray) -> float:
    """A share of the median distance of neighbours; one pixel without neighbours."""
    if len(positions) < 2:
        return 1.0
    distance, _ = KDTree(positions).query(positions, k=2)
    return NEIGHBOUR_SHARE * float(np.median(distance[:, 1]))
