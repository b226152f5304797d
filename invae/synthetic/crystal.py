"""Two-dimensional lattices: where their sites lie, and where in the cell a place is."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial import KDTree

BOND = 0.142
"""Distance of neighbouring carbon atoms in graphene [nm]. Source: Castro Neto et al. 2009, doi:10.1103/RevModPhys.81.109."""


@dataclass(frozen=True)
class Crystal:
    """A lattice in the plane; places are (y, x) [nm]."""

    vectors: np.ndarray
    """Lattice vectors (vector, axis)."""
    basis: np.ndarray
    """Sites of a cell (site, vector), as fractions of the vectors."""
    origin: np.ndarray
    """Corner of a cell (axis,)."""

    def turned(self, angle: float) -> Self:
        """The lattice turned about the origin of places, positive as np.rot90 [rad]."""
        turn = turning(angle)
        return type(self)(self.vectors @ turn.T, self.basis, turn @ self.origin)

    def moved(self, fractions: np.ndarray) -> Self:
        """The lattice moved by fractions of its vectors."""
        return type(self)(self.vectors, self.basis, self.origin + fractions @ self.vectors)

    def phase(self, places: np.ndarray) -> np.ndarray:
        """Where in their cells places (..., axis) lie, as fractions of the vectors in [0, 1)."""
        return (places - self.origin) @ np.linalg.inv(self.vectors) % 1

    def sites(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sites within a box (site, axis), and the index of each in the basis (site,)."""
        box = np.array([[y, x] for y in (low[0], high[0]) for x in (low[1], high[1])])
        reach = (box - self.origin) @ np.linalg.inv(self.vectors)
        first, last = np.floor(reach.min(0)).astype(int) - 1, np.ceil(reach.max(0)).astype(int) + 1
        cells = np.moveaxis(np.mgrid[first[0] : last[0], first[1] : last[1]], 0, -1).reshape(-1, 2)
        places = self.origin + (cells[:, None] + self.basis).reshape(-1, 2) @ self.vectors
        index = np.tile(np.arange(len(self.basis)), len(cells))
        inside = ((places >= low) & (places <= high)).all(1)
        return places[inside], index[inside]


def turning(angle: float) -> np.ndarray:
    """The matrix that turns (y, x), positive as np.rot90 [rad]."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def along(angle: float | np.ndarray) -> np.ndarray:
    """Unit vectors (..., axis) from the x axis towards -y by angles (...) [rad]."""
    return np.stack((-np.sin(angle), np.cos(angle)), axis=-1)


def graphene() -> Crystal:
    """Graphene with a zigzag row along x and an atom at the origin."""
    return honeycomb(BOND)


def honeycomb(spacing: float) -> Crystal:
    """Two sites in a cell, neighbours at the spacing [nm]; a zigzag row along x."""
    cell = hexagonal(math.sqrt(3) * spacing)
    return Crystal(cell.vectors, np.array([[0, 0], [1 / 3, 1 / 3]]), cell.origin)


def hexagonal(spacing: float) -> Crystal:
    """One site in a cell, six neighbours at the spacing [nm]; a close-packed row along x."""
    vectors = spacing * np.array([[0, 1], [math.sqrt(3) / 2, 1 / 2]])
    return Crystal(vectors, np.zeros((1, 2)), np.zeros(2))


def square(spacing: float) -> Crystal:
    """One site in a cell, four neighbours at the spacing [nm]."""
    return Crystal(spacing * np.eye(2), np.zeros((1, 2)), np.zeros(2))


def perovskite(cell: float) -> Crystal:
    """A square cell [nm] with one site at its corner and one in its middle."""
    return Crystal(cell * np.eye(2), np.array([[0, 0], [0.5, 0.5]]), np.zeros(2))


@dataclass(frozen=True)
class Folded:
    """Places in a honeycomb, brought into a sixth of the triangle around an atom by the symmetry of the lattice."""

    places: np.ndarray
    """(..., axis) [nm] from an atom of sublattice 0 in the lattice that is not turned, between a bond (-y) and a third of a half turn from
    it towards -x; places with one value have patterns that differ by a turn and a mirror."""
    turn: np.ndarray
    """Angle (...) by which the surroundings are turned, from -π to π, positive as np.rot90 [rad]."""
    mirrored: np.ndarray
    """(...) bool: whether they are mirrored, left and right, before they are turned."""


def folded(places: np.ndarray, lattice: Crystal, *, angle: float) -> Folded:
    """Where places (..., axis) lie about their nearest atom of a honeycomb that was turned by an angle [rad]."""
    flat = places.reshape(-1, 2)
    reach = np.linalg.norm(lattice.vectors, axis=1).max()
    atoms, sublattice = lattice.sites(flat.min(0) - reach, flat.max(0) + reach)
    distance, nearest = KDTree(atoms).query(flat)
    other = np.pi * sublattice[nearest]
    offset = (flat - atoms[nearest]) @ turning(angle)
    bearing = np.arctan2(-offset[:, 0], offset[:, 1]) - np.pi / 2 - other
    third = 2 * np.pi / 3
    rest = (bearing + third / 2) % third - third / 2
    turn = np.angle(np.exp(1j * (bearing - rest + other + angle)))
    wedge = np.asarray(distance)[:, None] * along(np.abs(rest) + np.pi / 2)
    over = places.shape[:-1]
    return Folded(wedge.reshape(places.shape), turn.reshape(over), (rest < 0).reshape(over))
