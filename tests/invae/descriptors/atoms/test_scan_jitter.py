"""Lines that jitter are put straight by what the lattice repeats, and those that do not are left alone."""

import numpy as np
import pytest

from invae.config.atoms import FindConfig
from invae.config.scenes import LatticeConfig
from invae.descriptors.atoms.find import find_atoms
from invae.descriptors.atoms.scan_jitter import lines_of, shift_of
from invae.synthetic import crystal, lattice

SIDE, SD = 512, 3.5


def atoms(*, angle: float, disorder: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    places, _ = crystal.square(18.0).rotated(angle).sites(np.zeros(2), np.full(2, float(SIDE)))
    return places + rng.normal(0, disorder, places.shape)


def jittered(places: np.ndarray, lines: np.ndarray) -> np.ndarray:
    return places + shift_of(lines, places[:, 0], sd=SD)[:, None] * np.array([0, 1])


@pytest.mark.parametrize("angle", [0.0, 0.2])
def test_lines_that_jitter_are_put_straight(angle):
    true = atoms(angle=angle, disorder=0.05, seed=1)
    lines = np.random.default_rng(2).normal(0, 0.3, SIDE)
    seen = jittered(true, lines)
    found = lines_of(seen, np.ones(len(seen)), sd=SD, n_lines=SIDE)
    left = seen[:, 1] - shift_of(found, seen[:, 0], sd=SD) - true[:, 1]
    assert left.std() < 0.6 * (seen[:, 1] - true[:, 1]).std()


@pytest.mark.parametrize("angle", [0.0, 0.2])
def test_disorder_of_the_atoms_is_not_taken_for_jitter(angle):
    true = atoms(angle=angle, disorder=0.3, seed=3)
    found = lines_of(true, np.ones(len(true)), sd=SD, n_lines=SIDE)
    assert np.abs(shift_of(found, true[:, 0], sd=SD)).max() < 0.1


def test_a_bent_lattice_stays_bent_to_a_tenth():
    true = atoms(angle=0.0, disorder=0.05, seed=4)
    true[:, 1] += 3.0 * np.sin(2 * np.pi * true[:, 0] / SIDE)
    found = lines_of(true, np.ones(len(true)), sd=SD, n_lines=SIDE)
    assert np.abs(shift_of(found, true[:, 0], sd=SD)).max() < 0.3


def test_too_few_atoms_say_nothing_of_lines():
    few = np.random.default_rng(0).random((7, 2)) * SIDE
    assert not lines_of(few, np.ones(7), sd=SD, n_lines=SIDE).any()


def test_iron_displaced_along_the_lines_is_not_taken_for_their_jitter():
    """Rows of iron lie on lines of their own, so all of them move together: only like atoms are compared."""
    base = LatticeConfig()
    settled = base.model_copy(update={"displacement_angle": 0.0, "wall_angle": 0.0})
    scene = lattice.draw(settled, seed=5)
    image = scene["image"].to_numpy()[0].astype(float)
    kept, straight = (
        find_atoms(image, config=FindConfig(lines=word)).position for word in ("keep", "straighten")
    )
    true = np.column_stack([scene["atom_y"][0], scene["atom_x"][0]])
    rms = []
    for places in (kept, straight):
        apart = ((places[:, None] - true) ** 2).sum(-1)
        inner = ((places > 20) & (places < 235)).all(axis=1)
        rms.append(np.sqrt(apart.min(axis=1)[inner].mean()))
    assert rms[1] <= rms[0] + 0.005
