"""Vacancies: lattice positions predicted from neighbouring atoms but not occupied."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from invae.descriptors.atoms.faults import mended
from invae.descriptors.atoms.refine import DRAWN, Shapes, draw, heights

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
LOW = 0.3
"""Largest height at an empty site, relative to the atoms on equivalent sites."""
ODDS = 50.0
"""Occupied sites per empty one that are assumed when noise makes the height uncertain."""
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
    filled = mended(image)
    groups = _agreed(proposed, owner, places, within=SAME * spacing)
    middle = np.array([place for place, _ in groups]).reshape(-1, 2)
    expected = np.array([np.median(atoms.height[here]) for _, here in groups])
    drawn = np.column_stack([atoms.height, places, np.full(len(places), np.log(rim))])
    residual = filled - draw(filled.shape, drawn, radius=DRAWN * rim)
    height = heights(residual, middle, sd=rim)
    beside = atoms.height + heights(residual, places, sd=rim)
    low = _low(height, [beside[here] for _, here in groups]) & _known(image, middle)
    return Vacancies(middle[low], height[low], expected[low])


def _low(height: np.ndarray, beside: list[np.ndarray]) -> np.ndarray:
    """Whether heights (site,) are more likely those of empty sites than of weak atoms.

    For a normal scatter s of heights, an atom of height h and an empty site are equally likely at h/2 − s²·ln(odds)/h. Noise is
    part of s, the scatter of the atoms on equivalent sites, measured in the same way. A site above a share of h is never empty.

    Args:
        height: height of a Gaussian at each site (site,).
        beside: heights at the atoms on equivalent sites around each of them.
    """
    typical = np.array([np.median(here) for here in beside])
    variance = np.array([np.var(here, ddof=1) for here in beside])
    limit = np.minimum(LOW * typical**2, typical**2 / 2 - variance * np.log(ODDS))
    return height * typical < limit


def _known(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether the pixels nearest to positions are measured."""
    return np.isfinite(image[tuple(np.rint(places).astype(int).T)])


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
    proposed: np.ndarray, owner: np.ndarray, places: np.ndarray, *, within: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Means (2,) of proposals that agree and come from all directions, the most frequent first, and the indices of their
    atoms.

    Args:
        proposed: positions (proposal, 2) [px].
        owner: the atom that gives each of them (proposal,).
        places: positions of all atoms (atom, 2) [px].
        within: distance below which positions are the same [px].
    """
    near = KDTree(proposed).query_ball_point(proposed, within)
    taken = np.zeros(len(proposed), bool)
    groups = []
    for first in np.argsort([-len(group) for group in near], kind="stable"):
        here = np.array([one for one in near[first] if not taken[one]], int)
        if taken[first] or len(here) < AGREEING:
            continue
        taken[near[first]] = True
        place = proposed[here].mean(axis=0)
        if _surrounded(places[owner[here]] - place):
            groups.append((place, owner[here]))
    return groups


def _surrounded(apart: np.ndarray) -> bool:
    """Whether vectors (…, 2) cover all directions."""
    bearing = np.sort(np.arctan2(apart[:, 0], apart[:, 1]))
    return bool(np.diff(bearing, append=bearing[0] + 2 * np.pi).max() <= OPEN)
