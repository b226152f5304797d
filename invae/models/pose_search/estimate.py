"""What a search says about a pose: one value, and how well it is determined."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from invae.models.geometry.circle import CirclePrior, wrap
from invae.models.latents import NormalPrior


@dataclass(frozen=True)
class Found:
    """A pose that a search has found."""

    value: Float[Tensor, "batch event"]
    sd: Float[Tensor, "batch event"]
    """Of the Normal as sharp as the likelihood is around the value, content held fixed."""
    surprise: Float[Tensor, " batch"] | float = field(default=0.0, kw_only=True)
    """Minus the log probability that the search's proposal gave it, up to a constant [nats]; with gradients."""

    @property
    def shift(self) -> Float[Tensor, "batch event"]:
        """The value, of a shift."""
        return self.value

    def kl(self, prior: NormalPrior | CirclePrior) -> Float[Tensor, " batch"]:
        """What the value costs under the prior [nats], see `cost`."""
        return cost(self.value, prior)

    def told_by(self, surprise: Float[Tensor, " batch"]) -> "Found":
        """The same, with how unlikely it was before."""
        return replace(self, surprise=surprise)


@dataclass(frozen=True)
class FoundAngle(Found):
    """An angle found, and whether another would have done as well."""

    resultant: Float[Tensor, " batch"] = field(kw_only=True)
    """Length of the mean direction over all that was tried: 1 is certain, 0 is no information."""

    @property
    def angle(self) -> Float[Tensor, " batch"]:
        """The angle [rad], in (−π, π]."""
        return wrap(self.value.squeeze(-1))


def cost(
    value: Float[Tensor, "batch event"], prior: NormalPrior | CirclePrior
) -> Float[Tensor, " batch"]:
    """Minus the log prior density, counted from its highest [nats]: 0 for every angle of a uniform prior."""
    if isinstance(prior, NormalPrior):
        return 0.5 * ((value / prior.sd) ** 2).sum(-1)
    highest = prior.log_prob(torch.zeros_like(value))
    return (highest - prior.log_prob(value)).squeeze(-1)
