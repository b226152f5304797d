"""Jitter of scan lines along x, estimated from the repetition of the lattice."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from scipy.linalg import solveh_banded
from scipy.signal import savgol_filter
from scipy.spatial import KDTree

NEAR = 8
"""Number of nearest atoms among which opposite pairs are searched."""
OPPOSITE = 0.2
"""Largest distance of an atom from the midpoint of two opposite ones, in distances of neighbours."""
HEIGHT_FACTOR = 1.5
"""Largest factor between the heights of opposite atoms and of the atom: a lattice repeats equal atoms."""
REACH = 3.0
"""Reach of the lines that an atom extends over, in its sds."""
RATIOS = np.logspace(-1, 4, 11)
"""Tried ratios of the variance of the positions of atoms to the variance of the shifts of lines."""
GAIN = 0.01
"""Minimum share of the variance in one half of the frame that shifts estimated in the other half must explain; less is chance."""
BEND = 3.0
"""Reach of the parabolas that separate a bent lattice from jitter, in distances of neighbours."""
MIN_TRIPLES = 60
"""Minimum number of triples of atoms; with fewer, all shifts are 0."""


@dataclass(frozen=True)
class Equations:
    """Linear equations for the shifts of lines, one for each triple of atoms."""

    rows: np.ndarray
    """Lines (triple, line) that the atoms of a triple extend over."""
    share: np.ndarray
    """Coefficient of each line in the offset of the first atom from the midpoint of the others (triple, line)."""
    offset: np.ndarray
    """Offset to the right (triple,) [px]."""
    weight: np.ndarray
    """(triple,)."""
    x: np.ndarray
    """Position of the first atom (triple,) [px]."""

    def part(self, chosen: np.ndarray) -> Self:
        """Some of the triples."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def squared_residual(self, lines: np.ndarray) -> float:
        """Weighted sum of squared residuals for shifts of lines (n_lines,)."""
        predicted = (self.share * lines[self.rows]).sum(axis=-1)
        return float((self.weight * (self.offset - predicted) ** 2).sum())


def lines_of(position: np.ndarray, height: np.ndarray, *, sd: float, n_lines: int) -> np.ndarray:
    """Shift of every line (n_lines,) to the right [px]; all 0 if the estimate is not significant.

    An atom midway between two equal ones is shifted by its own lines relative to theirs. Lines extend over the whole frame,
    while noise and disorder of the atoms in the left and the right half are independent. So shifts from one half must explain
    the other, and the ratio of variances is chosen by cross-validation between the halves. Shifts common to lines over several
    rows of the lattice come from a bent lattice, and are kept.

    Args:
        position: (atom, 2), (y, x) [px].
        height: heights of the atoms (atom,).
        sd: sd of an atom [px].
        n_lines: number of lines of the frame.
    """
    no_shift = np.zeros(n_lines)
    triples = _triples(position, height, sd=sd)
    if len(triples) < MIN_TRIPLES:
        return no_shift
    equations = _equations(triples, position, height, sd=sd, n_lines=n_lines)
    right = equations.x >= np.median(equations.x)
    halves = [equations.part(~right), equations.part(right)]
    solutions = [_solve(half, n_lines) for half in halves]
    residuals = [
        halves[1].squared_residual(first) + halves[0].squared_residual(second)
        for first, second in zip(*solutions, strict=True)
    ]
    best = int(np.argmin(residuals))
    if residuals[best] > (1 - GAIN) * equations.squared_residual(no_shift):
        return no_shift
    lines = _solve(equations, n_lines)[best]
    typical = float(np.median(np.hypot(*(position[triples[:, 0]] - position[triples[:, 1]]).T)))
    reach = min(round(BEND * typical), (n_lines - 1) // 2)
    return lines - savgol_filter(lines, 2 * reach + 1, polyorder=2)


def shift_of(lines: np.ndarray, y: np.ndarray, *, sd: float) -> np.ndarray:
    """Shift to the right of atoms at `y` (atom,) [px] by their lines [px]."""
    rows, share = _shares(y, sd=sd, n_lines=len(lines))
    return (share * lines[rows]).sum(axis=-1)


def _shares(y: np.ndarray, *, sd: float, n_lines: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines (…, line) that atoms at `y` (…) extend over, and the weight of each line in their position along x."""
    reach = np.arange(-int(np.ceil(REACH * sd)), int(np.ceil(REACH * sd)) + 1)
    rows = np.rint(y).astype(int)[..., None] + reach
    share = np.exp(-(((rows - y[..., None]) / sd) ** 2)) * ((rows >= 0) & (rows < n_lines))
    return rows.clip(0, n_lines - 1), share / np.maximum(share.sum(-1, keepdims=True), 1e-12)


def _triples(position: np.ndarray, height: np.ndarray, *, sd: float) -> np.ndarray:
    """Atoms (triple, 3): the first lies midway between the others, on other lines, and all have similar heights."""
    if len(position) <= NEAR:
        return np.zeros((0, 3), int)
    distance, near = (np.asarray(part) for part in KDTree(position).query(position, k=NEAR + 1))
    spacing = float(np.median(distance[:, 1]))
    first, second = np.triu_indices(NEAR, k=1)
    both = np.stack([near[:, 1:][:, first], near[:, 1:][:, second]], axis=-1)
    middle = position[both].mean(axis=2) - position[:, None]
    opposite = (middle**2).sum(-1) < (OPPOSITE * spacing) ** 2
    ratio = np.log(np.maximum(height[both], 1e-12) / np.maximum(height, 1e-12)[:, None, None])
    alike = (np.abs(ratio) < np.log(HEIGHT_FACTOR)).all(-1)
    elsewhere = np.abs(position[both][..., 0, 0] - position[:, None, 0]) > 2 * sd
    atom, pair = np.nonzero(opposite & alike & elsewhere)
    return np.column_stack([atom, both[atom, pair]])


def _equations(
    triples: np.ndarray, position: np.ndarray, height: np.ndarray, *, sd: float, n_lines: int
) -> Equations:
    """Equations of triples (triple, 3) of atoms for the lines, without outliers."""
    apart = position[triples[:, 0], 1] - position[triples[:, 1:], 1].mean(axis=1)
    typical = 1.4826 * np.median(np.abs(apart - np.median(apart)))
    kept = np.abs(apart) <= 4 * max(typical, 1e-9)
    triples, apart = triples[kept], apart[kept]
    weight = np.clip(height[triples].min(axis=1) / np.quantile(height, 0.9), 0.02, 1)
    rows, share = _shares(position[triples, 0], sd=sd, n_lines=n_lines)
    share = share * np.array([1, -0.5, -0.5])[:, None]
    flat = (len(triples), -1)
    return Equations(
        rows.reshape(flat), share.reshape(flat), apart, weight, position[triples[:, 0], 1]
    )


def _solve(equations: Equations, n_lines: int) -> list[np.ndarray]:
    """The shifts of lines (n_lines,) for each ratio of variances, by ridge regression."""
    rows, share, weight = equations.rows, equations.share, equations.weight[:, None]
    right = np.bincount(rows.ravel(), (share * weight * equations.offset[:, None]).ravel(), n_lines)
    reach = int((rows.max(axis=1) - rows.min(axis=1)).max())
    band = np.zeros((reach + 1, n_lines))
    for one in range(rows.shape[1]):
        step = rows[:, [one]] - rows
        upper = (step >= 0) & (step <= reach)
        line = np.broadcast_to(rows[:, [one]], rows.shape)[upper]
        index = (reach - step[upper]) * n_lines + line
        value = (share[:, [one]] * share * weight)[upper]
        band += np.bincount(index, value, band.size).reshape(band.shape)
    solutions = []
    for ratio in RATIOS:
        regularised = band.copy()
        regularised[-1] += ratio
        solutions.append(solveh_banded(regularised, right))
    return solutions
