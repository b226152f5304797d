"""Enumerated classes: the posterior is that of Bayes' rule written out."""

import math

import pytest
import torch
from torch.nn.functional import one_hot

from invae.config import ModelConfig
from invae.models.batch import Annotations, Geometry, Patches
from invae.models.build import build
from invae.models.evaluation import evaluate
from invae.models.generators import EveryClass
from invae.models.geometry.circle import CirclePrior
from invae.models.latents import Categorical, GivenClass
from invae.models.signals import Signals
from invae.models.vae import VAE

N, N_STATES = 4, 6
FAMILIES = ["jVAE", "jrVAE", "jtVAE", "jrtVAE"]


def model(family: str) -> VAE:
    config = ModelConfig.model_validate({"family": family, "n_classes": [3, 2]})
    return build(config, Geometry(1, 12, 12), seed=0).double().eval()


def patches(**known: torch.Tensor) -> Patches:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(N, 1, 12, 12, generator=generator, dtype=torch.float64)
    return Patches(values, known=Annotations(**known))


def alone(vae: VAE, sample: Patches) -> torch.Tensor:
    """Log-likelihood minus the divergence of the pose, for every class separately (batch, state)."""
    assert isinstance(vae.main.generator, EveryClass)
    inner, columns = vae.main.generator.generator, []
    latents = vae.infer(Signals.of_image(sample)).latents
    for state in range(N_STATES):
        chosen = one_hot(torch.full((N,), state), N_STATES).double()
        evidence = inner.likelihood({**latents, "class": chosen}).evidence(
            vae.main.standardise(sample)
        )
        cost = sum(q.kl(vae.priors[name]) for name, q in evidence.posterior.items())
        columns.append(evidence.log_likelihood - cost)
    return torch.stack(columns, dim=-1)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_trying_all_classes_at_once_is_trying_one_after_the_other(family):
    vae, sample = model(family), patches()
    evaluation = evaluate(vae, Signals.of_image(sample))
    posterior = evaluation.posterior["class"]
    assert isinstance(posterior, Categorical)
    torch.testing.assert_close(posterior.log_prob, alone(vae, sample).log_softmax(-1))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_likelihood_and_divergences_add_up_to_the_marginal(family):
    """E_q[log p(x | c)] − KL(c) − E_q[KL(pose)] = log Σ_c p(x | c) / n, where the posterior is exact."""
    vae, sample = model(family), patches()
    evaluation = evaluate(vae, Signals.of_image(sample))
    divergence = sum(kl for name, kl in evaluation.terms.kl.items() if name in ("class", "angle"))
    if family == "jtVAE":
        divergence = divergence + evaluation.terms.kl["shift"]
    marginal = alone(vae, sample).logsumexp(-1) - math.log(N_STATES)
    volume = vae.main.standardise.log_volume(sample)
    torch.testing.assert_close(evaluation.terms.log_likelihood - divergence, marginal + volume)


@torch.no_grad()
def test_a_label_leaves_the_joint_density_of_patch_and_class():
    """The bound with a label is log p(x, c): that of the class alone, and the price of naming one of three."""
    vae, labels = model("jVAE"), torch.tensor([0, 1, 2, 2])
    sample = patches(labels=labels)
    evaluation = evaluate(vae, Signals.of_image(sample))
    each = alone(vae, sample).unflatten(-1, (3, 2))
    joint = each[torch.arange(N), labels].logsumexp(-1) - math.log(N_STATES)
    torch.testing.assert_close(
        evaluation.terms.log_likelihood - evaluation.terms.kl["class"], joint
    )


@torch.no_grad()
def test_the_angle_that_is_told_is_that_of_the_most_probable_class():
    vae, sample = model("jrVAE"), patches()
    evaluation = evaluate(vae, Signals.of_image(sample))
    angle, classes = evaluation.posterior["angle"], evaluation.posterior["class"]
    assert isinstance(angle, GivenClass)
    assert isinstance(classes, Categorical)
    latents = {**vae.infer(Signals.of_image(sample)).latents, "class": classes.best}
    assert vae.main.generator is not None
    direct = (
        vae.main.generator.likelihood(latents)
        .evidence(vae.main.standardise(sample))
        .posterior["angle"]
    )
    torch.testing.assert_close(
        angle.best.kl(CirclePrior()), direct.kl(CirclePrior()), rtol=1e-6, atol=1e-8
    )
    torch.testing.assert_close(angle.best.angle, direct.angle)  # type: ignore[attr-defined]


@torch.no_grad()
def test_a_class_that_is_given_is_not_inferred():
    vae, sample = model("jrVAE"), patches()
    latents = {
        **vae.infer(Signals.of_image(sample)).latents,
        "class": one_hot(torch.arange(N), N_STATES).double(),
    }
    assert "class" not in vae.evidence(latents, Signals.of_image(sample)).posterior


def test_gradients_are_those_of_the_marginal():
    vae, sample = model("jVAE"), patches()
    assert vae.main.generator is not None
    weights = [w for w in vae.main.generator.parameters() if w.requires_grad]
    evaluation = evaluate(vae, Signals.of_image(sample))
    bound = (evaluation.terms.log_likelihood - evaluation.terms.kl["class"]).sum()
    marginal = alone(vae, sample).logsumexp(-1).sum()
    own, expected = (torch.autograd.grad(v, weights, allow_unused=True) for v in (bound, marginal))
    for one, other in zip(own, expected, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
