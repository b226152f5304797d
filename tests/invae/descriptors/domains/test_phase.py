"""From the lock-in's phase to signed polarization."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invae.descriptors.domains.phase import (
    alignment,
    amplitude_scale,
    doubled_angle_histogram,
    in_phase,
    phase_offset,
)


def domains(offset: float, *, noise: float, share_up: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    sign = np.where(generator.random(20_000) < share_up, 1, -1)
    quadratures = noise * generator.normal(size=(2, 20_000))
    return (sign + quadratures[0] + 1j * quadratures[1]) * np.exp(1j * offset)


@pytest.mark.parametrize("noise", [0.03, 0.1, 0.33])
@pytest.mark.parametrize("share_up", [0.1, 0.5, 1.0])
def test_an_offset_of_73_degrees_is_found_within_1_degree(noise: float, share_up: float) -> None:
    response = domains(np.deg2rad(73), noise=noise, share_up=share_up)
    found = phase_offset(doubled_angle_histogram(response))
    assert np.rad2deg(found) == pytest.approx(73, abs=1)


@given(st.floats(-np.pi, np.pi))
def test_the_offset_lies_within_a_quarter_turn_and_is_right_but_for_half_a_turn(
    offset: float,
) -> None:
    found = phase_offset(doubled_angle_histogram(domains(offset, noise=0.1, share_up=0.5)))
    assert -np.pi / 2 < found <= np.pi / 2
    assert abs(np.sin(found - offset)) < np.deg2rad(1)


def test_a_lost_stripe_does_not_move_the_offset() -> None:
    kept = domains(0.5, noise=0.1, share_up=0.5)
    lost = 2 * domains(0.5 + 1.2, noise=0.5, share_up=1.0, seed=1)[:6000]
    found = phase_offset(doubled_angle_histogram(np.concatenate([kept, lost])))
    assert found == pytest.approx(0.5, abs=np.deg2rad(2))


def test_histograms_of_two_frames_add_up_to_that_of_both() -> None:
    first, second = domains(0.2, noise=0.1, share_up=0.3), domains(0.2, noise=0.2, share_up=0.6)
    both = doubled_angle_histogram(np.concatenate([first, second]))
    np.testing.assert_allclose(
        doubled_angle_histogram(first) + doubled_angle_histogram(second), both
    )


def test_flipping_swaps_up_and_down() -> None:
    response = domains(0.4, noise=0.1, share_up=0.7)
    np.testing.assert_array_equal(
        in_phase(response, offset=0.4), -in_phase(response, offset=0.4, flip=True)
    )


def test_alignment_is_1_on_the_axis_and_minus_1_across_it() -> None:
    response = np.array([1, -1, 1j, -1j, np.exp(0.25j * np.pi)]) * np.exp(0.3j)
    np.testing.assert_allclose(alignment(response, offset=0.3), [1, 1, -1, -1, 0], atol=1e-6)


def test_what_is_no_number_is_left_out() -> None:
    response = domains(0.5, noise=0.1, share_up=0.5)
    response[::7] = np.nan
    assert phase_offset(doubled_angle_histogram(response)) == pytest.approx(0.5, abs=0.02)


def test_the_scale_of_domains_of_one_is_one_and_of_no_pixels_is_none() -> None:
    polarization = np.where(np.arange(100) % 2, 1.0, -1.0)
    assert amplitude_scale(polarization, np.ones(100, bool)) == 1
    assert np.isnan(amplitude_scale(polarization, np.zeros(100, bool)))
