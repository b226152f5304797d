"""Jumps at the common border of two regions, of the angle and of the patterns.

In a bent crystal, angle and pattern change steadily. The means of two of its regions differ, but there is no jump between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from invae.analysis.grains.regions import Labels, neighbours_of
from invae.analysis.grains.shrinkage import polynomial

DEEP = 5
"""Width of the strips along a border that are compared [scan step]."""
MIXED = 1
"""Width along a border in which patterns are mixtures [scan step]."""
FEWEST = 6
"""Smallest number of probes of a strip; the whole region counts where there are fewer."""
DEGREE = 3
"""Of the polynomial that describes a smooth change."""
SQUARE = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Border:
    """Two touching regions, and the strips of both along their border."""

    first: int
    second: int
    strips: tuple[Bool[np.ndarray, "row column"], Bool[np.ndarray, "row column"]]


def borders_of(regions: Labels) -> Iterator[Border]:
    """Every pair of touching regions, once."""
    near = {}

    def around(region: int) -> tuple[np.ndarray, np.ndarray]:
        """Probes close to a region, and those that its patterns may be mixed into."""
        if region not in near:
            own = regions == region
            grown = [ndimage.binary_dilation(own, SQUARE, iterations=n) for n in (DEEP, MIXED)]
            near[region] = (grown[0], grown[1])
        return near[region]

    def strip(region: int, other: int) -> np.ndarray:
        close, mixed = around(other)
        own = regions == region
        inner = own & close & ~mixed
        return inner if inner.sum() >= FEWEST else own

    for first, others in enumerate(neighbours_of(regions)):
        for second in sorted(other for other in others if other > first):
            yield Border(first, second, (strip(first, second), strip(second, first)))


def jump_of(
    border: Border, values: Float[np.ndarray, "row column number"], *, steepest: float
) -> tuple[Float[np.ndarray, " number"], float]:
    """Jumps of values at a border beside a smooth change, and the variance of a jump per variance of a value.

    The smooth change is a polynomial of the position over both strips.

    Args:
        border: of two regions.
        values: of every probe.
        steepest: sd of the change from probe to probe within a grain, in units of the noise of a value.
    """
    first, second = border.strips
    place = np.argwhere(first | second)
    side = np.where(second[tuple(place.T)], 0.5, -0.5)
    edge = (place[side < 0].mean(0) + place[side > 0].mean(0)) / 2
    smooth = polynomial((place - edge) / DEEP, DEGREE)
    matrix = np.column_stack((side, smooth))
    prior = np.full(matrix.shape[1], (steepest * DEEP) ** -2)
    prior[:2] = 0.0
    covariance = np.linalg.inv(matrix.T @ matrix + np.diag(prior))
    weights = covariance[0] @ matrix.T
    return weights @ values[tuple(place.T)], float(covariance[0, 0])
