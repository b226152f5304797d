"""What an observer finds of a missing atom who knows everything but where it is: no method that sees the same electrons does better.

It is told the lattice and what patterns without noise look like, over the perfect lattice and around a missing atom; it weighs the counts
by their likelihood, atom by atom.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from invae.config import GrapheneConfig
from invae.synthetic import graphene
from invae.synthetic.flake import Flake, make_flake

REACH = 10
"""Probes so far from an atom, along each axis, see whether it is there [scan step]."""
NEVER = -1e30
"""Score of a probe that is near no atom."""
LEAST_RATIO = 0.05
"""Of the shares of electrons with and without an atom."""


@dataclass(frozen=True)
class Ideal:
    """How likely it is that an atom is missing near each probe, as scores (row, column)."""

    whole: np.ndarray
    """By all patterns that the nearest atom changes."""
    single: np.ndarray
    """By the probe's own pattern alone."""


@dataclass(frozen=True)
class Known:
    """What the observer is told."""

    perfect: np.ndarray
    """Share of the electrons in every pixel over the perfect lattice (row, column, k_y, k_x)."""
    change: np.ndarray
    """What a missing atom adds to it, where it is missing."""
    defect: np.ndarray
    """Where that is (axis,) [nm], and on which sublattice."""
    sublattice: int
    dose: float
    step: float


def ideal(counts: np.ndarray, config: GrapheneConfig, *, seed: int, near: float) -> Ideal:
    """Scores of the probes of a simulated scan.

    Args:
        counts: of the scan (row, column, k_y, k_x).
        config: of the scan, with a vacancy.
        seed: of the scan.
        near: distance from an atom within which a probe counts as near it [nm].
    """
    reach = graphene.optics_of(config).window / 2
    broken = make_flake(config, seed=seed, reach=reach)
    whole = config.model_copy(update={"structure": "perfect"})
    flake = make_flake(whole, seed=seed, reach=reach)
    perfect, seen = (
        np.stack([graphene.shares(row, one, config) for row in flake.probes])
        for one in (flake, broken)
    )
    at = int(KDTree(flake.positions).query(broken.defects[0])[1])
    known = Known(
        perfect, seen - perfect, broken.defects[0], int(flake.sublattice[at]),
        config.dose, config.scan_step,
    )  # fmt: skip
    return _scores(counts, flake, known, near=near)


def _scores(counts: np.ndarray, flake: Flake, known: Known, *, near: float) -> Ideal:
    shape = counts.shape[:2]
    distance, nearest = KDTree(flake.positions).query(flake.probes)
    whole, single = np.full(shape, NEVER), np.full(shape, NEVER)
    for atom in np.unique(nearest):
        own = (nearest == atom) & (np.asarray(distance) < near)
        if own.any():
            told = _evidence(counts, flake.positions[atom], int(flake.sublattice[atom]), known)
            whole[own], single[own] = told.sum(), told[own]
    return Ideal(whole, single)


def _evidence(counts: np.ndarray, place: np.ndarray, sublattice: int, known: Known) -> np.ndarray:
    """Log-likelihood ratio of every pattern, an atom missing against there (row, column)."""
    found = np.zeros(counts.shape[:2])
    middle = np.round(place / known.step).astype(int)
    rows, columns = (
        np.arange(max(m - REACH, 0), min(m + REACH + 1, n))
        for m, n in zip(middle, counts.shape[:2], strict=True)
    )
    if not (rows.size and columns.size):
        return found
    inside = np.ix_(rows, columns)
    sign = 1 if sublattice == known.sublattice else -1
    change = _moved(rows, columns, place, sign, known)
    perfect = known.perfect[inside]
    ratio = np.log(np.maximum(1 + change / perfect, LEAST_RATIO))
    found[inside] = (counts[inside] * ratio).sum((-2, -1)) - known.dose * change.sum((-2, -1))
    return found


def _moved(
    rows: np.ndarray, columns: np.ndarray, place: np.ndarray, sign: int, known: Known
) -> np.ndarray:
    """The change by the missing atom as if it lay at another place (row, column, k_y, k_x), between probes linear.

    Atoms of the other sublattice have the same surroundings, turned by half a turn.
    """
    corners, parts = [], []
    for index, steps in enumerate((rows, columns)):
        where = (known.defect[index] + sign * (steps * known.step - place[index])) / known.step
        low = np.clip(np.floor(where).astype(int), 0, known.change.shape[index] - 2)
        corners.append(low)
        parts.append(np.clip(where - low, 0, 1))
    (y, x), (down, right) = corners, (part[:, None, None] for part in parts)
    across = [
        known.change[np.ix_(y + row, x)] * (1 - right)
        + known.change[np.ix_(y + row, x + 1)] * right
        for row in (0, 1)
    ]
    moved = across[0] * (1 - down[:, None]) + across[1] * down[:, None]
    return moved if sign > 0 else moved[..., ::-1, ::-1]
