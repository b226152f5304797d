"""An ideal observer of a missing atom, who knows everything except its position: no method with the same electrons does better.

It knows the lattice and the patterns without noise, of the perfect lattice and around a missing atom; it weighs the counts by their
likelihood, atom by atom.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from invae.config import GrapheneConfig
from invae.synthetic import graphene
from invae.synthetic.flake import Flake, make_flake

REACH = 10
"""Largest distance of a probe that is influenced by an atom, along each axis [scan step]."""
NO_ATOM = -1e30
"""Score of a probe that is not near an atom."""
LEAST_RATIO = 0.05
"""Smallest ratio of the fractions of electrons with and without an atom."""


@dataclass(frozen=True)
class Ideal:
    """Scores of a missing atom near each probe (row, column)."""

    whole: np.ndarray
    """From all patterns that the nearest atom influences."""
    single: np.ndarray
    """From the probe's own pattern only."""


@dataclass(frozen=True)
class Knowledge:
    """The knowledge of the observer."""

    perfect: np.ndarray
    """Fraction of the electrons in every pixel for the perfect lattice (row, column, k_y, k_x)."""
    change: np.ndarray
    """Change of this fraction by the missing atom."""
    defect: np.ndarray
    """Position of the missing atom (axis,) [nm]."""
    sublattice: int
    dose: float
    step: float


def ideal(counts: np.ndarray, config: GrapheneConfig, *, seed: int, near: float) -> Ideal:
    """Scores of the probes of a simulated scan.

    Args:
        counts: Counts of the scan (row, column, k_y, k_x).
        config: Configuration of the scan, with a vacancy.
        seed: Seed of the scan.
        near: Distance from an atom within which a probe counts as near it [nm].
    """
    reach = graphene.optics_of(config).window / 2
    broken = make_flake(config, seed=seed, reach=reach)
    whole = config.model_copy(update={"structure": "perfect"})
    flake = make_flake(whole, seed=seed, reach=reach)
    perfect, defective = (
        np.stack([graphene.shares(row, sample, config) for row in sample.probes])
        for sample in (flake, broken)
    )
    atom = int(KDTree(flake.positions).query(broken.defects[0])[1])
    knowledge = Knowledge(
        perfect, defective - perfect, broken.defects[0], int(flake.sublattice[atom]),
        config.dose, config.scan_step,
    )  # fmt: skip
    return _scores(counts, flake, knowledge, near=near)


def _scores(counts: np.ndarray, flake: Flake, knowledge: Knowledge, *, near: float) -> Ideal:
    shape = counts.shape[:2]
    distance, nearest = KDTree(flake.positions).query(flake.probes)
    whole, single = np.full(shape, NO_ATOM), np.full(shape, NO_ATOM)
    for atom in np.unique(nearest):
        probes = (nearest == atom) & (np.asarray(distance) < near)
        if probes.any():
            position, sublattice = flake.positions[atom], int(flake.sublattice[atom])
            evidence = _evidence(counts, position, sublattice, knowledge)
            whole[probes], single[probes] = evidence.sum(), evidence[probes]
    return Ideal(whole, single)


def _evidence(
    counts: np.ndarray, position: np.ndarray, sublattice: int, knowledge: Knowledge
) -> np.ndarray:
    """Log-likelihood ratio of every pattern for a missing atom against a present one (row, column)."""
    evidence = np.zeros(counts.shape[:2])
    middle = np.round(position / knowledge.step).astype(int)
    rows, columns = (
        np.arange(max(m - REACH, 0), min(m + REACH + 1, n))
        for m, n in zip(middle, counts.shape[:2], strict=True)
    )
    if not (rows.size and columns.size):
        return evidence
    inside = np.ix_(rows, columns)
    sign = 1 if sublattice == knowledge.sublattice else -1
    change = _shifted(rows, columns, position, sign, knowledge)
    perfect = knowledge.perfect[inside]
    ratio = np.log(np.maximum(1 + change / perfect, LEAST_RATIO))
    log_ratio = (counts[inside] * ratio).sum((-2, -1))
    evidence[inside] = log_ratio - knowledge.dose * change.sum((-2, -1))
    return evidence


def _shifted(
    rows: np.ndarray, columns: np.ndarray, position: np.ndarray, sign: int, knowledge: Knowledge
) -> np.ndarray:
    """The change by a missing atom at another position (row, column, k_y, k_x), linearly interpolated between probes.

    Atoms of the other sublattice have the same surroundings, rotated by half a turn.
    """
    corners, fractions = [], []
    for index, steps in enumerate((rows, columns)):
        offset = sign * (steps * knowledge.step - position[index])
        source = (knowledge.defect[index] + offset) / knowledge.step
        low = np.clip(np.floor(source).astype(int), 0, knowledge.change.shape[index] - 2)
        corners.append(low)
        fractions.append(np.clip(source - low, 0, 1))
    (y, x), (down, right) = corners, (fraction[:, None, None] for fraction in fractions)
    across = [
        knowledge.change[np.ix_(y + row, x)] * (1 - right)
        + knowledge.change[np.ix_(y + row, x + 1)] * right
        for row in (0, 1)
    ]
    shifted = across[0] * (1 - down[:, None]) + across[1] * down[:, None]
    return shifted if sign > 0 else shifted[..., ::-1, ::-1]
