"""Angles: nothing is folded, divergences are right, peaks are found between the grid's angles."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invae.models.geometry.circle import (
    TURN,
    AnglePosterior,
    CirclePrior,
    WrappedNormal,
    circle_grid,
    log_wrapped_normal,
)

FIXED = settings(derandomize=True, max_examples=40, deadline=None)


def wrapped(mean: float, sd: float) -> WrappedNormal:
    return WrappedNormal(
        torch.tensor([[mean]], dtype=torch.float64),
        torch.tensor([[math.log(sd)]], dtype=torch.float64),
    )


@pytest.mark.parametrize("sd", [0.1, 1.0, 3.0])
def test_a_wrapped_normal_integrates_to_one(sd):
    angle = torch.linspace(-math.pi, math.pi, 4001, dtype=torch.float64)[:-1]
    assert float(log_wrapped_normal(angle, sd).exp().mean()) * TURN == pytest.approx(1)


@FIXED
@given(mean=st.floats(-7, 7), sd=st.floats(0.002, 3), prior=st.floats(0.3, 3) | st.none())
def test_no_divergence_is_negative(mean, sd, prior):
    assert float(wrapped(mean, sd).kl(CirclePrior(prior))) > -1e-7


@pytest.mark.parametrize("sd", [0.05, 0.7, 2.0])
def test_the_divergence_vanishes_at_the_prior(sd):
    assert float(wrapped(0.0, sd).kl(CirclePrior(sd))) == pytest.approx(0, abs=1e-9)
    assert float(wrapped(TURN, sd).kl(CirclePrior(sd))) == pytest.approx(0, abs=1e-9)


def test_a_narrow_angle_costs_what_a_normal_does_against_the_uniform():
    sd = 0.05
    entropy = 0.5 * math.log(2 * math.pi * math.e * sd**2)
    assert float(wrapped(3.1, sd).kl(CirclePrior())) == pytest.approx(math.log(TURN) - entropy)


def test_against_a_narrow_prior_the_divergence_is_the_normal_one():
    found = float(wrapped(0.2, 0.05).kl(CirclePrior(0.3)))
    ratio = 0.05 / 0.3
    assert found == pytest.approx(0.5 * (ratio**2 + (0.2 / 0.3) ** 2 - 1) - math.log(ratio))


def test_a_wide_angle_has_no_resultant_and_a_narrow_one_is_certain():
    assert float(wrapped(0, 3).resultant) < 0.02
    assert float(wrapped(0, 0.01).resultant) > 0.9999


def bumps(*peaks: float, n_angles: int = 256, sharpness: float = 50.0) -> AnglePosterior:
    grid = circle_grid(n_angles, like=torch.zeros(1, dtype=torch.float64))
    scores = torch.stack([sharpness * (grid - peak).cos() for peak in peaks]).logsumexp(0)
    return AnglePosterior.from_scores(scores[None], CirclePrior())


@FIXED
@given(peak=st.floats(-3.14, 3.14))
def test_a_peak_is_found_between_the_angles_of_the_grid(peak):
    posterior = bumps(peak)
    for found in (posterior.angle, posterior.mean):
        assert float((found - peak).cos()) == pytest.approx(1, abs=1e-8)


def test_angles_are_not_folded_at_half_a_turn():
    assert float(bumps(-2.9).angle) == pytest.approx(-2.9, abs=1e-4)
    assert float(bumps(2.9).angle) == pytest.approx(2.9, abs=1e-4)
    assert float(bumps(math.pi).angle) == pytest.approx(math.pi)


def test_an_object_that_looks_the_same_after_half_a_turn_has_two_modes_and_no_resultant():
    posterior = bumps(0.5, 0.5 - math.pi)
    assert float(posterior.resultant) == pytest.approx(0, abs=1e-6)
    modes, height = posterior.modes(3)
    assert float((2 * (modes[0, :2] - 0.5)).cos().min()) == pytest.approx(1, abs=1e-6)
    assert height[0].tolist() == pytest.approx([1, 1, 0], abs=1e-6)
    assert float(torch.hypot(*posterior.moment(2))) > 0.9


def test_a_flat_posterior_is_the_prior():
    flat = AnglePosterior.from_scores(torch.zeros(2, 64), CirclePrior())
    assert flat.kl(CirclePrior()).abs().max() < 1e-6
    assert flat.angle.isfinite().all()


def test_a_prior_on_the_angle_decides_where_the_data_do_not():
    posterior = AnglePosterior.from_scores(bumps(0.4, 0.4 + math.pi).log_prob, CirclePrior(sd=0.5))
    assert float(posterior.angle) == pytest.approx(0.4, abs=0.1)
    assert float(posterior.resultant) > 0.9
