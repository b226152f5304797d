"""What is not to be believed is masked, and nothing else."""

import numpy as np
import pytest

from invae.config.describe import MaskConfig
from invae.descriptors.domains.masks import (
    BAD_LINE,
    NOT_FINITE,
    TIP_LOSS,
    invalid_reason,
    line_coherence,
)
from invae.descriptors.domains.phase import alignment, in_phase
from tests.invae.descriptors.conftest import disc, lock_in, texture

SHAPE = (96, 80)


def response(*, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    recorded = lock_in(disc(SHAPE, (50, 40), 22), noise=noise, seed=seed)
    return recorded["amplitude"] * np.exp(1j * recorded["phase"])


def reasons(values: np.ndarray, *, scan_lines: str = "rows") -> np.ndarray:
    return invalid_reason(
        in_phase(values, offset=0.6),
        alignment(values, offset=0.6),
        np.abs(values),
        scan_lines=scan_lines,
        config=MaskConfig(),
    )


@pytest.mark.parametrize("noise", [0, 0.03, 0.1, 0.33])
@pytest.mark.parametrize("scan_lines", ["rows", "columns"])
def test_a_good_frame_is_valid_everywhere(noise: float, scan_lines: str) -> None:
    assert not reasons(response(noise=noise), scan_lines=scan_lines).any()


@pytest.mark.parametrize("edge", [0, 3, 40, 93])
def test_a_wall_along_the_scan_lines_is_no_bad_line(edge: int) -> None:
    polarization = np.where(np.indices(SHAPE)[0] < edge, 1.0, -1.0)
    values = polarization * np.exp(0.6j) + 0.02 * texture(SHAPE, seed=1, size=0.5)
    assert not reasons(values).any()


@pytest.mark.parametrize("value", [0.0, 0.3 * np.exp(2j), 4 * np.exp(0.6j), -2 * np.exp(0.6j)])
@pytest.mark.parametrize("row", [0, 17, 95])
def test_a_scar_is_masked_and_its_neighbours_are_not(value: complex, row: int) -> None:
    values = response()
    values[row] = 100 * value + values[row] * 0.05
    found = reasons(values)
    assert (found[row] == BAD_LINE).all()
    assert not np.delete(found, row, axis=0).any()


def test_a_band_whose_phase_is_neither_up_nor_down_is_lost_contact() -> None:
    values = response()
    values[60:85] = 150 * np.exp(1j * (0.6 + 1.3)) * np.exp(0.3j * texture((25, 80), seed=2))
    found = reasons(values)
    assert (found[60:85] == TIP_LOSS).all()
    assert not found[:57].any()
    assert not found[88:].any()


@pytest.mark.parametrize("level", [0.0, 0.02])
def test_a_band_without_amplitude_is_lost_contact(level: float) -> None:
    values = response()
    values[20:40] = level * values[20:40]
    found = reasons(values)
    assert (found[20:40] == TIP_LOSS).all()
    assert not found[50:].any()


def test_columns_are_masked_where_scan_lines_are_columns() -> None:
    values = response()
    values[60:85] = 0
    np.testing.assert_array_equal(reasons(values.T, scan_lines="columns"), reasons(values).T)


def test_a_narrow_stripe_of_the_sample_along_the_lines_is_kept() -> None:
    values = response()
    values[30:36] *= 0.3
    assert not (reasons(values) == TIP_LOSS).any()


def test_a_gap_inside_a_lost_band_is_lost_too() -> None:
    values = response()
    lost = np.r_[20:40, 44:70]
    values[lost] = 100 * np.exp(1j * (0.6 + np.pi / 2))
    assert (reasons(values)[20:70] == TIP_LOSS).all()


def test_pixels_that_are_no_numbers_are_masked_alone() -> None:
    values = response()
    values[10, 11], values[50:53, 20:30] = np.nan, np.inf
    found = reasons(values)
    assert (found == NOT_FINITE).sum() == 31
    assert (found > 0).sum() == 31


def test_a_constant_frame_is_lost_as_a_whole() -> None:
    assert (reasons(np.full(SHAPE, 3.0 + 0j)) == TIP_LOSS).all()


def test_lines_that_jump_tell_how_the_frame_was_scanned() -> None:
    jumps = np.random.default_rng(3).normal(size=(96, 1))
    rows, columns = line_coherence(texture(SHAPE, seed=4) + jumps)
    assert rows > 2 * columns
