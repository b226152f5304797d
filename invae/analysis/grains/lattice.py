"""Plane lattices of reflections: fitted to the discs of one pattern, compared with others, and turned onto them.

The evidence of a lattice compares two explanations of where the discs of a pattern are: each disc is near some node of the lattice, or
anywhere on the detector. Intensities do not count, because the tilt and the thickness of a crystal change them; positions are kept. A dense
lattice explains everything and therefore has little evidence.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from invae.analysis.grains.discs import Discs

STRAY = 0.05
"""Probability that a disc is no node of the lattice."""
LEAST_SD = 0.15
"""Added to the sd of a position [px]."""
OWN = 0.004
"""Distortion of a pattern relative to its own lattice."""
SHORTEST = 10
"""Discs, and differences of discs, from which a lattice is made."""
LEAST_ANGLE = np.radians(25)
POLISHED = 6
"""Number of the best lattices that are fitted to the discs."""
ALIGNED = 12
"""Number of discs, the most significant ones, that a lattice is turned onto."""
LENGTHS = 0.05
"""Largest relative difference of a disc and a node that may be the same."""
PARAMETERS = 6.0
"""Cost of the three numbers of a lattice that are fitted to a pattern, and of its angle [nats]."""
TURN = 4.0
"""Cost of the angle of a known lattice [nats]."""
EQUAL, SAME_ANGLE = 0.02, np.radians(1.5)
"""Tolerances at which lengths and angles are equal by symmetry."""

Basis = Float[np.ndarray, "2 2"]
"""Two vectors (y, x) as rows [px]."""


@dataclass(frozen=True)
class Lattice:
    """The shape of a lattice, without its orientation."""

    first: float
    """Length of the shortest vector [px]."""
    second: float
    """Length of the next vector [px]."""
    angle: float
    """Angle from the first to the second, positive as np.rot90 [rad], 60 to 120 degrees."""

    @cached_property
    def basis(self) -> Basis:
        """The vectors with the first one along +x."""
        return np.array(
            [
                [0.0, self.first],
                [-self.second * np.sin(self.angle), self.second * np.cos(self.angle)],
            ]
        )

    @property
    def mirrored(self) -> "Lattice":
        """The mirror image."""
        return Lattice(self.first, self.second, np.pi - self.angle)

    @property
    def area(self) -> float:
        """Area of the cell [px²]."""
        return self.first * self.second * float(np.sin(self.angle))

    @property
    def is_rhombic(self) -> bool:
        """Whether both vectors have one length."""
        return abs(self.second - self.first) < EQUAL * self.first

    @property
    def n_fold(self) -> int:
        """Order of the rotations that leave the lattice as it is: 2, 4 or 6."""
        from_right = abs(self.angle - np.pi / 2)
        if self.is_rhombic and from_right < SAME_ANGLE:
            return 4
        is_third = abs(from_right - np.pi / 6) < SAME_ANGLE
        return 6 if self.is_rhombic and is_third else 2

    @property
    def has_mirror(self) -> bool:
        """Whether the lattice equals its mirror image."""
        across = abs(2 * self.second * np.cos(self.angle) / self.first)
        is_right = abs(self.angle - np.pi / 2) < SAME_ANGLE
        return is_right or self.is_rhombic or abs(abs(across) - 1) < 2 * EQUAL

    @property
    def words(self) -> str:
        """The name of the lattice."""
        if self.n_fold > 2:
            return {4: "square", 6: "hexagonal"}[self.n_fold]
        if abs(self.angle - np.pi / 2) < SAME_ANGLE:
            return "rectangular"
        return "centred rectangular" if self.has_mirror else "oblique"

    @property
    def idealised(self) -> "Lattice":
        """The lattice with exactly the symmetry that it has within the tolerance."""
        if self.n_fold > 2:
            side = float(np.sqrt(self.first * self.second))
            turn = np.pi / 2 if self.n_fold == 4 else (np.pi / 3 if self.angle < np.pi / 2 else 2 * np.pi / 3)  # fmt: skip
            return Lattice(side, side, turn)
        is_right = abs(self.angle - np.pi / 2) < SAME_ANGLE
        return Lattice(self.first, self.second, np.pi / 2) if is_right else self

    def nodes(self, reach: float) -> Float[np.ndarray, "node axis"]:
        """Nodes of `basis` up to a distance, without the origin [px]."""
        order = int(np.ceil(reach / (self.first * np.sin(self.angle)))) + 1
        index = np.indices((2 * order + 1, 2 * order + 1)).reshape(2, -1).T - order
        places = index[index.any(1)] @ self.basis
        return places[np.hypot(*places.T) <= reach]


@dataclass(frozen=True)
class Fit:
    """A lattice on the discs of a pattern."""

    evidence: float
    """Against positions anywhere [nats]."""
    basis: Basis


def reduced(basis: Basis) -> Basis:
    """The shortest vectors of a lattice, the first one the shortest; the second is turned by 60 to 120 degrees.

    Source: the reduction of Lagrange and Gauss of two vectors.
    """
    first, second = sorted(basis, key=lambda vector: float(vector @ vector))
    while True:
        second = second - np.rint(second @ first / (first @ first)) * first
        if second @ second >= first @ first * (1 - 1e-9):
            break
        first, second = second, first
    turn = first[1] * second[0] - first[0] * second[1]
    return np.stack((first, -second if turn > 0 else second))


def shape_of(basis: Basis) -> Lattice:
    """The lattice of a reduced basis."""
    first, second = (float(np.hypot(*vector)) for vector in basis)
    cosine = float(basis[0] @ basis[1]) / (first * second)
    return Lattice(first, second, float(np.arccos(np.clip(cosine, -1, 1))))


def turned(places: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Places (…, 2) after a turn, positive as np.rot90."""
    cos, sin = np.cos(angle), np.sin(angle)
    y, x = places[..., 0], places[..., 1]
    return np.stack((cos * y - sin * x, sin * y + cos * x), axis=-1)


def direction(places: np.ndarray) -> np.ndarray:
    """Angle of places (…, 2) from +x, positive as np.rot90 [rad]."""
    return np.arctan2(-places[..., 0], places[..., 1])


def evidence_of(bases: Float[np.ndarray, "basis 2 2"], discs: Discs, *, tolerance: float) -> Float[np.ndarray, " basis"]:  # fmt: skip
    """Evidence of lattices for the positions of discs [nats], without the cost of what was fitted.

    Args:
        bases: vectors as rows.
        discs: of a pattern.
        tolerance: sd of the relative deviation of a position.
    """
    residual, _ = residuals(bases, discs.place)
    variance = discs.sd**2 + LEAST_SD**2 + (tolerance**2) * (discs.place**2).sum(1)
    square = (residual**2).sum(-1) / variance
    area = np.abs(np.linalg.det(bases))[:, None]
    density = area * np.exp(-square / 2) / (2 * np.pi * variance)
    trust = 1 - np.exp(-discs.significance / 8)
    return (trust * np.log(STRAY + (1 - STRAY) * density)).sum(1)


def residuals(bases: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of places (disc, axis) to the nearest node (basis, disc, axis), and its indices."""
    index = np.rint(places @ np.linalg.inv(bases))
    return places - index @ bases, index


def fit_lattice(discs: Discs, *, least: float) -> Fit | None:
    """The lattice with the most evidence; None without at least three discs.

    Args:
        discs: of a pattern.
        least: smallest length of a vector [px].
    """
    if len(discs.place) < 3:
        return None
    bases = _candidates(discs, least=least)
    if not len(bases):
        return None
    evidence = evidence_of(bases, discs, tolerance=2 * OWN)
    best: Fit | None = None
    for number in np.argsort(-evidence, kind="stable")[:POLISHED]:
        basis = fitted(bases[number], discs, tolerance=OWN)
        value = float(evidence_of(basis[None], discs, tolerance=OWN)[0]) - PARAMETERS
        if np.sqrt((reduced(basis)[0] ** 2).sum()) >= least and (best is None or value > best.evidence):  # fmt: skip
            best = Fit(value, reduced(basis))
    return best


def _candidates(discs: Discs, *, least: float) -> np.ndarray:
    """Pairs of short vectors between discs (basis, 2, 2)."""
    strongest = discs.place[: 2 * SHORTEST]
    apart = (strongest[:, None] - strongest)[np.triu_indices(len(strongest), 1)]
    length = np.hypot(*apart.T)
    apart = apart[length > least][np.argsort(length[length > least], kind="stable")[: 2 * SHORTEST]]
    near = strongest[np.argsort(np.hypot(*strongest.T), kind="stable")[:SHORTEST]]
    vectors = np.concatenate((near, apart))
    first, second = np.triu_indices(len(vectors), 1)
    cross = vectors[first, 0] * vectors[second, 1] - vectors[first, 1] * vectors[second, 0]
    size = np.hypot(*vectors[first].T) * np.hypot(*vectors[second].T)
    used = np.abs(cross) > np.sin(LEAST_ANGLE) * size
    return np.stack((vectors[first], vectors[second]), axis=1)[used]


def fitted(basis: Basis, discs: Discs, *, tolerance: float, rounds: int = 4) -> Basis:
    """The basis after least squares of the discs near its nodes."""
    variance = discs.sd**2 + LEAST_SD**2 + (tolerance**2) * (discs.place**2).sum(1)
    for _ in range(rounds):
        residual, index = residuals(basis[None], discs.place)
        used = (residual[0] ** 2).sum(1) < 9 * variance + 0.25
        matrix = index[0][used]
        if np.linalg.matrix_rank(matrix) < 2:
            return basis
        weight = 1 / np.sqrt(variance[used])[:, None]
        basis = np.linalg.lstsq(weight * matrix, weight * discs.place[used], rcond=None)[0]
    return basis


def aligned(lattice: Lattice, discs: Discs, *, tolerance: float) -> Fit | None:
    """A lattice of known shape, turned onto the discs of a pattern; None if no disc fits a node."""
    if not len(discs.place):
        return None
    nodes = lattice.nodes(1.1 * float(np.hypot(*discs.place.T).max()))
    if not len(nodes):
        return None
    strongest = discs.place[:ALIGNED]
    lengths = np.hypot(*strongest.T)[:, None], np.hypot(*nodes.T)
    disc, node = np.nonzero(np.abs(lengths[0] - lengths[1]) < LENGTHS * lengths[1] + LEAST_SD)
    if not len(disc):
        return None
    angles = direction(strongest)[disc] - direction(nodes)[node]
    angles = np.mod(angles, 2 * np.pi / lattice.n_fold)
    bases = turned(lattice.basis[None], angles[:, None])
    evidence = evidence_of(bases, discs, tolerance=tolerance)
    best = bases[int(np.argmax(evidence))]
    best = _turned_best(best, discs, tolerance=tolerance)
    return Fit(float(evidence_of(best[None], discs, tolerance=tolerance)[0]) - TURN, best)


def _turned_best(basis: Basis, discs: Discs, *, tolerance: float) -> Basis:
    """The basis after the turn that brings its nodes nearest to the discs."""
    variance = discs.sd**2 + LEAST_SD**2 + (tolerance**2) * (discs.place**2).sum(1)
    for _ in range(3):
        residual, index = residuals(basis[None], discs.place)
        used = (residual[0] ** 2).sum(1) < 9 * variance
        nodes = index[0] @ basis
        across = np.stack((-nodes[:, 1], nodes[:, 0]), axis=1)  # the derivative by the angle
        weight = used / variance
        total = float((weight * (across**2).sum(1)).sum())
        if total <= 0:
            return basis
        basis = turned(basis, float((weight * (across * residual[0]).sum(1)).sum()) / total)
    return basis
