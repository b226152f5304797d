"""Posteriors over named latents, as encoders give them, and the priors they are held against."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from invae.models.circle import CirclePrior

Latents = Mapping[str, Tensor]
"""Values by name: `content` (batch, latent), `angle` (batch, 1) [rad], `shift` (batch, 2) [half the longer side]."""


@dataclass(frozen=True)
class NormalPrior:
    """Independent Normal components about 0."""

    sd: float = 1.0


Prior = NormalPrior | CirclePrior


@runtime_checkable
class Posterior(Protocol):
    """What is known about one latent of every patch of a batch."""

    def kl(self, prior: Any) -> Tensor:
        """Kullback-Leibler divergence from a prior of the same kind, one value per patch [nats]."""
        ...


@runtime_checkable
class Encoded(Posterior, Protocol):
    """A posterior that can be drawn from with gradients."""

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
        log_ratio = self.log_sd - math.log(prior.sd)
        scaled = (2 * log_ratio).exp() + (self.mean / prior.sd) ** 2
        return (0.5 * (scaled - 1) - log_ratio).sum(-1)


@dataclass(frozen=True)
class Point:
    """A deterministic code: no sd, no prior."""

    mean: Float[Tensor, "batch event"]

    def draw(self, noise: Float[Tensor, "batch event"] | None) -> Float[Tensor, "batch event"]:
        """The code itself."""
        return self.mean

    def kl(self, prior: NormalPrior) -> Float[Tensor, " batch"]:
        """Zero: a code is not held against any prior."""
        return torch.zeros_like(self.mean[:, 0])
