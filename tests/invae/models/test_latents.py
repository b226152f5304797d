"""Posteriors and priors against known answers."""

import math

import pytest
import torch
from torch import distributions

from invae.models.batch import Annotations
from invae.models.geometry.circle import AnglePosterior, CirclePrior
from invae.models.latents import (
    IMPOSSIBLE,
    Categorical,
    ClassPrior,
    GivenClass,
    Normal,
    NormalPrior,
    PartlyKnown,
    Point,
    Relaxed,
    class_weights,
    gumbel,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def log_probabilities(n: int, n_states: int, *, seed: int = 0) -> torch.Tensor:
    return (2 * random(n, n_states, seed=seed)).log_softmax(-1)


def test_the_divergence_of_a_normal_is_that_of_torch():
    mean, log_sd = random(5, 3), 0.3 * random(5, 3, seed=1)
    own = Normal(mean, log_sd).kl(NormalPrior(0.7))
    other = distributions.kl_divergence(
        distributions.Normal(mean, log_sd.exp()), distributions.Normal(0.0, 0.7)
    )
    torch.testing.assert_close(own, other.sum(-1))
    torch.testing.assert_close(
        Normal(mean * 0, mean * 0 + math.log(0.7)).kl(NormalPrior(0.7)), torch.zeros(5).double()
    )


def test_a_point_costs_nothing_and_is_not_noisy():
    point = Point(random(4, 2))
    assert torch.equal(point.draw(random(4, 2, seed=1)), point.mean)
    assert torch.equal(point.kl(NormalPrior()), torch.zeros(4).double())


@pytest.mark.parametrize("n_classes", [(4,), (3, 2), (2, 3, 2)])
def test_the_divergence_of_classes_is_that_of_torch(n_classes):
    prior = ClassPrior(n_classes)
    log_prob = log_probabilities(6, prior.n_states)
    flat = distributions.Categorical(logits=torch.zeros(prior.n_states).double())
    other = distributions.kl_divergence(distributions.Categorical(logits=log_prob), flat)
    torch.testing.assert_close(Categorical(log_prob, log_prob).kl(prior), other)
    relaxed = Relaxed(log_prob, 0.5)
    torch.testing.assert_close(relaxed.kl(prior), other)


def test_equal_probabilities_cost_nothing_and_certainty_log_n():
    prior = ClassPrior((5,))
    flat = torch.full((1, 5), -math.log(5), dtype=torch.float64)
    sure = torch.where(torch.arange(5) == 2, 0.0, IMPOSSIBLE).double()[None]
    assert float(Categorical(flat, flat).kl(prior)) == pytest.approx(0, abs=1e-12)
    assert float(Categorical(sure, sure).kl(prior)) == pytest.approx(math.log(5))


def test_marginals_sum_over_the_other_latents():
    """The last latent runs fastest."""
    prior = ClassPrior((2, 3))
    first, second = log_probabilities(4, 2), log_probabilities(4, 3, seed=1)
    joint = (first.unsqueeze(-1) + second.unsqueeze(-2)).flatten(1)
    computed = Categorical(joint, joint)
    torch.testing.assert_close(computed.marginal(0, prior), first.exp())
    torch.testing.assert_close(computed.marginal(1, prior), second.exp())


def test_the_best_state_is_one_hot():
    log_prob = log_probabilities(20, 4)
    best = Categorical(log_prob, log_prob).best
    assert torch.equal(best.argmax(-1), log_prob.argmax(-1))
    assert torch.equal(best.sum(-1), torch.ones(20).double())


def test_gumbel_values_have_mean_and_variance_of_their_law():
    values = gumbel(random(200_000))
    assert float(values.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(values.var()) == pytest.approx(math.pi**2 / 6, rel=0.02)
    assert gumbel(torch.tensor([-8.0, 8.0])).isfinite().all()


@pytest.mark.parametrize("temperature", [0.1, 0.67, 2.0])
def test_the_largest_weight_of_a_draw_falls_as_often_as_the_class_is_probable(temperature):
    log_prob = torch.tensor([0.5, 0.3, 0.15, 0.05]).double().log().expand(40_000, -1)
    drawn = Relaxed(log_prob, temperature).draw(random(40_000, 4))
    torch.testing.assert_close(drawn.sum(-1), torch.ones(40_000).double())
    share = drawn.argmax(-1).bincount(minlength=4).double() / len(drawn)
    assert (share - log_prob[0].exp()).abs().max() < 0.01


def test_lower_temperature_draws_are_nearer_to_one_class():
    log_prob, noise = log_probabilities(2000, 4), random(2000, 4, seed=1)
    largest = [Relaxed(log_prob, t).draw(noise).amax(-1).mean() for t in (2.0, 0.67, 0.1)]
    assert largest[0] < largest[1] < largest[2]
    assert float(largest[2]) > 0.95


def test_without_noise_the_most_probable_class_is_drawn():
    log_prob = log_probabilities(10, 3)
    settled = Relaxed(log_prob, 0.67)
    assert torch.equal(settled.draw(None), Categorical(log_prob, log_prob).best)


def test_a_known_value_is_drawn_as_it_is_and_its_surprise_is_its_density():
    inferred = Normal(random(3, 2), 0.2 * random(3, 2, seed=1))
    known = torch.tensor([[0.4, math.nan], [math.nan, math.nan], [1.0, -2.0]]).double()
    partly, prior = PartlyKnown(inferred, known), NormalPrior(1.5)
    noise = random(3, 2, seed=2)
    there = ~known.isnan()
    drawn = partly.draw(noise)
    assert torch.equal(drawn[there], known[there])
    assert torch.equal(drawn[~there], inferred.draw(noise)[~there])
    density = -distributions.Normal(0.0, 1.5).log_prob(known.nan_to_num())
    expected = torch.where(there, density, inferred.kl_parts(prior)).sum(-1)
    torch.testing.assert_close(partly.kl(prior), expected)


def test_nothing_flows_back_from_a_known_value():
    mean = random(2, 1).requires_grad_()
    known = torch.tensor([[0.3], [math.nan]]).double()
    partly = PartlyKnown(Normal(mean, torch.zeros(2, 1).double()), known)
    (partly.draw(random(2, 1)).sum() + partly.kl(NormalPrior()).sum()).backward()
    assert mean.grad is not None
    assert mean.grad.isfinite().all()
    assert mean.grad[0] == 0
    assert mean.grad[1] != 0


def test_given_the_class_the_right_rows_are_picked():
    """States of one patch are neighbours."""
    mean = torch.arange(12.0).reshape(12, 1)
    probability = torch.tensor([[0.1, 0.7, 0.2], [0.9, 0.0, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]])
    best = GivenClass(Normal(mean, mean * 0), probability).best
    assert isinstance(best, Normal)
    assert best.mean.flatten().tolist() == [1.0, 3.0, 8.0, 10.0]


def test_given_the_class_divergences_are_averaged_over_it():
    members = AnglePosterior(log_probabilities(6, 16))
    probability = log_probabilities(2, 3, seed=3).exp()
    computed = GivenClass(members, probability).kl(CirclePrior())
    each = members.kl(CirclePrior()).view(2, 3)
    torch.testing.assert_close(computed, (probability * each).sum(-1))


def test_labels_rule_out_every_joint_state_of_another_class():
    prior, like = ClassPrior((3, 2)), torch.zeros(1)
    weights = class_weights(Annotations(labels=torch.tensor([1, -1])), prior, like=like)
    assert weights is not None
    assert weights[0].tolist() == [IMPOSSIBLE, IMPOSSIBLE, 0, 0, IMPOSSIBLE, IMPOSSIBLE]
    assert weights[1].tolist() == [0] * 6
    assert class_weights(Annotations(), prior, like=like) is None
