"""Atoms within their nearest ones: known displacements come back, and where one is missing nothing is said."""

import numpy as np
import pytest

from invae.config import AtomsConfig
from invae.config.scenes import LatticeConfig
from invae.descriptors.atoms.neighbours import contrasts, displacements, shells
from invae.storage import store
from invae.synthetic import crystal, lattice

LATTICES = {
    "honeycomb": (crystal.honeycomb(1.0), 3),
    "square": (crystal.square(1.0), 4),
    "hexagonal": (crystal.hexagonal(1.0), 6),
    "perovskite": (crystal.perovskite(1.0), 4),
}


def sites(kind: str, *, size: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    return LATTICES[kind][0].rotated(0.3).sites(np.zeros(2), np.full(2, size))


def inner(places: np.ndarray, *, size: float = 12.0, margin: float = 1.5) -> np.ndarray:
    return np.all((places > margin) & (places < size - margin), axis=1)


@pytest.mark.parametrize("kind", LATTICES)
def test_the_lattice_says_how_many_neighbours_there_are(kind):
    places, _ = sites(kind)
    places = places + np.random.default_rng(0).normal(0, 0.02, places.shape)
    around = shells(places)
    assert around.shape == (len(places), LATTICES[kind][1])
    assert (around[inner(places)] >= 0).all()
    assert (around[~inner(places, margin=0.1)] == -1).all()


@pytest.mark.parametrize("kind", LATTICES)
def test_atoms_of_a_perfect_lattice_are_not_displaced(kind):
    places, _ = sites(kind)
    found = displacements(places, shells(places))
    here = inner(places)
    np.testing.assert_allclose(found[here], 0, atol=1e-12)


def test_the_inner_kind_of_atom_is_displaced_by_what_it_was_moved():
    places, kind = sites("perovskite")
    u = np.array([0.03, -0.07])
    moved = places + (kind == 1)[:, None] * u
    found, here = displacements(moved, shells(moved)), inner(moved)
    np.testing.assert_allclose(
        found[here & (kind == 1)], np.tile(u, (np.sum(here & (kind == 1)), 1))
    )
    np.testing.assert_allclose(
        found[here & (kind == 0)], np.tile(-u, (np.sum(here & (kind == 0)), 1))
    )


def test_beside_a_missing_atom_nothing_is_said():
    places, _ = sites("square")
    gone = int(np.argmin(((places - 6) ** 2).sum(axis=1)))
    near = np.flatnonzero(((places - places[gone]) ** 2).sum(axis=1) < 1.1)
    left = np.setdiff1d(np.arange(len(places)), gone)
    found = displacements(places[left], shells(places[left]))
    beside = np.isin(left, near)
    assert np.isnan(found[beside]).all()
    assert np.isfinite(found[inner(places[left]) & ~beside]).all()


def test_contrast_is_the_height_beside_the_neighbours():
    places, kind = sites("perovskite")
    found, here = contrasts(np.where(kind == 1, 10.0, 40.0), shells(places)), inner(places)
    np.testing.assert_allclose(found[here & (kind == 1)], 0.25)
    np.testing.assert_allclose(found[here & (kind == 0)], 4)


def test_too_few_atoms_have_no_neighbours():
    places = np.random.default_rng(0).random((5, 2))
    assert np.isnan(displacements(places, shells(places))).all()
    assert displacements(np.zeros((0, 2)), shells(np.zeros((0, 2)))).shape == (0, 2)


def test_displacements_across_a_wall_are_those_of_the_simulation(record, described):
    """The mark: R² of |u| ≥ 0.9, direction ≤ 10°; one frame of a seed that nothing was chosen by."""
    scene = lattice.draw(LatticeConfig(), seed=4101)
    recording = record({"image": scene["image"].to_numpy()}, pixel=0.02)
    found = store.open_store(described(recording, config=AtomsConfig(window_nm=0.6)), group="atoms")
    true = np.column_stack([scene["atom_y"][0], scene["atom_x"][0]])
    places = np.column_stack([found["y"], found["x"]])
    nearest = ((places[:, None] - true) ** 2).sum(-1).argmin(1)
    u = scene["u"].to_numpy()[nearest]
    moved = np.column_stack([found["displacement_y"], found["displacement_x"]])
    iron = (scene["sublattice"].to_numpy()[nearest] == 1) & np.isfinite(moved).all(axis=1)
    assert iron.sum() > 100
    assert (found["contrast"].to_numpy()[iron] < 0.5).all()
    size, true_size = found["displacement"].to_numpy()[iron], np.hypot(*u[iron].T)
    assert 1 - ((size - true_size) ** 2).sum() / ((true_size - true_size.mean()) ** 2).sum() >= 0.9
    far = true_size > 0.01
    turn = np.arctan2(*moved[iron][far].T) - np.arctan2(*u[iron][far].T)
    assert np.degrees(np.abs(np.angle(np.exp(1j * turn)))).mean() <= 10
