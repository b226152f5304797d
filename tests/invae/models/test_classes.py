"""Classes tried one by one: the answer is that of Bayes' rule written out."""

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


def alone(vae: VAE, seen: Patches) -> torch.Tensor:
    """Log-likelihood minus what the pose costs, of every class by itself (batch, state)."""
    assert isinstance(vae.main.generator, EveryClass)
    inner, columns = vae.main.generator.generator, []
    latents = vae.infer(Signals.of_image(seen)).latents
    for state in range(N_STATES):
        chosen = one_hot(torch.full((N,), state), N_STATES).double()
        found = inner.likelihood({**latents, "class": chosen}).evidence(vae.main.standardise(seen))
        cost = sum(q.kl(vae.priors[name]) for name, q in found.posterior.items())
        columns.append(found.log_likelihood - cost)
    return torch.stack(columns, dim=-1)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_trying_all_classes_at_once_is_trying_one_after_the_other(family):
    vae, seen = model(family), patches()
    found = evaluate(vae, Signals.of_image(seen))
    posterior = found.posterior["class"]
    assert isinstance(posterior, Categorical)
    torch.testing.assert_close(posterior.log_prob, alone(vae, seen).log_softmax(-1))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_likelihood_and_divergences_add_up_to_the_marginal(family):
    """E_q[log p(x | c)] − KL(c) − E_q[KL(pose)] = log Σ_c p(x | c) / n, where the posterior is exact."""
    vae, seen = model(family), patches()
    found = evaluate(vae, Signals.of_image(seen))
    spent = sum(kl for name, kl in found.terms.kl.items() if name in ("class", "angle"))
    if family == "jtVAE":
        spent = spent + found.terms.kl["shift"]
    marginal = alone(vae, seen).logsumexp(-1) - math.log(N_STATES)
    volume = vae.main.standardise.log_volume(seen)
    torch.testing.assert_close(found.terms.log_likelihood - spent, marginal + volume)


@torch.no_grad()
def test_a_label_leaves_the_joint_density_of_patch_and_class():
    """The bound with a label is log p(x, c): that of the class alone, and the price of naming one of three."""
    vae, labels = model("jVAE"), torch.tensor([0, 1, 2, 2])
    seen = patches(labels=labels)
    found = evaluate(vae, Signals.of_image(seen))
    each = alone(vae, seen).unflatten(-1, (3, 2))
    joint = each[torch.arange(N), labels].logsumexp(-1) - math.log(N_STATES)
    torch.testing.assert_close(found.terms.log_likelihood - found.terms.kl["class"], joint)


@torch.no_grad()
def test_the_angle_that_is_told_is_that_of_the_most_probable_class():
    vae, seen = model("jrVAE"), patches()
    found = evaluate(vae, Signals.of_image(seen))
    angle, classes = found.posterior["angle"], found.posterior["class"]
    assert isinstance(angle, GivenClass)
    assert isinstance(classes, Categorical)
    latents = {**vae.infer(Signals.of_image(seen)).latents, "class": classes.best}
    assert vae.main.generator is not None
    direct = (
        vae.main.generator.likelihood(latents)
        .evidence(vae.main.standardise(seen))
        .posterior["angle"]
    )
    torch.testing.assert_close(
        angle.best.kl(CirclePrior()), direct.kl(CirclePrior()), rtol=1e-6, atol=1e-8
    )
    torch.testing.assert_close(angle.best.angle, direct.angle)  # type: ignore[attr-defined]


@torch.no_grad()
def test_a_class_that_is_given_is_not_inferred():
    vae, seen = model("jrVAE"), patches()
    latents = {
        **vae.infer(Signals.of_image(seen)).latents,
        "class": one_hot(torch.arange(N), N_STATES).double(),
    }
    assert "class" not in vae.evidence(latents, Signals.of_image(seen)).posterior


def test_gradients_are_those_of_the_marginal():
    vae, seen = model("jVAE"), patches()
    assert vae.main.generator is not None
    weights = [w for w in vae.main.generator.parameters() if w.requires_grad]
    found = evaluate(vae, Signals.of_image(seen))
    bound = (found.terms.log_likelihood - found.terms.kl["class"]).sum()
    marginal = alone(vae, seen).logsumexp(-1).sum()
    own, expected = (torch.autograd.grad(v, weights, allow_unused=True) for v in (bound, marginal))
    for one, other in zip(own, expected, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
