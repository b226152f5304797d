"""Lines of a scan that begin a little too far left or right: found by what the lattice repeats from line to line."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from scipy.linalg import solveh_banded
from scipy.signal import savgol_filter
from scipy.spatial import KDTree

NEAR = 8
"""Atoms, the nearest, among which opposite ones are looked for."""
OPPOSITE = 0.2
"""How far an atom lies from the middle of two opposite ones at most, in distances of neighbours."""
LIKE = 1.5
"""Heights of opposite atoms differ from the atom's by at most this factor: a lattice repeats itself from like to like."""
REACH = 3.0
"""Lines that an atom is seen on, in its sds."""
RATIOS = np.logspace(-1, 4, 11)
"""Variance of an atom's place over that of a line's, tried."""
GAIN = 0.01
"""Share of the variance in one half of the frame that lines found in the other must explain; less is chance."""
BEND = 3.0
"""Reach of the parabolas that tell a bent lattice from lines that jitter, in distances of neighbours."""
FEWEST = 60
"""Triples of atoms below which nothing is said of lines."""


@dataclass(frozen=True)
class Equations:
    """What triples of atoms say of lines."""

    rows: np.ndarray
    """Lines (triple, line) that a triple's atoms are seen on."""
    share: np.ndarray
    """What each of them adds to how far the first atom lies from the middle of the others (triple, line)."""
    apart: np.ndarray
    """How far right it lies (triple,) [px]."""
    weight: np.ndarray
    """(triple,)."""
    x: np.ndarray
    """Of the first atom (triple,) [px]."""

    def part(self, chosen: np.ndarray) -> Self:
        """Some of the triples."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def left(self, lines: np.ndarray) -> float:
        """Weighted squares that these lines (n_lines,) leave over."""
        told = (self.share * lines[self.rows]).sum(axis=-1)
        return float((self.weight * (self.apart - told) ** 2).sum())


def lines_of(position: np.ndarray, height: np.ndarray, *, sd: float, n_lines: int) -> np.ndarray:
    """How far right every line (n_lines,) lies of where it should [px]; 0 throughout where that is not sure.

    An atom in the middle between two like it is moved by its own lines against theirs. Lines reach over the whole frame, while
    noise and disorder of the atoms left and right have nothing to do with each other; so lines found in one half must be good
    for the other, and how far they are believed is what does best there. What lines over several rows of the
    lattice share is a bent lattice, and stays.

    Args:
        position: (atom, 2), (y, x) [px].
        height: of the atoms (atom,).
        sd: of an atom [px].
        n_lines: of the frame.
    """
    still = np.zeros(n_lines)
    triples = _triples(position, height, sd=sd)
    if len(triples) < FEWEST:
        return still
    told = _equations(triples, position, height, sd=sd, n_lines=n_lines)
    right = told.x >= np.median(told.x)
    halves = [told.part(~right), told.part(right)]
    solved = [_solved(half, n_lines) for half in halves]
    left = [
        halves[1].left(first) + halves[0].left(second)
        for first, second in zip(*solved, strict=True)
    ]
    best = int(np.argmin(left))
    if left[best] > (1 - GAIN) * told.left(still):
        return still
    lines = _solved(told, n_lines)[best]
    usual = float(np.median(np.hypot(*(position[triples[:, 0]] - position[triples[:, 1]]).T)))
    reach = min(round(BEND * usual), (n_lines - 1) // 2)
    return lines - savgol_filter(lines, 2 * reach + 1, polyorder=2)


def shift_of(lines: np.ndarray, y: np.ndarray, *, sd: float) -> np.ndarray:
    """How far right atoms at `y` (atom,) [px] are drawn by their lines [px]."""
    rows, share = _shares(y, sd=sd, n_lines=len(lines))
    return (share * lines[rows]).sum(axis=-1)


def _shares(y: np.ndarray, *, sd: float, n_lines: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines (…, line) that atoms at `y` (…) are seen on, and what each says of where they are along x."""
    reach = np.arange(-int(np.ceil(REACH * sd)), int(np.ceil(REACH * sd)) + 1)
    rows = np.rint(y).astype(int)[..., None] + reach
    share = np.exp(-(((rows - y[..., None]) / sd) ** 2)) * ((rows >= 0) & (rows < n_lines))
    return rows.clip(0, n_lines - 1), share / np.maximum(share.sum(-1, keepdims=True), 1e-12)


def _triples(position: np.ndarray, height: np.ndarray, *, sd: float) -> np.ndarray:
    """Atoms (triple, 3) of which the first lies in the middle of the others, on other lines, and all are alike."""
    if len(position) <= NEAR:
        return np.zeros((0, 3), int)
    distance, near = (np.asarray(part) for part in KDTree(position).query(position, k=NEAR + 1))
    spacing = float(np.median(distance[:, 1]))
    first, second = np.triu_indices(NEAR, k=1)
    both = np.stack([near[:, 1:][:, first], near[:, 1:][:, second]], axis=-1)
    middle = position[both].mean(axis=2) - position[:, None]
    opposite = (middle**2).sum(-1) < (OPPOSITE * spacing) ** 2
    ratio = np.log(np.maximum(height[both], 1e-12) / np.maximum(height, 1e-12)[:, None, None])
    alike = (np.abs(ratio) < np.log(LIKE)).all(-1)
    elsewhere = np.abs(position[both][..., 0, 0] - position[:, None, 0]) > 2 * sd
    atom, pair = np.nonzero(opposite & alike & elsewhere)
    return np.column_stack([atom, both[atom, pair]])


def _equations(
    triples: np.ndarray, position: np.ndarray, height: np.ndarray, *, sd: float, n_lines: int
) -> Equations:
    """What triples (triple, 3) of atoms say of the lines; those that lie far from all others are left out."""
    apart = position[triples[:, 0], 1] - position[triples[:, 1:], 1].mean(axis=1)
    usual = 1.4826 * np.median(np.abs(apart - np.median(apart)))
    kept = np.abs(apart) <= 4 * max(usual, 1e-9)
    triples, apart = triples[kept], apart[kept]
    weight = np.clip(height[triples].min(axis=1) / np.quantile(height, 0.9), 0.02, 1)
    rows, share = _shares(position[triples, 0], sd=sd, n_lines=n_lines)
    share = share * np.array([1, -0.5, -0.5])[:, None]
    flat = (len(triples), -1)
    return Equations(
        rows.reshape(flat), share.reshape(flat), apart, weight, position[triples[:, 0], 1]
    )


def _solved(told: Equations, n_lines: int) -> list[np.ndarray]:
    """The lines (n_lines,) for each ratio of variances, by least squares about 0."""
    rows, share, weight = told.rows, told.share, told.weight[:, None]
    right = np.bincount(rows.ravel(), (share * weight * told.apart[:, None]).ravel(), n_lines)
    reach = int((rows.max(axis=1) - rows.min(axis=1)).max())
    band = np.zeros((reach + 1, n_lines))
    for one in range(rows.shape[1]):
        step = rows[:, [one]] - rows
        upper = (step >= 0) & (step <= reach)
        line = np.broadcast_to(rows[:, [one]], rows.shape)[upper]
        index = (reach - step[upper]) * n_lines + line
        value = (share[:, [one]] * share * weight)[upper]
        band += np.bincount(index, value, band.size).reshape(band.shape)
    found = []
    for ratio in RATIOS:
        ridged = band.copy()
        ridged[-1] += ratio
        found.append(solveh_banded(ridged, right))
    return found
