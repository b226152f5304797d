"""Pixels that measure nothing (gaps between chips, beam stops, markers) and dark levels do not move disc and centre of mass."""

import numpy as np
import pytest

from invae.config.scan import ScanConfig
from invae.scans import bad_pixels, virtual
from invae.scans.calibration import Axes, Calibration, calibrate

SHAPE, CENTRE, RADIUS = (48, 52), (22, 28), 9
Y, X = np.indices(SHAPE)
DISTANCE = np.hypot(Y - CENTRE[0], X - CENTRE[1])
CROSS = ((Y >= 23) & (Y < 25)) | ((X >= 26) & (X < 28))
BAR = (Y < 26) & (X >= 26) & (X < 29)


def patterns(n: int = 120) -> np.ndarray:
    """Counts in a disc, with a faint background."""
    mean = np.where(DISTANCE <= RADIUS, 12.0, 0.02)
    return np.random.default_rng(0).poisson(mean, (n, *SHAPE)).astype(np.uint16)


def calibrated(sample: np.ndarray) -> Calibration:
    return calibrate(sample, Axes((1.0, 1.0), None, "pixel"), ScanConfig())


@pytest.mark.parametrize("where", [CROSS, BAR])
@pytest.mark.parametrize(("value", "dtype"), [(0, "u2"), (65535, "u2"), (255, "u1"), (-1, "i4")])
def test_the_disc_is_found_across_a_gap(where: np.ndarray, value: int, dtype: str) -> None:
    sample = patterns().astype(dtype)
    sample[:, where] = value
    found = calibrated(sample)
    np.testing.assert_allclose(found.centre, CENTRE, atol=0.1)
    assert found.disc_radius == pytest.approx(RADIUS, abs=0.15)
    inside = where & (DISTANCE < RADIUS - 1)
    assert not found.valid[inside].any()
    assert found.valid[~where & (DISTANCE < RADIUS - 1)].all()
    assert any("left out of the maps" in note for note in found.notes)
    if value:
        assert not found.valid[where].any()
        assert any(f"always {value}" in note for note in found.notes)


def test_a_whole_detector_has_no_gap() -> None:
    found = calibrated(patterns())
    assert found.valid.all()
    assert found.notes == ()
    assert found.level == 0


def test_a_saturated_disc_is_not_marked() -> None:
    sample = np.minimum(patterns() * 40, 255).astype(np.uint8)
    sample[:, DISTANCE < 3] = 255
    assert not bad_pixels.marked(sample).any()


def test_the_dark_between_discs_that_lie_apart_is_kept() -> None:
    sample = patterns()
    sample[:, (DISTANCE > RADIUS)] = 0
    sample[:, :, :12] = patterns()[:, :, 23:35]
    assert calibrated(sample).valid.all()


@pytest.mark.parametrize("level", [-1, -2])
def test_a_level_below_0_does_not_turn_the_centre_of_mass(level: int) -> None:
    counts = patterns(12)
    counts[:, :, :28] //= 2  # more counts on the right
    lowered = counts.astype(np.int32) + level
    found = calibrated(np.concatenate([lowered] * 4))
    assert found.level == pytest.approx(level, abs=0.1)
    assert any("too much was subtracted" in note for note in found.notes)
    flat = np.full((1, *SHAPE), found.level)
    right = virtual.moments_of(counts, found.detectors)
    mended = virtual.moments_of(lowered, found.detectors) - virtual.moments_of(
        flat, found.detectors
    )
    np.testing.assert_allclose(mended[0], right[0], rtol=0.15)


def test_wide_gaps_are_filled_from_their_borders() -> None:
    image = np.full((9, 9), 5.0)
    valid = np.ones((9, 9), bool)
    valid[:, 3:6] = False
    image[~valid] = 0
    np.testing.assert_array_equal(bad_pixels.filled(image, valid), np.full((9, 9), 5.0))


STOP = DISTANCE < 11
ARM = (CENTRE[0] <= Y) & (abs(X - CENTRE[1]) <= 2)


def scattered(n: int = 120) -> np.ndarray:
    """Counts in a disc and in the scattering around it, which falls off slowly."""
    mean = np.where(DISTANCE <= RADIUS, 12.0, 0) + 0.5 * np.exp(-DISTANCE / 12)
    return np.random.default_rng(0).poisson(mean, (n, *SHAPE)).astype(np.uint16)


@pytest.mark.parametrize("value", [0, 65535])
@pytest.mark.parametrize("where", [STOP, STOP | ARM])
def test_a_disc_behind_a_beam_stop_is_told_and_not_taken_for_the_scattering(
    where: np.ndarray, value: int
) -> None:
    sample = scattered()
    sample[:, where] = value
    found = calibrated(sample)
    assert not found.valid[where].any()
    np.testing.assert_allclose(found.centre, CENTRE, atol=1.0)
    assert found.disc_radius == pytest.approx(11, abs=1.0)
    assert any("is covered by the beam stop" in note for note in found.notes)


def test_the_convergence_gives_the_radius_of_a_covered_disc() -> None:
    sample = scattered()
    sample[:, STOP] = 0
    calibration = Axes((2.0, 2.0), None, "mrad", convergence=18.0)
    assert calibrate(sample, calibration, ScanConfig()).disc_radius == pytest.approx(9)


def test_a_covered_disc_calibrates_no_detector() -> None:
    sample = scattered()
    sample[:, STOP] = 0
    found = calibrate(sample, Axes((1.0, 1.0), None, "pixel"), ScanConfig(convergence=18.0))
    assert found.units == "pixel"


@pytest.mark.parametrize("radius", [3, 5, 6])
def test_a_disc_around_a_smaller_beam_stop_is_found(radius: int) -> None:
    sample = scattered()
    hidden = np.hypot(Y - CENTRE[0] - 1, X - CENTRE[1]) < radius
    sample[:, hidden] = 0
    found = calibrated(sample)
    np.testing.assert_allclose(found.centre, CENTRE, atol=0.2)
    assert found.disc_radius == pytest.approx(RADIUS, abs=0.3)
    assert not found.valid[hidden].any()
    assert any("(a beam stop)" in note for note in found.notes)
    assert not any("is covered" in note for note in found.notes)


@pytest.mark.parametrize("value", [0, 65535])
def test_a_gap_that_crosses_the_detector_is_no_beam_stop(value: int) -> None:
    sample = scattered()
    sample[:, CROSS] = value
    assert not any("middle" in note for note in calibrated(sample).notes)
