"""Folds: every pair is held out once, together with all that it must not be predicted from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invae.training.split import Places, Split, overlapping

BLOCKS_PER_FOLD = 3
"""Blocks of space in a fold, so that a fold is not one corner."""
LEAST_TRAINED = 0.3
"""Least share of the sites that remains for training."""


@dataclass(frozen=True)
class Folds:
    """Splits whose held-out parts cover all sites once."""

    splits: Sequence[Split]
    by: str
    """What is held out together: "specimen", "block" or "site" (single sites, which leaks where patches overlap)."""

    @property
    def leaks(self) -> bool:
        """Whether held-out sites may overlap with training sites."""
        return self.by == "site"


def folds_of(
    n_sites: int,
    *,
    n_folds: int,
    seed: int,
    specimen: np.ndarray | None = None,
    places: Places | None = None,
) -> Folds:
    """Folds by specimen if there are several, else by blocks of space, else by single sites.

    Args:
        n_sites: Number of sites.
        n_folds: At most; there are no more folds than specimens.
        seed: Of the order.
        specimen: Of every site.
        places: Of the patches; training sites whose patch overlaps with a held-out one are left out.
    """
    rng = np.random.default_rng([seed, 12])
    everything = np.arange(n_sites)
    if specimen is not None and len(np.unique(specimen)) > 1:
        group = _balanced(specimen, n_folds, rng)
        splits = [Split(everything[group != k], everything[group == k]) for k in np.unique(group)]
        return Folds(splits, "specimen")
    if places is not None:
        splits = _blocks(places, n_folds, rng)
        if len(splits) > 1:
            return Folds(splits, "block")
    parts = np.array_split(rng.permutation(n_sites), min(n_folds, n_sites))
    return Folds([Split(np.setdiff1d(everything, p), np.sort(p)) for p in parts], "site")


def _balanced(specimen: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of every site: whole specimens, the largest first into the fold with the fewest sites."""
    names, inverse, count = np.unique(specimen, return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    order = order[np.argsort(-count[order], kind="stable")]
    filled = np.zeros(min(n_folds, len(names)), int)
    fold = np.empty(len(names), int)
    for name in order:
        fold[name] = filled.argmin()
        filled[fold[name]] += count[name]
    return fold[inverse]


def _blocks(places: Places, n_folds: int, rng: np.random.Generator) -> list[Split]:
    """Several squares of space per fold; where they leave too little for training, one larger rectangle per fold; else none.

    A field of 24 px with windows of 7 px has 16 squares: two in its middle overlap with nearly everything. Its four quarters do not.
    """
    y, x = (np.asarray(v, float) for v in (places.y, places.x))
    extent = max(np.ptp(y), 1e-9) * max(np.ptp(x), 1e-9)
    side = max((extent / (BLOCKS_PER_FOLD * n_folds)) ** 0.5, places.window)
    cell = np.stack((places.frame, (y - y.min()) // side, (x - x.min()) // side), axis=1)
    return _dealt(cell, places, n_folds, rng) or _dealt(
        _rectangles(places, n_folds), places, n_folds, rng
    )


def _rectangles(places: Places, n_folds: int) -> np.ndarray:
    """Frame, row and column of the rectangle of every site; at most `n_folds` in a frame, about square."""
    extent = [max(float(np.ptp(v)), 1e-9) for v in (places.y, places.x)]
    side = (extent[0] * extent[1] / n_folds) ** 0.5
    shape = [min(max(int(length / side + 1e-6), 1), n_folds) for length in extent]
    cell = [
        np.minimum((v - np.min(v)) / length * n, n - 1).astype(int)
        for v, length, n in zip((places.y, places.x), extent, shape, strict=True)
    ]
    return np.stack((places.frame, *cell), axis=1)


def _dealt(cell: np.ndarray, places: Places, n_folds: int, rng: np.random.Generator) -> list[Split]:
    """Splits that hold out whole cells (site, 3); none if one keeps too little for training."""
    _, block = np.unique(cell.astype(np.int64), axis=0, return_inverse=True)
    block = block.ravel()
    fold = rng.permutation(block.max() + 1) % n_folds
    splits = []
    for k in range(n_folds):
        mask = fold[block] == k
        if mask.any() and not mask.all():
            splits.append(Split(np.flatnonzero(~overlapping(places, mask)), np.flatnonzero(mask)))
    enough = all(len(s.training) >= LEAST_TRAINED * len(block) for s in splits)
    return splits if enough else []
