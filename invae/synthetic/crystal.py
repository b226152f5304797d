"""Two-dimensional lattices: where their sites lie, and where in the cell a place is."""

from dataclasses import dataclass
from typing import Self

import numpy as np

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


def along(angle: float) -> np.ndarray:
    """The unit vector (y, x) from the x axis towards -y by an angle [rad]."""
    return np.array([-np.sin(angle), np.cos(angle)])


def graphene() -> Crystal:
    """Graphene with a zigzag row along x and an atom at the origin."""
    side = np.sqrt(3) * BOND
    vectors = np.array([[0, side], [1.5 * BOND, side / 2]])
    return Crystal(vectors, np.array([[0, 0], [1 / 3, 1 / 3]]), np.zeros(2))


def perovskite(cell: float) -> Crystal:
    """A square cell [nm] with one site at its corner and one in its middle."""
    return Crystal(cell * np.eye(2), np.array([[0, 0], [0.5, 0.5]]), np.zeros(2))
