"""The estimate of a pose by a search: one value and its standard deviation."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from invae.models.geometry.circle import CirclePrior, wrap
from invae.models.latents import NormalPrior


@dataclass(frozen=True)
class PoseEstimate:
    """The estimate of a pose by a search."""

    value: Float[Tensor, "batch event"]
    sd: Float[Tensor, "batch event"]
    """Of the Normal with the curvature of the likelihood at the value, content held fixed."""
    surprise: Float[Tensor, " batch"] | float = field(default=0.0, kw_only=True)
    """Negative log probability of the value under the proposal, up to a constant [nats]; with gradients."""

    @property
    def shift(self) -> Float[Tensor, "batch event"]:
        """The value, if the pose is a shift."""
        return self.value

    def kl(self, prior: NormalPrior | CirclePrior) -> Float[Tensor, " batch"]:
        """The cost of the value under the prior [nats], see `cost`."""
        return cost(self.value, prior)

    def with_surprise(self, surprise: Float[Tensor, " batch"]) -> "PoseEstimate":
        """The same estimate with another `surprise`."""
        return replace(self, surprise=surprise)


@dataclass(frozen=True)
class AngleEstimate(PoseEstimate):
    """The estimate of an angle, and how far the tried angles agree."""

    resultant: Float[Tensor, " batch"] = field(kw_only=True)
    """Length of the mean direction over all tried angles: 1 is certain, 0 is no information."""

    @property
    def angle(self) -> Float[Tensor, " batch"]:
        """The angle [rad], in (−π, π]."""
        return wrap(self.value.squeeze(-1))


def cost(
    value: Float[Tensor, "batch event"], prior: NormalPrior | CirclePrior
) -> Float[Tensor, " batch"]:
    """Negative log prior density, counted from its maximum [nats]: 0 for every angle of a uniform prior."""
    if isinstance(prior, NormalPrior):
        return 0.5 * ((value / prior.sd) ** 2).sum(-1)
    highest = prior.log_prob(torch.zeros_like(value))
    return (highest - prior.log_prob(value)).squeeze(-1)
