"""Folds: every pair is held out once, together with all that it must not be predicted from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invae.training.split import Places, Split, overlapping

BLOCKS_PER_FOLD = 3
"""Blocks of space in a fold, so that a fold is not one corner."""


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
    """Squares of space, dealt out to the folds; splits that keep too little for training are left out."""
    n_blocks = BLOCKS_PER_FOLD * n_folds
    y, x = (np.asarray(v, float) for v in (places.y, places.x))
    extent = max(np.ptp(y), 1e-9) * max(np.ptp(x), 1e-9)
    side = max((extent / n_blocks) ** 0.5, places.window)
    cell = np.stack((places.frame, (y - y.min()) // side, (x - x.min()) // side), axis=1).astype(
        np.int64
    )
    _, block = np.unique(cell, axis=0, return_inverse=True)
    block = block.ravel()
    fold = rng.permutation(block.max() + 1) % n_folds
    held = [np.flatnonzero(fold[block] == k) for k in range(n_folds)]
    splits = []
    for sites in held:
        mask = np.zeros(len(y), bool)
        mask[sites] = True
        if 0 < len(sites) < len(y):
            splits.append(Split(np.flatnonzero(~overlapping(places, mask)), sites))
    enough = all(len(s.training) >= 0.3 * len(y) for s in splits)
    return splits if enough else []
