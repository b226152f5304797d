"""The lattice that maps of a scan share, and where it is missing."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from invae.analysis.diffraction.lattice import Deviation, deviations_from_lattice, find_lattice

SHAPE = (40, 44)
FREQUENCIES = np.array([[0.094, 0.011], [0.038, 0.087]])
"""Of a lattice whose directions lie at about 60° [1/scan step]."""
WHERE = (21, 17)
NO_ZERO = np.zeros(3, bool)


def atoms(seed: int, *, missing: bool = True, noise: float, shape=SHAPE) -> np.ndarray:
    """Three maps of a crystal: the slopes of its potential and what it scatters (row, column, field)."""
    y, x = np.indices(shape)
    cells = np.stack(np.meshgrid(*2 * [np.arange(-20, 21)]), axis=-1).reshape(-1, 2)
    places = cells @ np.linalg.inv(FREQUENCIES).T + WHERE
    if missing:
        places = places[np.hypot(*(places - WHERE).T) > 0.1]
    fields = np.zeros((*shape, 3))
    for row, column in places[(places > -12).all(1) & (places < max(shape) + 12).all(1)]:
        near = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 2.2**2))
        fields += np.stack(((y - row) * near, (x - column) * near, near), axis=-1)
    fields /= fields.std((0, 1))
    return fields + noise * np.random.default_rng(seed).standard_normal(fields.shape)


def whitened(fields: np.ndarray) -> np.ndarray:
    return (fields - fields.mean((0, 1))) / fields.std((0, 1))


def deviation_of(fields: np.ndarray, *, from_zero: np.ndarray) -> Deviation:
    found = deviations_from_lattice(fields, from_zero=from_zero)
    assert found is not None
    return found


def peak(deviation: Deviation) -> tuple[int, ...]:
    return tuple(map(int, np.unravel_index(deviation.missing.argmax(), deviation.missing.shape)))


def test_the_directions_of_a_lattice_are_found_in_noise():
    found = find_lattice(whitened(atoms(0, noise=3.0)))
    assert found is not None
    steps = found @ np.linalg.inv(FREQUENCIES)
    assert np.abs(steps - np.round(steps)).max() < 0.05
    assert abs(round(float(np.linalg.det(np.round(steps))))) == 1


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_lattice(seed):
    assert find_lattice(whitened(np.random.default_rng(seed).normal(size=(*SHAPE, 3)))) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_missing_atom_is_where_the_lattice_lacks_most_even_if_single_probes_say_nothing(seed):
    deviation = deviation_of(atoms(seed, noise=2.5), from_zero=np.array([False, False, True]))
    assert deviation.information < 0.2
    assert np.hypot(*np.subtract(peak(deviation), WHERE)) <= 3


def test_a_whole_lattice_lacks_less():
    broken, whole = (
        deviation_of(atoms(1, missing=missing, noise=1.0), from_zero=NO_ZERO)
        for missing in (True, False)
    )
    assert whole.missing.max() < 0.7 * broken.missing.max()


def test_clear_patterns_tell_more_than_noisy_ones():
    information = [
        deviation_of(atoms(2, noise=n), from_zero=NO_ZERO).information for n in (0.2, 1.0, 3.0)
    ]
    assert information[0] > 0.7 > 0.6 > information[1] > 0.3 > 0.2 > information[2]


def test_units_and_offsets_of_fields_without_a_zero_do_not_count():
    fields = atoms(3, noise=1.0)
    one, other = (
        deviation_of(each, from_zero=NO_ZERO) for each in (fields, fields * [3, 0.1, 7] + [5, 0, 1])
    )
    np.testing.assert_allclose(one.missing, other.missing, atol=1e-4)


def test_probes_without_a_value_and_fields_without_any_contrast_are_passed_over():
    fields = np.concatenate((atoms(0, noise=1.0), np.ones((*SHAPE, 1))), axis=-1)
    fields[3, 5, 0] = np.nan
    deviation = deviation_of(fields, from_zero=np.zeros(4, bool))
    assert np.isfinite(deviation.missing).all()
    assert np.hypot(*np.subtract(peak(deviation), WHERE)) <= 3
    assert deviations_from_lattice(np.ones((*SHAPE, 2)), from_zero=NO_ZERO[:2]) is None


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("scene", ["particle", "edge", "domains"])
def test_what_does_not_repeat_itself_has_no_lattice(scene, noise):
    rng, (y, x) = np.random.default_rng(0), np.indices(SHAPE)
    image = {
        "particle": np.hypot(y - 17, x - 23) < 11,
        "edge": 0.8 * y + 0.3 * x > 24,
        "domains": ndi.gaussian_filter(rng.normal(size=SHAPE), 4) > 0,
    }[scene].astype(float)
    fields = np.stack((*np.gradient(image), image), axis=-1) / image.std()
    fields += noise * rng.standard_normal(fields.shape)
    assert deviations_from_lattice(fields, from_zero=np.array([False, False, True])) is None


def test_a_lattice_is_found_without_any_noise():
    deviation = deviation_of(atoms(0, noise=0.0), from_zero=NO_ZERO)
    assert deviation.information > 0.7
    assert np.hypot(*np.subtract(peak(deviation), WHERE)) <= 3


def test_a_scan_of_a_few_cells_has_no_lattice():
    assert deviations_from_lattice(atoms(0, noise=0.1)[:15], from_zero=NO_ZERO) is None
