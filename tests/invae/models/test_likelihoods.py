"""Likelihoods and divergences, against torch.distributions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

from invae.models.generators import OnPixels
from invae.models.latents import Normal, NormalPrior
from invae.models.likelihoods import Bernoulli, Gaussian, Noise, log_prob
from invae.models.patches import Patches

FIXED = settings(derandomize=True, max_examples=40, deadline=None)


def pixel(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1), value, dtype=torch.float64)


def gaussian(sd: float) -> Noise:
    return Gaussian(1, sd=sd).double()


@FIXED
@given(value=st.floats(-5, 5), field=st.floats(-5, 5), sd=st.floats(0.02, 5))
def test_the_gaussian_is_the_normal_density(value, field, sd):
    found = log_prob(gaussian(sd), pixel(value), pixel(field))
    expected = distributions.Normal(field, sd).log_prob(pixel(value)).item()
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-4)


@FIXED
@given(value=st.sampled_from([0.0, 1.0]), field=st.floats(-10, 10))
def test_the_bernoulli_is_the_coin(value, field):
    found = log_prob(Bernoulli(1).double(), pixel(value), pixel(field))
    expected = distributions.Bernoulli(logits=pixel(field)).log_prob(pixel(value))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("noise", [gaussian(0.3), Bernoulli(1).double()])
@FIXED
@given(field=st.floats(-3, 3))
def test_the_mean_is_the_slope_of_the_log_partition(noise, field):
    """An exponential family's mean is dA/dη."""
    natural = noise.natural(pixel(field)).detach().requires_grad_()
    noise.log_partition(natural).sum().backward()
    torch.testing.assert_close(natural.grad, noise.mean(pixel(field)), rtol=1e-6, atol=1e-6)


@FIXED
@given(first=st.floats(-4, 4), second=st.floats(-4, 4))
def test_the_log_partition_is_convex(first, second):
    for noise in (gaussian(0.5), Bernoulli(1).double()):
        middle = noise.log_partition(pixel((first + second) / 2))
        ends = noise.log_partition(pixel(first)) + noise.log_partition(pixel(second))
        assert float(middle) <= float(ends) / 2 + 1e-9


def test_what_is_learned_about_noise_can_be_learned():
    assert Gaussian(1, sd=None).raw_log_sd.requires_grad
    assert not Gaussian(1, sd=0.1).raw_log_sd.requires_grad


@pytest.mark.parametrize("noise", [Gaussian(2, sd=0.3), Bernoulli(2)])
def test_a_masked_pixel_changes_nothing(noise):
    values, field = torch.rand(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    valid = torch.rand(3, 2, 4, 4) > 0.4
    altered = torch.where(valid, values, 1 - values)
    likelihood = OnPixels(noise, field)
    one, other = (likelihood.evidence(Patches(v, valid)) for v in (values, altered))
    torch.testing.assert_close(one.log_likelihood, other.log_likelihood)
    counted = (log_prob(noise, values, field) * valid).sum((1, 2, 3))
    torch.testing.assert_close(one.log_likelihood, counted)


@FIXED
@given(mean=st.floats(-3, 3), log_sd=st.floats(-4, 2), prior=st.floats(0.05, 2))
def test_the_divergence_of_normals_is_the_textbook_one(mean, log_sd, prior):
    event = torch.tensor([[mean, 0.0]], dtype=torch.float64)
    spread = torch.full_like(event, log_sd)
    expected = distributions.kl_divergence(
        distributions.Normal(event, spread.exp()), distributions.Normal(0.0, prior)
    ).sum(-1)
    found = Normal(event, spread).kl(NormalPrior(prior))
    torch.testing.assert_close(found, expected)
    assert float(found) >= -1e-9


def test_the_divergence_of_normals_vanishes_at_the_prior():
    same = Normal(torch.zeros(1, 3), torch.full((1, 3), math.log(0.2)))
    assert float(same.kl(NormalPrior(0.2))) == pytest.approx(0, abs=1e-6)
