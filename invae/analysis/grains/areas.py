"""Grains: connected regions of one phase and orientation."""

import numpy as np
from jaxtyping import Float, Int

from invae.analysis.grains.regions import Labels, neighbours_of

OTHER_TILT = 0.3
"""Difference of two patterns relative to the typical one, from which on they are two grains even with equal angles."""


def folded(angle: np.ndarray | float, n_fold: np.ndarray | int) -> np.ndarray:
    """Angle in ±half a turn of the symmetry [rad]."""
    period = 2 * np.pi / np.asarray(n_fold)
    return np.mod(np.asarray(angle) + period / 2, period) - period / 2


def grains_of(
    regions: Labels,
    phase: Int[np.ndarray, " region"],
    angle: Float[np.ndarray, " region"],
    *,
    n_fold: Int[np.ndarray, " phase"],
    difference: Float[np.ndarray, "region region"],
    tolerance: float,
) -> Labels:
    """The grain of every probe, numbered from 0.

    Args:
        regions: of the scan.
        phase: of every region; −1 without a lattice.
        angle: of every region [rad].
        n_fold: order of the rotations of each phase.
        difference: of the patterns of two regions, relative to the typical one.
        tolerance: largest misorientation within a grain, from region to region [rad].
    """
    parent = np.arange(len(phase))

    def root(region: int) -> int:
        while parent[region] != region:
            region = parent[region]
        return region

    for first, others in enumerate(neighbours_of(regions)):
        for second in sorted(others):
            if phase[first] != phase[second]:
                continue
            order = n_fold[phase[first]] if phase[first] >= 0 else 1
            turn = abs(folded(angle[first] - angle[second], order)) if phase[first] >= 0 else 0.0
            is_same = phase[first] < 0 or difference[first, second] < OTHER_TILT
            if turn <= tolerance and is_same:
                parent[max(root(first), root(second))] = min(root(first), root(second))
    roots = np.array([root(region) for region in range(len(phase))])
    return np.unique(roots[regions], return_inverse=True)[1].reshape(regions.shape)
