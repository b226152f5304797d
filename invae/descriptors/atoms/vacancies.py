"""Sites of a lattice where no atom was found: a step that carries the atoms around onto atoms carries these there, and there is none."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from invae.descriptors.atoms.refine import Shapes, heights

NEAR = 14
"""Atoms, the nearest, to which steps of the lattice may lead."""
AROUND = 14
"""Atoms, the nearest, that a step must carry onto atoms."""
CARRIED = 0.7
"""Share of them that it must carry, of those that it does not carry out of the frame."""
SAME = 0.3
"""Distance within which places are the same, in distances of nearest atoms."""
AGREEING = 4
"""Atoms from which a step leads to one empty site at least."""
OPEN = np.deg2rad(175)
"""Angle at a site in which none of them lies at most: beyond the edge of a crystal nothing is missing."""


@dataclass(frozen=True)
class Vacancies:
    """Empty sites of a frame."""

    position: np.ndarray
    """(vacancy, 2), (y, x) [px]."""
    height: np.ndarray
    """Of a Gaussian fitted there (vacancy,), in the image's unit."""
    expected: np.ndarray
    """Height of the atoms that belong on such sites (vacancy,)."""


def vacancies(image: np.ndarray, atoms: Shapes) -> Vacancies:
    """Empty sites among the atoms of a frame (y, x); only the lattice's own steps are used, so any kind of it will do."""
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
    there = heights(filled, middle, sd=rim)
    return Vacancies(middle, there, expected)


def _steps(tree: KDTree, *, shape: np.ndarray, within: float) -> tuple[np.ndarray, np.ndarray]:
    """Steps of the lattice around every atom: which (step,), and how far they go (step, 2) [px].

    A way from one atom to another is a step of the lattice if it carries the atoms around onto atoms too.
    """
    places = np.asarray(tree.data)
    near = np.asarray(tree.query(places, k=max(NEAR, AROUND) + 1)[1])
    ways = places[near[:, 1 : NEAR + 1]] - places[:, None]
    carried = places[near[:, : AROUND + 1]][:, None] + ways[:, :, None]
    inside = ((carried >= 0) & (carried <= shape - 1)).all(-1)
    onto = np.asarray(tree.query(carried.reshape(-1, 2), distance_upper_bound=within)[0])
    hits = (np.isfinite(onto).reshape(inside.shape) & inside).sum(-1)
    enough = (hits >= CARRIED * inside.sum(-1)) & (inside.sum(-1) >= AROUND / 2)
    owner, which = np.nonzero(enough)
    return owner, ways[owner, which]


def _agreed(
    proposed: np.ndarray, owner: np.ndarray, atoms: Shapes, *, within: float
) -> tuple[np.ndarray, np.ndarray]:
    """Means (vacancy, 2) of proposals that agree and lie all around, those of most first, and the height of their atoms.

    Args:
        proposed: places (proposal, 2) [px].
        owner: the atom that each comes from (proposal,).
        atoms: all of the frame.
        within: distance of places that are the same [px].
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
    """Whether ways (…, 2) lead in all directions."""
    bearing = np.sort(np.arctan2(apart[:, 0], apart[:, 1]))
    return bool(np.diff(bearing, append=bearing[0] + 2 * np.pi).max() <= OPEN)
