"""Hot pixels, faulty lines, offsets, tops that are cut off and dark atoms: no atom is lost, none is invented."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import KDTree

from invae.config import AtomsConfig
from invae.config.atoms import FindConfig
from invae.descriptors.atoms.faults import cut_off, mended
from invae.descriptors.atoms.find import are_dark, find_atoms
from invae.descriptors.atoms.patches import DARK, _not_square
from invae.descriptors.atoms.vacancies import vacancies
from invae.storage import store
from invae.synthetic import crystal

SIDE, SD, PEAK, BACKGROUND = 220, 2.1, 70.0, 25.0
PLACES = crystal.square(13.0).rotated(0.3).sites(np.full(2, -9.0), np.full(2, SIDE + 8.0))[0]
INNER = PLACES[((PLACES > 4) & (PLACES < SIDE - 5)).all(axis=1)]


def mean(places: np.ndarray = PLACES, *, sd: float = SD) -> np.ndarray:
    along = np.arange(SIDE)
    rows, columns = (np.exp(-((along - places[:, [n]]) ** 2) / (2 * sd**2)) for n in (0, 1))
    return BACKGROUND + PEAK * rows.T @ columns


def counts(places: np.ndarray = PLACES, *, sd: float = SD, seed: int = 77) -> np.ndarray:
    return np.random.default_rng(seed).poisson(mean(places, sd=sd)).astype(float)


def hot(image: np.ndarray) -> np.ndarray:
    image[40, 71] = image[121, 33] = image[180, 181] = 4e4
    return image


def line(image: np.ndarray) -> np.ndarray:
    image[90] += 180
    image[140] -= 90
    return image


def offset(image: np.ndarray) -> np.ndarray:
    return image + 32_768


def clipped(image: np.ndarray) -> np.ndarray:
    return np.clip(image * 255 / 65, 0, 255).astype(np.uint8).astype(float)


@pytest.mark.parametrize("fault", [hot, line, offset, clipped])
def test_a_fault_of_the_image_hides_no_atom_and_invents_none(fault):
    atoms = find_atoms(fault(counts()), config=FindConfig())
    missed = np.asarray(KDTree(atoms.position).query(INNER)[0])
    false = np.asarray(KDTree(PLACES).query(atoms.position)[0])
    assert missed.max() < 2
    assert false.max() < 4
    assert np.sqrt((missed**2).mean()) < 0.2


def test_a_hot_pixel_or_a_faulty_line_hides_no_vacancy():
    gone = int(np.argmin(np.hypot(*(PLACES - 110).T)))
    image = counts(np.delete(PLACES, gone, axis=0))
    y, x = np.rint(PLACES[gone]).astype(int)
    image[y, x], image[y + 1] = 4e4, image[y + 1] + 180
    found = vacancies(image, find_atoms(image, config=FindConfig()))
    np.testing.assert_allclose(found.position, PLACES[[gone]], atol=1.0)


@pytest.mark.parametrize("sd", [0.7, 1.0, 2.1])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_atoms_of_a_pixel_or_rows_of_atoms_are_no_faults(sd, angle):
    lattice = crystal.square(5.0).rotated(angle)
    dense = lattice.sites(np.full(2, 5.0), np.full(2, SIDE - 6.0))[0]
    for places in (dense, dense[::25], dense[np.abs(dense[:, 0] - 80) < 2.4]):
        image = counts(places, sd=sd)
        np.testing.assert_array_equal(mended(image), image - np.median(image))
        assert not cut_off(image).any()


def test_rare_counts_are_neither_hot_nor_cut_off():
    for expected in (0.02, 0.3, 2.0):
        image = np.random.default_rng(5).poisson(expected, (300, 300)).astype(float)
        np.testing.assert_array_equal(mended(image), image - np.median(image))
        assert not cut_off(image).any()


def test_pixels_at_the_cut_are_known_and_heights_exceed_it():
    image = clipped(counts())
    assert (cut_off(image) == (image == 255)).all()
    height = find_atoms(image, config=FindConfig()).height
    assert np.median(height) > 1.05 * (255 - np.median(image))


def test_dead_pixels_are_no_dark_atoms():
    image = counts()
    image[50, 50] = image[100, 120] = -3000.0
    assert mended(image).min() > -100
    assert not are_dark(image, config=FindConfig())


@pytest.mark.parametrize("kind", ["square", "hexagonal", "honeycomb"])
def test_dark_atoms_are_known_and_found(kind):
    lattice = getattr(crystal, kind)(13.0).rotated(0.2)
    places = lattice.sites(np.full(2, -9.0), np.full(2, SIDE + 8.0))[0]
    image = np.random.default_rng(79).poisson(3 * (140 - mean(places))).astype(float)
    assert are_dark(image, config=FindConfig())
    assert not are_dark(counts(places), config=FindConfig())
    atoms = find_atoms(image, config=FindConfig())
    inner = places[((places > 4) & (places < SIDE - 5)).all(axis=1)]
    assert np.asarray(KDTree(atoms.position).query(inner)[0]).max() < 2.5
    assert np.asarray(KDTree(places).query(atoms.position)[0]).max() < 4
    assert (atoms.height > 0).all()


@pytest.mark.parametrize("sd", [1.5, 3.0, 4.5])
def test_a_blurred_honeycomb_of_bright_atoms_and_noise_are_not_dark(sd):
    places = crystal.honeycomb(9.0).sites(np.full(2, -9.0), np.full(2, SIDE + 8.0))[0]
    assert not are_dark(counts(places, sd=sd), config=FindConfig())
    assert not are_dark(counts(places[:0]), config=FindConfig())
    assert are_dark(counts(places, sd=sd), config=FindConfig(atoms="dark"))


def test_dark_atoms_and_their_vacancies_are_in_the_store_with_a_note(record, described):
    gone = int(np.argmin(np.hypot(*(PLACES - 110).T)))
    bright = counts(np.delete(PLACES, gone, axis=0))
    for image, notes in ((bright, []), (200 - bright, [DARK])):
        recording = record({"image": image[None]}, pixel=0.02, name=f"{len(notes)}.zarr")
        path = described(recording, config=AtomsConfig(window=24), name=f"told_{len(notes)}.zarr")
        told = store.open_store(path)
        assert [note for note in told.attrs["notes"] if note == DARK] == notes
        empty = store.open_store(path, group="vacancies")
        np.testing.assert_allclose([empty["y"], empty["x"]], PLACES[[gone]].T, atol=1)


@pytest.mark.parametrize(("finer", "told"), [(1.0, 0), (1.5, 1), (3.0, 1)])
def test_pixels_that_are_not_square_are_told(finer, told):
    steps = {"y": np.arange(8) * 0.03 / finer, "x": np.arange(8) * 0.03}
    places = {name: (name, values, {"units": "nm"}) for name, values in steps.items()}
    notes = _not_square(xr.Dataset(coords=places))
    assert len(notes) == told
    assert all("resample the image to square pixels" in note for note in notes)
