"""Domain numbers with known answers: lattice constants and sizes of areas."""

import numpy as np
import pytest
import xarray as xr

from invae.analysis.atoms.lattice_constants import lattice_scalars, lattice_vectors
from invae.analysis.sizes import equivalent_diameters, pixel_area, size_scalars

HONEYCOMB = 0.246


def lattice(a, b, basis=((0, 0),), *, noise: float = 0.008, seed: int = 0) -> np.ndarray:
    """Places (atom, 2) in a field of 6 × 6 nm."""
    steps = np.stack(np.meshgrid(*[np.arange(-60, 60)] * 2, indexing="ij"), -1).reshape(-1, 2)
    places = np.concatenate([steps @ np.array([a, b], float) + origin for origin in basis])
    places = places[(np.abs(places) < 3).all(axis=1)]
    return places + np.random.default_rng(seed).normal(0, noise, places.shape)


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ({"a": (0.4, 0), "b": (0, 0.4)}, (0.4, 0.4)),
        ({"a": (0.4, 0), "b": (0, 0.55)}, (0.4, 0.55)),
        (
            {
                "a": (0, HONEYCOMB),
                "b": (HONEYCOMB * np.sqrt(3) / 2, HONEYCOMB / 2),
                "basis": ((0, 0), (HONEYCOMB / np.sqrt(3), 0)),
                "noise": 0.005,
            },
            (HONEYCOMB, HONEYCOMB),
        ),
    ],
    ids=["square", "rectangle", "honeycomb"],
)
def test_lattice_constants_are_those_of_the_lattice(places, expected, seed):
    vectors = lattice_vectors(lattice(**places, seed=seed))
    assert vectors is not None
    for vector, length in zip(vectors, expected, strict=True):
        assert vector.length == pytest.approx(length, abs=5 * vector.error)
        assert vector.error < 0.01 * length


def test_scattered_atoms_have_no_lattice():
    places = np.random.default_rng(0).uniform(-3, 3, (300, 2))
    assert lattice_vectors(places) is None
    assert lattice_vectors(places[:10]) is None


def test_the_spread_of_spacings_is_that_of_the_places():
    vectors = lattice_vectors(lattice((0.4, 0), (0, 0.4), noise=0.008))
    assert vectors is not None
    assert vectors[0].strain == pytest.approx(np.sqrt(2) * 0.008 / 0.4, rel=0.15)


def test_a_lattice_without_calibration_is_in_pixels():
    places = lattice((0.4, 0), (0, 0.4)) * 50
    sites = xr.Dataset(
        {"y": ("site", places[:, 0]), "x": ("site", places[:, 1])},
        coords={"frame": ("site", np.zeros(len(places), int))},
    )
    scalars = lattice_scalars(sites)
    assert scalars["lattice_a"][2] == "pixel"
    assert scalars["lattice_a"][0] == pytest.approx(20, rel=0.01)
    assert scalars["lattice_angle"][0] == pytest.approx(90, abs=1)


def test_sizes_are_those_of_the_areas_inside_the_image():
    y, x = np.indices((60, 80))
    labels = np.zeros((60, 80), int)
    labels[(y - 20) ** 2 + (x - 30) ** 2 < 10**2] = 1
    labels[(y - 45) ** 2 + (x - 60) ** 2 < 6**2] = 1
    labels[50:, :9] = 1
    diameters = np.sort(equivalent_diameters(labels, area=4.0))
    np.testing.assert_allclose(diameters, [24, 40], rtol=0.03)


def test_an_area_beside_masked_pixels_has_no_known_size():
    labels = np.zeros((40, 40), int)
    labels[10:20, 10:20] = 1
    labels[10:20, 20:24] = -1
    assert not len(equivalent_diameters(labels, area=1.0))
    assert size_scalars(np.zeros(0), name="domain", word="domain", unit="nm") == {}


def test_a_pixel_that_is_not_square_has_the_area_of_both_sides():
    rows, columns = (xr.DataArray(np.arange(5) * step, attrs={"units": "nm"}) for step in (2.0, 3.0))  # fmt: skip
    assert pixel_area(rows, columns) == (pytest.approx(6.0), "nm")
    assert pixel_area(rows.assign_attrs(units="pixel"), columns) == (1.0, "pixel")
