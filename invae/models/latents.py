"""Posteriors over named latent variables, as encoders give them, and their priors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from invae.models.batch import Annotations
from invae.models.geometry.circle import CirclePrior

IMPOSSIBLE = -1e9
"""Log weight of a class that a label rules out."""

Latents = Mapping[str, Tensor]
"""Values (batch, number) by the names of `invae.latent_table`, in the model's own units; `class` (batch, state) are weights that sum to 1."""


@dataclass(frozen=True)
class NormalPrior:
    """Independent Normal components about 0."""

    sd: float = 1.0


@dataclass(frozen=True)
class ClassPrior:
    """All classes equally likely; several discrete latents have the product of their classes as states."""

    n_classes: tuple[int, ...]

    @property
    def n_states(self) -> int:
        """Number of joint states."""
        return math.prod(self.n_classes)


Prior = NormalPrior | CirclePrior | ClassPrior


@runtime_checkable
class Posterior(Protocol):
    """The posterior of one latent variable, for every patch of a batch."""

    def kl(self, prior: Any) -> Tensor:
        """Kullback-Leibler divergence from a prior of the same kind, one value per patch [nats]."""
        ...


@runtime_checkable
class Encoded(Posterior, Protocol):
    """A posterior whose samples have gradients."""

    def draw(self, noise: Tensor | None) -> Tensor:
        """A sample made from standard normal noise; the mean without noise."""
        ...


@dataclass(frozen=True)
class Normal:
    """Independent Normal components."""

    mean: Float[Tensor, "batch event"]
    log_sd: Float[Tensor, "batch event"]

    def draw(self, noise: Float[Tensor, "batch event"] | None) -> Float[Tensor, "batch event"]:
        """A sample made from standard normal noise; the mean without noise."""
        return self.mean if noise is None else self.mean + self.log_sd.exp() * noise

    def kl(self, prior: NormalPrior) -> Float[Tensor, " batch"]:
        """Kullback-Leibler divergence from the prior [nats].

        Source: Kingma & Welling 2014, arXiv:1312.6114, appendix B.
        """
        return self.kl_parts(prior).sum(-1)

    def kl_parts(self, prior: NormalPrior) -> Float[Tensor, "batch event"]:
        """The divergence by component [nats]."""
        log_ratio = self.log_sd - math.log(prior.sd)
        scaled = (2 * log_ratio).exp() + (self.mean / prior.sd) ** 2
        return 0.5 * (scaled - 1) - log_ratio


@dataclass(frozen=True)
class Point:
    """A deterministic code: no sd, no prior."""

    mean: Float[Tensor, "batch event"]

    def draw(self, noise: Float[Tensor, "batch event"] | None) -> Float[Tensor, "batch event"]:
        """The code itself."""
        return self.mean

    def kl(self, prior: NormalPrior) -> Float[Tensor, " batch"]:
        """Zero: a code has no prior."""
        return torch.zeros_like(self.mean[:, 0])


@dataclass(frozen=True)
class Categorical:
    """Probabilities of the joint states of the classes."""

    log_prob: Float[Tensor, "batch state"]
    unaided: Float[Tensor, "batch state"]
    """Log probabilities from the patch alone, without labels and hints."""

    def kl(self, prior: ClassPrior) -> Float[Tensor, " batch"]:
        """Kullback-Leibler divergence from equal probabilities [nats]."""
        return (self.log_prob.exp() * (self.log_prob + math.log(prior.n_states))).sum(-1)

    @property
    def best(self) -> Float[Tensor, "batch state"]:
        """The most probable state as one-hot weights."""
        return functional.one_hot(self.log_prob.argmax(-1), self.log_prob.shape[-1]).to(
            self.log_prob.dtype
        )

    def marginal(self, which: int, prior: ClassPrior) -> Float[Tensor, "batch class"]:
        """Probabilities of the classes of one of several discrete latents."""
        joint = self.log_prob.exp().unflatten(-1, prior.n_classes)
        others = [d + 1 for d in range(len(prior.n_classes)) if d != which]
        return joint.sum(others) if others else joint


@dataclass(frozen=True)
class Relaxed:
    """Probabilities of the classes that an encoder gives; draws are weights near one class.

    Source: Jang, Gu & Poole 2017, arXiv:1611.01144, eq. 1–2.
    """

    log_prob: Float[Tensor, "batch state"]
    temperature: float
    log_weights: Float[Tensor, "batch state"] | None = None
    """Log weights from labels and hints."""

    @property
    def settled(self) -> Categorical:
        """The probabilities, with labels and hints."""
        if self.log_weights is None:
            return Categorical(self.log_prob, self.log_prob)
        return Categorical(
            torch.log_softmax(self.log_prob + self.log_weights, dim=-1), self.log_prob
        )

    def draw(self, noise: Float[Tensor, "batch state"] | None) -> Float[Tensor, "batch state"]:
        """Weights made from standard normal noise; the most probable state without noise."""
        settled = self.settled
        if noise is None:
            return settled.best
        return torch.softmax((settled.log_prob + gumbel(noise)) / self.temperature, dim=-1)

    def kl(self, prior: ClassPrior) -> Float[Tensor, " batch"]:
        """Kullback-Leibler divergence from equal probabilities [nats]."""
        return self.settled.kl(prior)


@dataclass(frozen=True)
class PartlyKnown:
    """A Normal for patches whose value is unknown, and the values of the others."""

    inferred: Normal
    known: Float[Tensor, "batch event"]
    """NaN where it is unknown."""

    def draw(self, noise: Float[Tensor, "batch event"] | None) -> Float[Tensor, "batch event"]:
        """The known value; a sample elsewhere."""
        return torch.where(self.known.isnan(), self.inferred.draw(noise), self.known.nan_to_num())

    def kl(self, prior: NormalPrior) -> Float[Tensor, " batch"]:
        """Divergence where the value is inferred; negative log prior density where it is known [nats]."""
        value = self.known.nan_to_num()
        density = 0.5 * (value / prior.sd) ** 2 + math.log(prior.sd) + 0.5 * math.log(2 * math.pi)
        return torch.where(self.known.isnan(), self.inferred.kl_parts(prior), density).sum(-1)


@dataclass(frozen=True)
class GivenClass:
    """Posteriors of one latent given each class, and the probabilities of the classes."""

    members: Posterior
    """One row for every state of every patch; the states of a patch are adjacent."""
    probability: Float[Tensor, "batch state"]

    def kl(self, prior: Any) -> Float[Tensor, " batch"]:
        """Expected divergence over the classes [nats]."""
        each = self.members.kl(prior).view_as(self.probability)
        return (self.probability * each).sum(-1)

    @property
    def best(self) -> Posterior:
        """The posterior given the most probable class."""
        n_patches, n_states = self.probability.shape
        first = torch.arange(n_patches, device=self.probability.device) * n_states
        rows = first + self.probability.argmax(-1)
        parts = {f.name: getattr(self.members, f.name) for f in fields(self.members)}  # pyright: ignore[reportArgumentType]
        chosen = {k: v[rows] if isinstance(v, Tensor) else v for k, v in parts.items()}
        return type(self.members)(**chosen)


def gumbel(noise: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Standard Gumbel values made from standard normal ones."""
    return -(-torch.special.log_ndtr(noise)).log()


def class_weights(
    known: Annotations, prior: ClassPrior, *, like: Tensor
) -> Float[Tensor, "batch state"] | None:
    """Log weights of the joint states from labels and hints; None without them."""
    weights = known.hint
    if known.labels is None:
        return weights
    n_first = prior.n_classes[0]
    state = torch.arange(prior.n_states, device=like.device) // (prior.n_states // n_first)
    wrong = (known.labels >= 0).unsqueeze(-1) & (state != known.labels.unsqueeze(-1))
    from_labels = wrong.to(like.dtype) * IMPOSSIBLE
    return from_labels if weights is None else from_labels + weights
