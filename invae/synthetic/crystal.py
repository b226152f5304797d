"""Two-dimensional lattices: positions of their sites, and positions within a cell."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial import KDTree

BOND = 0.142
"""Distance of neighbouring carbon atoms in graphene [nm]. Source: Castro Neto et al. 2009, doi:10.1103/RevModPhys.81.109."""


@dataclass(frozen=True)
class Crystal:
    """A lattice in the plane; positions are (y, x) [nm]."""

    vectors: np.ndarray
    """Lattice vectors (vector, axis)."""
    basis: np.ndarray
    """Sites of a cell (site, vector), as fractions of the vectors."""
    origin: np.ndarray
    """Corner of a cell (axis,)."""

    def rotated(self, angle: float) -> Self:
        """The lattice rotated about the origin of positions, positive as np.rot90 [rad]."""
        rotation = rotation_matrix(angle)
        return type(self)(self.vectors @ rotation.T, self.basis, rotation @ self.origin)

    def shifted(self, fractions: np.ndarray) -> Self:
        """The lattice shifted by fractions of its vectors."""
        return type(self)(self.vectors, self.basis, self.origin + fractions @ self.vectors)

    def phase(self, positions: np.ndarray) -> np.ndarray:
        """Positions (..., axis) within their cells, as fractions of the vectors in [0, 1)."""
        return (positions - self.origin) @ np.linalg.inv(self.vectors) % 1

    def sites(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sites within a box (site, axis), and the index of each in the basis (site,)."""
        box = np.array([[y, x] for y in (low[0], high[0]) for x in (low[1], high[1])])
        reach = (box - self.origin) @ np.linalg.inv(self.vectors)
        first, last = np.floor(reach.min(0)).astype(int) - 1, np.ceil(reach.max(0)).astype(int) + 1
        cells = np.moveaxis(np.mgrid[first[0] : last[0], first[1] : last[1]], 0, -1).reshape(-1, 2)
        positions = self.origin + (cells[:, None] + self.basis).reshape(-1, 2) @ self.vectors
        index = np.tile(np.arange(len(self.basis)), len(cells))
        inside = ((positions >= low) & (positions <= high)).all(1)
        return positions[inside], index[inside]


def rotation_matrix(angle: float) -> np.ndarray:
    """The matrix that rotates (y, x), positive as np.rot90 [rad]."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def along(angle: float | np.ndarray) -> np.ndarray:
    """Unit vectors (..., axis) at angles (...) from the x axis towards -y [rad]."""
    return np.stack((-np.sin(angle), np.cos(angle)), axis=-1)


def graphene() -> Crystal:
    """Graphene with a zigzag row along x and an atom at the origin."""
    return honeycomb(BOND)


def honeycomb(spacing: float) -> Crystal:
    """Two sites per cell, neighbours at the spacing [nm]; a zigzag row along x."""
    cell = hexagonal(math.sqrt(3) * spacing)
    return Crystal(cell.vectors, np.array([[0, 0], [1 / 3, 1 / 3]]), cell.origin)


def hexagonal(spacing: float) -> Crystal:
    """One site per cell, six neighbours at the spacing [nm]; a close-packed row along x."""
    vectors = spacing * np.array([[0, 1], [math.sqrt(3) / 2, 1 / 2]])
    return Crystal(vectors, np.zeros((1, 2)), np.zeros(2))


def square(spacing: float) -> Crystal:
    """One site per cell, four neighbours at the spacing [nm]."""
    return Crystal(spacing * np.eye(2), np.zeros((1, 2)), np.zeros(2))


def perovskite(cell: float) -> Crystal:
    """A square cell [nm] with one site at its corner and one at its centre."""
    return Crystal(cell * np.eye(2), np.array([[0, 0], [0.5, 0.5]]), np.zeros(2))


@dataclass(frozen=True)
class Folded:
    """Positions in a honeycomb, reduced by its symmetry to a sixth of the triangle around an atom."""

    positions: np.ndarray
    """(..., axis) [nm] from an atom of sublattice 0 in the unrotated lattice, between a bond (-y) and the direction at a third of a half
    turn from it towards -x; patterns at equal positions differ by a rotation and a reflection only."""
    angle: np.ndarray
    """Rotation (...) of the surroundings, from -π to π, positive as np.rot90 [rad]."""
    mirrored: np.ndarray
    """Whether the surroundings (...) are mirrored left to right before the rotation."""


def folded(positions: np.ndarray, lattice: Crystal, *, angle: float) -> Folded:
    """Positions (..., axis) relative to the nearest atom of a honeycomb that is rotated by an angle [rad]."""
    flat = positions.reshape(-1, 2)
    reach = np.linalg.norm(lattice.vectors, axis=1).max()
    atoms, sublattice = lattice.sites(flat.min(0) - reach, flat.max(0) + reach)
    distance, nearest = KDTree(atoms).query(flat)
    half_turn = np.pi * sublattice[nearest]
    offset = (flat - atoms[nearest]) @ rotation_matrix(angle)
    bearing = np.arctan2(-offset[:, 0], offset[:, 1]) - np.pi / 2 - half_turn
    third = 2 * np.pi / 3
    remainder = (bearing + third / 2) % third - third / 2
    rotation = np.angle(np.exp(1j * (bearing - remainder + half_turn + angle)))
    wedge = np.asarray(distance)[:, None] * along(np.abs(remainder) + np.pi / 2)
    shape = positions.shape[:-1]
    mirrored = (remainder < 0).reshape(shape)
    return Folded(wedge.reshape(positions.shape), rotation.reshape(shape), mirrored)
