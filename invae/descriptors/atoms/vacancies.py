"""Vacancies: lattice positions predicted from neighbouring atoms but not occupied."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from invae.descriptors.atoms.refine import Shapes, heights

NEAR = 14
"""Number of nearest atoms that give candidate lattice vectors."""
AROUND = 14
"""Number of nearest atoms on which a lattice vector is tested."""
MIN_SHARE = 0.7
"""Minimum share of them that the vector translates onto atoms, without those translated out of the frame."""
SAME = 0.3
"""Distance within which positions are the same, in distances of nearest atoms."""
AGREEING = 4
"""Minimum number of atoms that predict the same empty site."""
OPEN = np.deg2rad(175)
"""Largest angle at a site without any of these atoms: there are no vacancies beyond the edge of a crystal."""


@dataclass(frozen=True)
class Vacancies:
    """Empty sites of a frame."""

    position: np.ndarray
    """(vacancy, 2), (y, x) [px]."""
    height: np.ndarray
    """Height of a Gaussian fitted there (vacancy,), in the image's unit."""
    expected: np.ndarray
    """Median height of the atoms on equivalent sites (vacancy,)."""


def vacancies(image: np.ndarray, atoms: Shapes) -> Vacancies:
    """Empty sites among the atoms of a frame (y, x). Only lattice vectors from the atoms themselves are used, so any lattice is possible."""
    places = atoms.position
    none = Vacancies(np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    if len(places) <= max(NEAR, AROUND):
        return none
    tree = KDTree(places)
    spacing = float(np.median(np.asarray(tree.query(places, k=2)[0])[:, 1]))
    owner, step = _steps(tree, shape=np.array(image.shape), within=SAME * spacing)
    proposed = places[owner] - step
    rim = float(np.median(atoms.sd))
    inside = ((proposed >= rim) & (proposed <= np.array(image.shape) - 1 - rim)).all(axis=1)
    empty = inside & (np.asarray(tree.query(proposed)[0]) > SAME * spacing)
    proposed, owner = proposed[empty], owner[empty]
    if not len(proposed):
        return none
    middle, expected = _agreed(proposed, owner, atoms, within=SAME * spacing)
    filled = np.where(np.isfinite(image), image, np.nanmedian(image))
    height = heights(filled, middle, sd=rim)
    return Vacancies(middle, height, expected)


def _steps(tree: KDTree, *, shape: np.ndarray, within: float) -> tuple[np.ndarray, np.ndarray]:
    """Lattice vectors around every atom: index of the atom (step,), and the vector (step, 2) [px].

    A vector from one atom to another is a lattice vector if it translates the surrounding atoms onto atoms too.
    """
    places = np.asarray(tree.data)
    near = np.asarray(tree.query(places, k=max(NEAR, AROUND) + 1)[1])
    vectors = places[near[:, 1 : NEAR + 1]] - places[:, None]
    translated = places[near[:, : AROUND + 1]][:, None] + vectors[:, :, None]
    inside = ((translated >= 0) & (translated <= shape - 1)).all(-1)
    onto = np.asarray(tree.query(translated.reshape(-1, 2), distance_upper_bound=within)[0])
    hits = (np.isfinite(onto).reshape(inside.shape) & inside).sum(-1)
    enough = (hits >= MIN_SHARE * inside.sum(-1)) & (inside.sum(-1) >= AROUND / 2)
    owner, which = np.nonzero(enough)
    return owner, vectors[owner, which]


def _agreed(
    proposed: np.ndarray, owner: np.ndarray, atoms: Shapes, *, within: float
) -> tuple[np.ndarray, np.ndarray]:
    """Means (vacancy, 2) of proposals that agree and come from all directions, the most frequent first, and the height of
    their atoms.

    Args:
        proposed: positions (proposal, 2) [px].
        owner: the atom that gives each of them (proposal,).
        atoms: all atoms of the frame.
        within: distance below which positions are the same [px].
    """
    near = KDTree(proposed).query_ball_point(proposed, within)
    taken = np.zeros(len(proposed), bool)
    middle, expected = [], []
    for first in np.argsort([-len(group) for group in near], kind="stable"):
        here = np.array([one for one in near[first] if not taken[one]], int)
        if taken[first] or len(here) < AGREEING:
            continue
        taken[near[first]] = True
        place = proposed[here].mean(axis=0)
        if _surrounded(atoms.position[owner[here]] - place):
            middle.append(place)
            expected.append(np.median(atoms.height[owner[here]]))
    return np.array(middle).reshape(-1, 2), np.array(expected)


def _surrounded(apart: np.ndarray) -> bool:
    """Whether vectors (…, 2) cover all directions."""
    bearing = np.sort(np.arctan2(apart[:, 0], apart[:, 1]))
    return bool(np.diff(bearing, append=bearing[0] + 2 * np.pi).max() <= OPEN)
