"""The scan of the measurements: Poisson counts of a bright disc, 70 % zeros, from a seed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIDE = 192
"""Side of a pattern [pixel]."""
DISC = 48.0
"""Radius of the bright-field disc [pixel]."""
INSIDE, OUTSIDE = 1.2, 0.227
"""Mean counts per pixel inside the disc and outside, with which 70 % of all pixels are empty."""


@dataclass(frozen=True)
class Scan:
    """Size and seed of the scan."""

    rows: int = 112
    columns: int = 120
    seed: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(scan_y, scan_x, k_y, k_x)."""
        return self.rows, self.columns, SIDE, SIDE

    @property
    def n_bytes(self) -> int:
        """Size of the 16-bit counts [bytes]."""
        return 2 * self.rows * self.columns * SIDE * SIDE


WHOLE, TENTH = Scan(), Scan(rows=11)
CENTRE = ((SIDE - 1) / 2, (SIDE - 1) / 2)


def row_of(scan: Scan, row: int) -> np.ndarray:
    """The patterns of one scan row (scan_x, k_y, k_x)."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    mean = np.where(np.hypot(y, x) < DISC, INSIDE, OUTSIDE)
    rng = np.random.Generator(np.random.SFC64([scan.seed, row]))
    return rng.poisson(mean, (scan.columns, SIDE, SIDE)).astype(np.uint16)


def write(scan: Scan, file: Path) -> None:
    """Write the scan as a NumPy file."""
    values = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint16, shape=scan.shape)
    for row in range(scan.rows):
        values[row] = row_of(scan, row)
    values.flush()
