"""Grains: connected regions of one phase and orientation."""

from collections.abc import Iterable

import numpy as np

from invae.analysis.grains.regions import Labels


def folded(angle: np.ndarray | float, n_fold: np.ndarray | int) -> np.ndarray:
    """Angle in ±half a turn of the symmetry [rad]."""
    period = 2 * np.pi / np.asarray(n_fold)
    return np.mod(np.asarray(angle) + period / 2, period) - period / 2


def connected(regions: Labels, pairs: Iterable[tuple[int, int]]) -> Labels:
    """The grain of every probe, numbered from 0: regions that are connected by pairs.

    Args:
        regions: of the scan.
        pairs: of regions within a grain.
    """
    parent = np.arange(int(regions.max()) + 1)

    def root(region: int) -> int:
        while parent[region] != region:
            region = parent[region]
        return region

    for first, second in pairs:
        parent[max(root(first), root(second))] = min(root(first), root(second))
    roots = np.array([root(region) for region in range(len(parent))])
    return np.unique(roots[regions], return_inverse=True)[1].reshape(regions.shape)
