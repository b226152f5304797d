"""Neighbouring probes: which they are, and how their patterns become channels.

A rotation of a crystal turns its pattern *and* moves the probe: the neighbours of one probe become those of its partner. A sum
over all probes within a distance turns with the pattern, except for the corners of the scan's raster; so does a channel for each
distance. A channel for each neighbour does not: its direction on the sample stays fixed when the pattern turns.
"""

from collections.abc import Sequence

import numpy as np

SQUARED_REACH = {1: 0, 5: 1, 9: 2, 13: 4, 21: 5, 37: 10}
"""Number of probes → square of the largest distance from the central one [scan step²]."""

Offsets = Sequence[tuple[int, int]]


def offsets(n_neighbours: int) -> list[tuple[int, int]]:
    """Positions of the probes relative to the central one (y, x) [scan step], in ascending distance."""
    most = SQUARED_REACH[n_neighbours]
    steps = range(-reach(n_neighbours), reach(n_neighbours) + 1)
    positions = [(y, x) for y in steps for x in steps if y * y + x * x <= most]
    return sorted(positions, key=lambda one: (one[0] ** 2 + one[1] ** 2, one))


def reach(n_neighbours: int) -> int:
    """Scan steps along an axis to the farthest neighbour; sites nearer to the edge of the scan are left out."""
    return int(SQUARED_REACH[n_neighbours] ** 0.5)


def channels(n_neighbours: int, combine: str) -> dict[str, list[tuple[int, int]]]:
    """Name of every channel, and the probes that it sums."""
    positions = offsets(n_neighbours)
    if combine == "sum" or n_neighbours == 1:
        return {"pattern": positions}
    if combine == "apart":
        return {f"{y:+d},{x:+d}": [(y, x)] for y, x in positions}
    distances = sorted({y * y + x * x for y, x in positions})
    return {
        f"ring {number}": [(y, x) for y, x in positions if y * y + x * x == square]
        for number, square in enumerate(distances)
    }


def combined(patterns: np.ndarray, groups: Sequence[Offsets], *, margin: int) -> np.ndarray:
    """Sums over neighbours (row, column, channel, y, x) of a scan's patterns (row, column, y, x).

    Rows and columns nearer than `margin` to the edge are left out.
    """
    height, width = (n - 2 * margin for n in patterns.shape[:2])
    return np.stack(
        [
            sum(
                patterns[margin + y : margin + y + height, margin + x : margin + x + width]
                for y, x in group
            )
            for group in groups
        ],
        axis=2,
    )
