"""Terms of the force balance as sparse matrices: forces over time and over the sample, with their smoothness priors.

A map has a Matérn prior (smoothness 1) of given sd and length: its precision on a grid of step h is
(k² − ∇²)²·h²/(4πk²·sd²), k = √8/length. Source: Lindgren, Rue & Lindström 2011, doi:10.1111/j.1467-9868.2011.00777.x, eq. 2 and 4.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from invae.analysis.domains.wall_steps import WallSteps

STEP = 3
"""Distance of the nodes of a map [px]."""
HALF = 0.5
"""Half the distance over which the slope of the wall energy is taken [px]."""


@dataclass(frozen=True)
class Grid:
    """Nodes of the maps, over frame 0 and a margin around it."""

    shape: tuple[int, int]
    """Of frame 0 [px]."""
    margin: int
    """[px]"""

    @property
    def nodes(self) -> tuple[int, int]:
        """Number of nodes along y and x."""
        rows, columns = ((side + 2 * self.margin) // STEP + 2 for side in self.shape)
        return rows, columns

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.nodes[0] * self.nodes[1]

    def read(self, y: np.ndarray, x: np.ndarray) -> sp.csr_matrix:
        """The matrix that interpolates a map at places in pixels of frame 0 (place, node)."""
        places = [
            np.clip((place + self.margin) / STEP, 0, n - 1 - 1e-6)
            for place, n in zip((y, x), self.nodes, strict=True)
        ]
        first = [np.floor(place).astype(int) for place in places]
        share = [place - low for place, low in zip(places, first, strict=True)]
        index, columns, values = [], [], []
        for d_y in (0, 1):
            for d_x in (0, 1):
                index.append(np.arange(len(y)))
                columns.append((first[0] + d_y) * self.nodes[1] + first[1] + d_x)
                values.append(np.abs(1 - d_y - share[0]) * np.abs(1 - d_x - share[1]))
        entries = np.concatenate(values), (np.concatenate(index), np.concatenate(columns))
        return sp.csr_matrix(entries, shape=(len(y), self.size))

    def image(self, values: np.ndarray) -> np.ndarray:
        """A map over the pixels of frame 0 (y, x)."""
        y, x = np.indices(self.shape)
        return (self.read(y.ravel(), x.ravel()) @ values).reshape(self.shape)

    @cached_property
    def stiffness(self) -> sp.csr_matrix:
        """−∇² between neighbouring nodes [1/px²]."""
        number = np.arange(self.size).reshape(self.nodes)
        parts = []
        for one, other in ((number[:-1], number[1:]), (number[:, :-1], number[:, 1:])):
            row = np.arange(one.size)
            ones = np.ones(one.size)
            entries = np.r_[-ones, ones], (np.r_[row, row], np.r_[one.ravel(), other.ravel()])
            parts.append(sp.csr_matrix(entries, shape=(one.size, self.size)))
        slope = sp.csr_matrix(sp.vstack(parts))
        return sp.csr_matrix(slope.T @ slope) / STEP**2

    def prior_root(self, *, sd: float, length: float) -> sp.csr_matrix:
        """The symmetric root of the precision of a map with this sd and correlation length [px]."""
        k = np.sqrt(8) / length
        scale = STEP / (np.sqrt(4 * np.pi) * k * sd)
        return sp.csr_matrix(scale * (k**2 * sp.identity(self.size) + self.stiffness))


def built_in(grid: Grid, steps: WallSteps) -> sp.csr_matrix:
    """The matrix from a map of the built-in force to the force at the steps."""
    return grid.read(steps.y, steps.x)


def energy_slope(grid: Grid, steps: WallSteps) -> sp.csr_matrix:
    """The matrix from a map u of the wall energy to the force −n·∇u at the steps."""
    n_y, n_x = HALF * steps.normal.T
    ahead, behind = (grid.read(steps.y + sign * n_y, steps.x + sign * n_x) for sign in (1, -1))
    return sp.csr_matrix(behind - ahead) / (2 * HALF)


def drive(steps: WallSteps, *, n_frames: int) -> sp.csr_matrix:
    """The matrix from the force at the start of each frame to its mean over each step; it is linear in between.

    A point at the share a of the frame is scanned at the times t + a and t + 1 + a, so that its step feels three values.
    """
    a = steps.line
    weights = np.stack([(1 - a) ** 2 / 2, 0.5 + a - a**2, a**2 / 2], axis=1)
    columns = np.minimum(steps.frame[:, None] + np.arange(3), n_frames - 1)
    index = np.repeat(np.arange(len(steps)), 3)
    entries = weights.ravel(), (index, columns.ravel())
    return sp.csr_matrix(entries, shape=(len(steps), n_frames))


def drive_prior_root(n_frames: int, *, sd: float) -> sp.csr_matrix:
    """Root of the precision of the force over time: second differences of this sd, and a weak prior on the values."""
    bend = sp.csr_matrix(np.diff(np.eye(n_frames), 2, axis=0))
    weak = sp.identity(n_frames) * 1e-2
    return sp.csr_matrix(sp.vstack([bend, weak])) / sd
