"""Likelihoods and divergences, against torch.distributions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

from invae.models.batch import Patches
from invae.models.generators import OnPixels
from invae.models.latents import Normal, NormalPrior
from invae.models.likelihoods import (
    NATURAL_RANGE,
    Bernoulli,
    Canonical,
    ContinuousBernoulli,
    Gaussian,
    Noise,
    Poisson,
    log_prob,
)

CANONICAL = (Bernoulli, ContinuousBernoulli, Poisson)
FIXED = settings(derandomize=True, max_examples=40, deadline=None)


def pixel(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1), value, dtype=torch.float64)


def gaussian(sd: float) -> Noise:
    return Gaussian(1, sd=sd).double()


@FIXED
@given(value=st.floats(-5, 5), field=st.floats(-5, 5), sd=st.floats(0.02, 5))
def test_the_gaussian_is_the_normal_density(value, field, sd):
    computed = log_prob(gaussian(sd), pixel(value), pixel(field))
    expected = distributions.Normal(field, sd).log_prob(pixel(value)).item()
    assert computed.item() == pytest.approx(expected, rel=1e-5, abs=1e-4)


@FIXED
@given(value=st.sampled_from([0.0, 1.0]), field=st.floats(-10, 10))
def test_the_bernoulli_is_the_coin(value, field):
    computed = log_prob(Bernoulli(1).double(), pixel(value), pixel(field))
    expected = distributions.Bernoulli(logits=pixel(field)).log_prob(pixel(value))
    torch.testing.assert_close(computed, expected)


@FIXED
@given(value=st.floats(0, 1), field=st.floats(-12, 12))
def test_the_continuous_bernoulli_is_the_published_one(value, field):
    computed = log_prob(ContinuousBernoulli(1).double(), pixel(value), pixel(field))
    # Its own series near ½ is good to 1e-6 only.
    published = distributions.ContinuousBernoulli(logits=pixel(field), lims=(0.4999, 0.5001))
    torch.testing.assert_close(computed, published.log_prob(pixel(value)), rtol=1e-6, atol=1e-6)
    mean = ContinuousBernoulli(1).double().mean(pixel(field))
    torch.testing.assert_close(mean, published.mean, rtol=1e-5, atol=1e-5)


@FIXED
@given(value=st.integers(0, 5000), field=st.floats(-8, 8))
def test_the_poisson_is_the_counting_law(value, field):
    computed = log_prob(Poisson(1).double(), pixel(float(value)), pixel(field))
    expected = distributions.Poisson(pixel(field).exp()).log_prob(pixel(float(value)))
    torch.testing.assert_close(computed, expected)


@pytest.mark.parametrize("field", [-9.0, -1.0, -1e-4, 0.0, 0.3, 0.999, 1.001, 5.0])
def test_densities_add_up_to_one(field):
    values = torch.linspace(0, 1, 20001, dtype=torch.float64).view(1, 1, -1)
    grey = log_prob(ContinuousBernoulli(1).double(), values, torch.full_like(values, field)).exp()
    assert float(torch.trapezoid(grey, values)) == pytest.approx(1, abs=1e-5)
    counts = torch.arange(2000, dtype=torch.float64).view(1, 1, -1)
    electrons = log_prob(Poisson(1).double(), counts, torch.full_like(counts, field)).exp()
    assert float(electrons.sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("noise", [Bernoulli(1), ContinuousBernoulli(1), Poisson(1)])
@pytest.mark.parametrize("size", [0.0, 1e-6, 1e-3, 0.5, 1.0, 20.0, 1e4])
@pytest.mark.parametrize("sign", [-1, 1])
def test_single_precision_and_its_gradients_last_to_the_extremes(noise, size, sign):
    field = torch.tensor([[[sign * size]]], requires_grad=True)
    computed = noise.log_partition(noise.natural(field))
    computed.sum().backward()
    assert field.grad is not None
    assert computed.isfinite().all()
    assert field.grad.isfinite().all()
    exact = field.detach().double().clamp(*NATURAL_RANGE)
    torch.testing.assert_close(computed.double(), noise.log_partition(exact), rtol=1e-5, atol=1e-6)
    if size < NATURAL_RANGE[1]:
        torch.testing.assert_close(field.grad.double(), noise.expected(exact), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("noise", "values"),
    [
        (Bernoulli(2), [0.1, 0.0, 0.3]),
        (ContinuousBernoulli(2), [0.9, 0.8, 1.0]),
        (Poisson(2), [3000.0, 1000.0, 2000.0]),
        (Poisson(2), [0.0, 0.0, 0.1]),
    ],
)
def test_an_empty_field_has_the_level_of_the_data(noise: Canonical, values):
    values_seen = torch.tensor(values)
    noise.start(values_seen, channel=1)
    mean = noise.mean(torch.zeros(1, 2, 1, 1)).flatten()
    torch.testing.assert_close(mean[1], values_seen.mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(noise.level.flatten(), mean)
    torch.testing.assert_close(mean[:1], type(noise)(1).mean(torch.zeros(1, 1, 1)).flatten())


def test_an_encoder_sees_counts_of_any_rate_with_unit_spread():
    for rate in (1.0, 1e4):
        noise = Poisson(1)
        counts = torch.poisson(torch.full((50, 1, 8, 8), rate), torch.Generator().manual_seed(0))
        noise.start(counts.flatten(), channel=0)
        values_seen = noise.seen(Patches(counts)).values
        assert float(values_seen.std()) == pytest.approx(1, abs=0.1)
        assert abs(float(values_seen.mean())) < 0.1


@pytest.mark.parametrize(
    ("noise", "values", "complaint"),
    [
        (Bernoulli(1), [0.0, 1.5], "values span 0 to 1.5, a Bernoulli likelihood takes 0 to 1"),
        (ContinuousBernoulli(1), [-0.5, 1.0], "a continuous Bernoulli likelihood takes 0 to 1; rescale"),
        (Poisson(1), [-1.0, 4.0], "span -1 to 4, a Poisson likelihood takes whole numbers from 0; give"),
        (Poisson(1), [2.5, 4.0], "values such as 2.5 are no counts"),
    ],
)  # fmt: skip
def test_impossible_values_are_told_with_a_remedy(noise, values, complaint):
    trouble = noise.limits.trouble(np.array(values, dtype=np.float32))
    assert complaint in trouble
    assert "choose likelihood 'gaussian'" in trouble
    assert "\n" not in trouble


def test_possible_values_are_no_trouble():
    assert Gaussian(1, sd=None).limits is None
    for likelihood, values in ((Bernoulli(1), [0.0, 0.3, 1.0]), (Poisson(1), [0.0, 7.0, 1e6])):
        assert likelihood.limits is not None
        assert likelihood.limits.trouble(np.array(values)) is None


@pytest.mark.parametrize("noise", [gaussian(0.3), *(n(1).double() for n in CANONICAL)])
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
    for noise in (gaussian(0.5), *(n(1).double() for n in CANONICAL)):
        middle = noise.log_partition(pixel((first + second) / 2))
        ends = noise.log_partition(pixel(first)) + noise.log_partition(pixel(second))
        assert float(middle) <= float(ends) / 2 + 1e-9


def test_what_is_learned_about_noise_can_be_learned():
    assert Gaussian(1, sd=None).raw_log_sd.requires_grad
    assert not Gaussian(1, sd=0.1).raw_log_sd.requires_grad


@pytest.mark.parametrize("noise", [Gaussian(2, sd=0.3), *(n(2) for n in CANONICAL)])
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
    computed = Normal(event, spread).kl(NormalPrior(prior))
    torch.testing.assert_close(computed, expected)
    assert float(computed) >= -1e-9


def test_the_divergence_of_normals_vanishes_at_the_prior():
    same = Normal(torch.zeros(1, 3), torch.full((1, 3), math.log(0.2)))
    assert float(same.kl(NormalPrior(0.2))) == pytest.approx(0, abs=1e-6)
