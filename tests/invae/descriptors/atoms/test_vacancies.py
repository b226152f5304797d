"""Sites without an atom are told, whatever the lattice, and nothing is missing where there is no site."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from invae.config import AtomsConfig
from invae.config.atoms import FindConfig
from invae.config.scenes import AtomFramesConfig
from invae.descriptors.atoms.find import find_atoms
from invae.descriptors.atoms.refine import Shapes, draw
from invae.descriptors.atoms.vacancies import vacancies
from invae.storage import store
from invae.synthetic import atoms as scenes
from invae.synthetic import crystal

SIDE = 200
LATTICES = {
    "square": crystal.square(14.0),
    "hexagonal": crystal.hexagonal(14.0),
    "honeycomb": crystal.honeycomb(10.0),
    "perovskite": crystal.perovskite(20.0),
}


def shapes(places: np.ndarray) -> Shapes:
    ones = np.ones(len(places))
    return Shapes(places, 5 * ones, 2 * ones, 0 * ones)


def drawn(atoms: Shapes) -> np.ndarray:
    """The image of the atoms."""
    state = np.column_stack([atoms.height, atoms.position, np.log(atoms.sd)])
    return draw((SIDE, SIDE), state, radius=8.0)


def sites(kind: str) -> np.ndarray:
    return LATTICES[kind].rotated(0.2).sites(np.full(2, 3.0), np.full(2, SIDE - 4.0))[0]


@pytest.mark.parametrize("kind", LATTICES)
def test_missing_atoms_are_told_and_no_others(kind):
    rng = np.random.default_rng(1)
    places = sites(kind)
    inner = np.flatnonzero(((places > 40) & (places < SIDE - 41)).all(axis=1))
    gone = rng.choice(inner, 5, replace=False)
    left = np.delete(places, gone, axis=0)
    present = shapes(left + rng.normal(0, 0.2, left.shape))
    found = vacancies(drawn(present), present)
    assert len(found.position) == len(gone)
    distance, index = (np.asarray(part) for part in KDTree(places[gone]).query(found.position))
    assert distance.max() < 1
    assert len(np.unique(index)) == len(gone)
    np.testing.assert_allclose(found.expected, 5)


@pytest.mark.parametrize("kind", LATTICES)
def test_a_perfect_lattice_has_no_empty_sites_and_ends_where_it_ends(kind):
    places = sites(kind)
    flake = places[((places - SIDE / 2) ** 2).sum(axis=1) < 70**2]
    for present in (places, flake):
        assert len(vacancies(drawn(shapes(present)), shapes(present)).position) == 0


def test_atoms_in_disorder_have_no_sites():
    places = np.random.default_rng(2).uniform(0, SIDE, (150, 2))
    for present in (shapes(places), shapes(places[:5])):
        assert len(vacancies(drawn(present), present).position) == 0


@pytest.mark.parametrize("kind", LATTICES)
def test_a_site_where_the_image_has_an_atom_or_no_pixel_is_not_empty(kind):
    places = sites(kind)
    inner = np.flatnonzero(((places > 60) & (places < SIDE - 61)).all(axis=1))
    missed, masked, empty = inner[[0, len(inner) // 2, -1]]
    there = shapes(np.delete(places, empty, axis=0))
    image = drawn(there)
    y, x = np.rint(places[masked]).astype(int)
    image[y - 3 : y + 4, x - 3 : x + 4] = np.nan
    found = vacancies(image, shapes(np.delete(places, [missed, masked, empty], axis=0)))
    np.testing.assert_allclose(found.position, places[[empty]], atol=0.1)


@pytest.mark.parametrize("dose", [40.0, 100.0, 200.0, 500.0])
def test_more_electrons_and_tails_of_the_probe_make_no_false_vacancies(dose):
    imaging = {"rows": 320, "columns": 320, "n_frames": 1, "atom_sd": 0.055, "tails": 0.2}
    config = AtomFramesConfig.model_validate(
        {
            "lattice": "honeycomb",
            "spacing": 0.2,
            "elements": ["Mo", "S2"],
            "vacancies": 0.02,
            "angle": 17,
            "imaging": {**imaging, "dose": dose, "background": dose / 4},
        }
    )
    scene = scenes.draw(config, seed=811)
    image = scene["image"].to_numpy()[0].astype(float)
    true = np.column_stack([scene[name][0] for name in ("atom_y", "atom_x")])
    occupied = scene["occupied"].to_numpy()[0]
    atoms = find_atoms(image, config=FindConfig())
    inner = ((true > 35) & (true < 284)).all(axis=1)
    near = np.asarray(KDTree(atoms.position).query(true[inner & occupied])[0])
    assert (near < 3).mean() > 0.98
    found = vacancies(image, atoms).position
    assert np.asarray(KDTree(true[~occupied]).query(found)[0]).max() < 4
    told = np.asarray(KDTree(found).query(true[inner & ~occupied])[0]) < 4
    assert told.mean() >= 0.9


def test_known_vacancies_of_a_simulated_image_are_listed_in_the_store(record, described):
    config = AtomFramesConfig.model_validate(
        {
            "vacancies": 0.04,
            "imaging": {"rows": 256, "columns": 256, "n_frames": 2, "atom_sd": 0.07},
        }
    )
    scene = scenes.draw(config, seed=6203)
    recording = record({"image": scene["image"].to_numpy()}, pixel=0.02)
    found = store.open_store(described(recording, config=AtomsConfig(window=24)), group="vacancies")
    for frame in range(2):
        true = np.column_stack([scene[name][frame] for name in ("atom_y", "atom_x")])
        gone = true[~scene["occupied"].to_numpy()[frame]]
        inner = gone[((gone > 22) & (gone < 233)).all(axis=1)]
        here = found["frame"].to_numpy() == frame
        told = np.column_stack([found["y"], found["x"]])[here]
        assert len(inner) >= 4
        assert np.asarray(KDTree(told).query(inner)[0]).max() < 3
        assert np.asarray(KDTree(gone).query(told)[0]).max() < 3
    assert np.abs(found["height"] / found["expected"]).max() < 0.3
    np.testing.assert_allclose(found["x_nm"], found["x"] * 0.02)


def test_what_a_mask_hides_is_not_a_number_nowhere():
    scene = scenes.draw(
        AtomFramesConfig.model_validate({"imaging": {"rows": 128, "columns": 128, "n_frames": 1}}),
        seed=3,
    )
    image = scene["image"].to_numpy()[0].astype(float)
    image[:10, :10] = np.nan
    found = vacancies(image, find_atoms(image, config=FindConfig()))
    assert np.isfinite(found.height).all()
