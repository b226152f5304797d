"""Lattice constants from the places of the atoms."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from invae import dims
from invae.analysis.kind import Scalars

FEWEST_ATOMS = 30
MOST_ATOMS = 4000
"""Of one frame; those nearest to its middle."""
REACH = 4.5
"""Longest lattice vector, in distances of nearest neighbours."""
BIN = 0.15
"""Of the histogram of difference vectors, in distances of nearest neighbours."""
TOLERANCE = 0.25
"""Distance of an atom from its lattice place, in distances of nearest neighbours."""
LEAST_SUPPORT = 0.75
"""A lattice vector leads from at least this share of the atoms to another atom. A bond of a honeycomb does so from half of them."""
ROUNDS = 3
LEAST_ANGLE = np.radians(25)


@dataclass(frozen=True)
class Vector:
    """One lattice vector."""

    mean: np.ndarray
    """(y, x), in the unit of the places."""
    lengths: np.ndarray
    """Of the single differences along its direction (difference,)."""

    @property
    def length(self) -> float:
        """Its length."""
        return float(np.hypot(*self.mean))

    @property
    def error(self) -> float:
        """Standard error of the length; that of the calibration is not in it."""
        return float(self.lengths.std() / np.sqrt(max(len(self.lengths), 1)))

    @property
    def strain(self) -> float:
        """Standard deviation of the single lengths over the mean; it includes the error of the places."""
        return float(self.lengths.std() / self.length)


def lattice_vectors(places: np.ndarray) -> tuple[Vector, Vector] | None:
    """The two shortest vectors that lead from nearly every atom to another; None without a lattice.

    Args:
        places: of the atoms of one frame (atom, 2).
    """
    if len(places) < FEWEST_ATOMS:
        return None
    middle = np.median(places, axis=0)
    order = np.argsort(((places - middle) ** 2).sum(axis=1), kind="stable")
    places = places[order[:MOST_ATOMS]]
    tree = KDTree(places)
    distance = float(np.median(np.asarray(tree.query(places, k=2)[0])[:, 1]))
    pairs = tree.query_pairs(REACH * distance, output_type="ndarray")
    steps = places[pairs[:, 1]] - places[pairs[:, 0]]
    steps = np.concatenate(
        [steps, -steps]
    )  # both signs: folding would cut through vectors on the fold
    vectors = _supported(places, tree, steps, distance)
    first = next(vectors, None)
    if first is None:
        return None
    second = next((v for v in vectors if _angle(first.mean, v.mean) > LEAST_ANGLE), None)
    return None if second is None else (first, second)


def _supported(
    places: np.ndarray, tree: KDTree, steps: np.ndarray, distance: float
) -> Iterator[Vector]:
    """Difference vectors that are shared by nearly all atoms, the shortest first."""
    cells = np.round(steps / (BIN * distance)).astype(int)
    unique, counts = np.unique(cells, axis=0, return_counts=True)
    unique = unique[counts >= max(3, counts.max() // 8)]
    lengths = np.hypot(*unique.T)
    done: list[np.ndarray] = []
    for cell in unique[np.argsort(lengths, kind="stable")]:
        guess, near = _refined(steps, cell * BIN * distance, TOLERANCE * distance)
        if any(np.hypot(*(guess - sign * v)) < TOLERANCE * distance for v in done for sign in (1, -1)):  # fmt: skip
            continue
        done.append(guess)
        if len(near) and _support(places, tree, guess, distance) >= LEAST_SUPPORT:
            yield Vector(guess, near @ guess / np.hypot(*guess))


def _refined(steps: np.ndarray, guess: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the differences around a guess, and these differences."""
    for _ in range(ROUNDS):
        near = steps[np.hypot(*(steps - guess).T) < radius]
        if not len(near):
            break
        guess = near.mean(axis=0)
    return guess, steps[np.hypot(*(steps - guess).T) < radius]


def _support(places: np.ndarray, tree: KDTree, vector: np.ndarray, distance: float) -> float:
    """Share of the atoms from which the vector leads to another, of those for which its end lies in the frame."""
    ends = places + vector
    inside = ((ends >= places.min(axis=0)) & (ends <= places.max(axis=0))).all(axis=1)
    if not inside.any():
        return 0.0
    away = np.asarray(tree.query(ends[inside])[0])
    return float((away < TOLERANCE * distance).mean())


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """Between the directions of two vectors, from 0 to π/2 [rad]."""
    cosine = abs(first @ second) / (np.hypot(*first) * np.hypot(*second))
    return float(np.arccos(min(1.0, cosine)))


def lattice_scalars(sites: xr.Dataset) -> Scalars:
    """Lattice constants with standard errors, their angle, and the spread of local spacings, of the frame with most atoms."""
    frames, counts = np.unique(sites[dims.FRAME].to_numpy(), return_counts=True)
    here = sites[dims.FRAME].to_numpy() == frames[counts.argmax()]
    names, unit = ("y_nm", "x_nm"), "nm"
    if not all(name in sites and np.isfinite(sites[name].to_numpy()).all() for name in names):
        names, unit = (dims.Y, dims.X), "pixel"
    vectors = lattice_vectors(np.column_stack([sites[name].to_numpy()[here] for name in names]))
    if vectors is None:
        return {}
    scalars: Scalars = {}
    for name, vector in zip("ab", vectors, strict=True):
        scalars |= {
            f"lattice_{name}": (vector.length, f"lattice constant {name}", unit),
            f"lattice_{name}_error": (vector.error, f"standard error of {name}", unit),
            f"strain_{name}": (vector.strain, f"sd of the local spacing along {name} over {name}", "1"),
        }  # fmt: skip
    first, second = (vector.mean for vector in vectors)
    cosine = first @ second / (vectors[0].length * vectors[1].length)
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return {**scalars, "lattice_angle": (angle, "angle between a and b", "degree")}
