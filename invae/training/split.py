"""Held-out sites: whole blocks of space and time, whose patches no training patch overlaps."""

import math
from dataclasses import dataclass

import numpy as np

BLOCK_WINDOWS = 2.0
"""Side of a block in units of the window: smaller blocks lose too many neighbours, larger blocks are too few."""
INTERVALS = 4
"""Most intervals into which a series is cut."""
LEAST_TRAINED = 0.4
"""Least share of the sites that remains for training."""


@dataclass(frozen=True)
class Split:
    """Training sites and held-out sites; sites that overlap held-out ones are in neither."""

    training: np.ndarray
    held_out: np.ndarray


@dataclass(frozen=True)
class Places:
    """Positions of patches, and their extent."""

    frame: np.ndarray
    y: np.ndarray
    """[pixel]"""
    x: np.ndarray
    """[pixel]"""
    window: float
    """Side of a patch [pixel]."""
    n_frames: int = 1
    """Frames covered by one patch: 1, or the span of its delays."""


def split_sites(n_sites: int, *, share: float, seed: int) -> Split:
    """Hold out single random sites; for patches without places."""
    order = np.random.default_rng([seed, 1]).permutation(n_sites)
    n_held_out = int(share * n_sites)
    return Split(np.sort(order[n_held_out:]), np.sort(order[:n_held_out]))


def split_blocks(places: Places, *, share: float, seed: int) -> Split:
    """Hold out random blocks (frames × y × x), and leave out training sites that overlap them.

    Blocks are taken until they hold `share` of the sites. A recording that is too small for that has fewer held-out sites, or none.
    """
    block = _blocks(places)
    everything = np.arange(len(block))
    held_out = np.zeros(len(block), bool)
    order = np.random.default_rng([seed, 1]).permutation(np.unique(block))
    near = held_out
    for chosen in order:
        if held_out.sum() >= share * len(block):
            break
        trial = held_out | (block == chosen)
        touched = overlapping(places, trial)
        if (~touched).sum() >= LEAST_TRAINED * len(block):
            held_out, near = trial, touched
    return Split(everything[~near], everything[held_out])


def _blocks(places: Places) -> np.ndarray:
    """Number of every site's block."""
    frame = np.asarray(places.frame, np.int64)
    span = int(frame.max() - frame.min()) + 1
    interval = max(math.ceil(span / INTERVALS), 2 * places.n_frames)
    side = BLOCK_WINDOWS * places.window
    parts = [(frame - frame.min()) // interval]
    for along in (places.y, places.x):
        start, extent = along.min(), np.ptp(along) + 1e-9
        n_blocks = max(1, round(extent / side))
        parts.append(np.minimum((along - start) / extent * n_blocks, n_blocks - 1).astype(int))
    return np.unique(np.stack(parts, axis=1), axis=0, return_inverse=True)[1].ravel()


def overlapping(places: Places, held_out: np.ndarray) -> np.ndarray:
    """Sites whose patch shares a pixel of a frame with a held-out patch, and the held-out sites."""
    from scipy.spatial import KDTree

    scaled = np.stack(
        (
            places.frame / places.n_frames,
            places.y / places.window,
            places.x / places.window,
        ),
        axis=1,
    )
    distance, _ = KDTree(scaled[held_out]).query(scaled, p=math.inf, distance_upper_bound=1.0)
    return distance < 1


def thin(sites: np.ndarray, most: int | None) -> np.ndarray:
    """At most `most` sites, evenly spread over the recording."""
    if most is None or len(sites) <= most:
        return sites
    return sites[np.linspace(0, len(sites) - 1, most).round().astype(int)]
