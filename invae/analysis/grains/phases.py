"""The phases of a scan: the lattices that explain the discs of all regions, as few as the evidence supports.

Every region proposes the lattice that fits it best. A lattice becomes a phase if it raises the evidence of all regions by more than it
costs. Regions without discs have no lattice.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from invae.analysis.grains.discs import Discs
from invae.analysis.grains.lattice import (
    Lattice,
    aligned,
    fit_lattice,
    fitted,
    reduced,
    shape_of,
)

COST = 15.0
"""Evidence by which a phase must raise that of all regions [nats]."""
LEAST = 4.0
"""Evidence of a lattice in a region that has discs [nats]."""
ALIKE = 0.008
"""Relative difference of two proposed lattices that are one."""
MOST = 60
"""Largest number of proposed lattices."""
ROUNDS = 2
DISTORTED = 0.05
"""Largest relative difference of a fit from the lattice of its phase."""


@dataclass(frozen=True)
class Phases:
    """Lattices of the phases, and what every region is."""

    lattices: tuple[Lattice, ...]
    phase: Int[np.ndarray, " region"]
    """Number of the lattice; −1 without discs."""
    basis: Float[np.ndarray, "region 2 2"]
    """Vectors of the lattice, turned onto the discs of the region [px]."""
    evidence: Float[np.ndarray, "region phase"]
    """Evidence of every lattice [nats]."""
    mirrored: np.ndarray
    """bool (region,): whether the mirror image of the lattice fits better."""


def find_phases(discs: list[Discs], *, tolerance: float, least: float) -> Phases:
    """The phases of all regions.

    Args:
        discs: of the regions.
        tolerance: relative deviation of positions within a phase, sd.
        least: smallest length of a lattice's vector [px].
    """
    proposals = _proposals(discs, least=least)
    chosen = _chosen(proposals, discs, tolerance=tolerance)
    phases = _assigned(chosen, discs, tolerance=tolerance)
    for _ in range(ROUNDS):
        phases = _assigned(_refined(phases, discs, tolerance=tolerance), discs, tolerance=tolerance)
    return phases


def _proposals(discs: list[Discs], *, least: float) -> list[Lattice]:
    """Different lattices that fit single regions, those with the most evidence first."""
    fits = [fit for one in discs if (fit := fit_lattice(one, least=least)) is not None]
    fits = sorted((fit for fit in fits if fit.evidence > LEAST), key=lambda fit: -fit.evidence)
    lattices: list[Lattice] = []
    for fit in fits:
        shape = shape_of(fit.basis)
        if not any(difference(shape, other) < ALIKE for other in lattices):
            lattices.append(shape)
    return lattices[:MOST]


def difference(first: Lattice, second: Lattice) -> float:
    """Relative difference of two lattices, up to a mirror image."""
    angles = min(abs(first.angle - other) for other in (second.angle, np.pi - second.angle))
    lengths = (abs(np.log(first.first / second.first)), abs(np.log(first.second / second.second)))
    return float(max(*lengths, angles))


def _chosen(proposals: list[Lattice], discs: list[Discs], *, tolerance: float) -> list[Lattice]:
    """Lattices whose evidence exceeds their cost, one after the other."""
    if not proposals:
        return []
    table = np.array([[_best(lattice, one, tolerance=tolerance)[0] for lattice in proposals] for one in discs])  # fmt: skip
    best, chosen = np.full(len(discs), LEAST), list[int]()
    while len(chosen) < len(proposals):
        gains = np.maximum(table - best[:, None], 0).sum(0)
        number = int(np.argmax(gains))
        if gains[number] < COST:
            break
        chosen.append(number)
        best = np.maximum(best, table[:, number])
    return [proposals[number] for number in _still_needed(table, chosen)]


def _still_needed(table: np.ndarray, chosen: list[int]) -> list[int]:
    """Lattices without those that later ones have made superfluous."""
    for number in list(chosen):
        others = [other for other in chosen if other != number]
        rest = np.maximum(table[:, others].max(1, initial=-np.inf), LEAST)
        if others and np.maximum(table[:, number] - rest, 0).sum() < COST:
            chosen = others
    return chosen


def _best(lattice: Lattice, discs: Discs, *, tolerance: float) -> tuple[float, np.ndarray, bool]:
    """Evidence and vectors of a lattice or its mirror image in a region."""
    best = (-np.inf, np.full((2, 2), np.nan), False)
    for is_mirror in (False,) if lattice.has_mirror else (False, True):
        fit = aligned(lattice.mirrored if is_mirror else lattice, discs, tolerance=tolerance)
        if fit is not None and fit.evidence > best[0]:
            best = (fit.evidence, fit.basis, is_mirror)
    return best


def _assigned(lattices: list[Lattice], discs: list[Discs], *, tolerance: float) -> Phases:
    """The best lattice of every region; phases are numbered by the discs that they explain."""
    n = len(discs)
    evidence, bases = np.full((n, len(lattices)), -np.inf), np.full((n, len(lattices), 2, 2), np.nan)  # fmt: skip
    mirrored = np.zeros((n, len(lattices)), bool)
    for region, one in enumerate(discs):
        for number, lattice in enumerate(lattices):
            evidence[region, number], bases[region, number], mirrored[region, number] = _best(lattice, one, tolerance=tolerance)  # fmt: skip
    if not lattices:
        none = np.full(n, -1)
        return Phases((), none, np.full((n, 2, 2), np.nan), evidence, np.zeros(n, bool))
    best = evidence.argmax(1)
    rows = np.arange(n)
    phase = np.where(evidence[rows, best] > LEAST, best, -1)
    return Phases(tuple(lattices), phase, bases[rows, best], evidence, mirrored[rows, best])


def _refined(phases: Phases, discs: list[Discs], *, tolerance: float) -> list[Lattice]:
    """Lattices of the phases from fits to their regions; a phase without regions is left out."""
    bases = np.array(
        [
            fitted(basis, one, tolerance=tolerance) if number >= 0 else basis
            for basis, one, number in zip(phases.basis, discs, phases.phase, strict=True)
        ]
    )
    weights = np.maximum(phases.evidence.max(1, initial=0.0), 0)
    lattices = refitted(phases, bases, weights)
    return [one for number, one in enumerate(lattices) if (phases.phase == number).any()]


def refitted(phases: Phases, bases: np.ndarray, weights: np.ndarray) -> list[Lattice]:
    """Lattices of the phases as weighted medians over their regions.

    Args:
        phases: of the regions.
        bases: fitted vectors of every region (region, 2, 2).
        weights: of the regions.
    """
    lattices = []
    for number, before in enumerate(phases.lattices):
        shapes, used = [], []
        for region in np.flatnonzero(phases.phase == number):
            shape = shape_of(reduced(bases[region]))
            shape = shape.mirrored if phases.mirrored[region] else shape
            if difference(shape, before) < DISTORTED:
                turn = shape.angle if abs(shape.angle - before.angle) < DISTORTED else np.pi - shape.angle  # fmt: skip
                shapes.append((shape.first, shape.second, turn))
                used.append(weights[region])
        if shapes:
            middle = _weighted_median(np.array(shapes), np.array(used))
            before = Lattice(*(float(value) for value in middle)).idealised
        lattices.append(before)
    return lattices


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values, axis=0, kind="stable")
    share = np.cumsum(weights[order], axis=0) / max(weights.sum(), 1e-12)
    row = (share >= 0.5).argmax(0)
    return np.take_along_axis(values, np.take_along_axis(order, row[None], axis=0), axis=0)[0]
