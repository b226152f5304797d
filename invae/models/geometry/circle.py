"""Distributions of an angle [rad] on the whole circle, without an edge at ±180 degrees."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

TURN = 2 * math.pi
WRAPS = 5  # neighbours summed on each side: exact to float32 for sd up to 2 turns
NODES, REACH = 81, 6.0  # of the quadrature over a normal variable; its error is below 1e-7 nats


def log_wrapped_normal(
    offset: Float[Tensor, "*batch"], sd: Float[Tensor, "*#batch"] | float
) -> Float[Tensor, "*batch"]:
    """Log density per radian of a wrapped Normal at an offset from its mean [rad]."""
    sd = torch.as_tensor(sd, dtype=offset.dtype, device=offset.device).unsqueeze(-1)
    turns = torch.arange(-WRAPS, WRAPS + 1, dtype=offset.dtype, device=offset.device) * TURN
    centred = torch.remainder(offset + math.pi, TURN) - math.pi
    exponent = -0.5 * ((centred.unsqueeze(-1) + turns) / sd) ** 2 - sd.log()
    return torch.logsumexp(exponent, dim=-1) - 0.5 * math.log(TURN)


@dataclass(frozen=True)
class CirclePrior:
    """Wrapped Normal about 0 with a given sd [rad], or uniform over the circle when there is none."""

    sd: float | None = None

    def log_prob(self, angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Log density per radian."""
        if self.sd is None:
            return torch.full_like(angle, -math.log(TURN))
        return log_wrapped_normal(angle, self.sd)


@dataclass(frozen=True)
class WrappedNormal:
    """The posterior of an angle from an encoder: a direction and an sd [rad]."""

    mean: Float[Tensor, "batch 1"]
    log_sd: Float[Tensor, "batch 1"]

    def draw(self, noise: Float[Tensor, "batch 1"] | None) -> Float[Tensor, "batch 1"]:
        """A sample made from standard normal noise; the mean without noise."""
        return self.mean if noise is None else self.mean + self.log_sd.exp() * noise

    def kl(self, prior: CirclePrior) -> Float[Tensor, " batch"]:
        """Kullback-Leibler divergence from the prior [nats], by quadrature over the unwrapped variable."""
        node = torch.linspace(-REACH, REACH, NODES, dtype=self.mean.dtype, device=self.mean.device)
        weight = torch.softmax(-0.5 * node**2, dim=0)
        offset = self.log_sd.exp() * node
        own = log_wrapped_normal(offset, self.log_sd.exp())
        return (weight * (own - prior.log_prob(self.mean + offset))).sum(-1)

    @property
    def angle(self) -> Float[Tensor, " batch"]:
        """Direction of the mean [rad], in (−π, π]."""
        return wrap(self.mean.squeeze(-1))

    @property
    def resultant(self) -> Float[Tensor, " batch"]:
        """Length of the mean direction vector: 1 is certain, 0 is no information."""
        return torch.exp(-0.5 * (2 * self.log_sd).exp()).squeeze(-1)


@dataclass(frozen=True)
class AnglePosterior:
    """Exact posterior over equally spaced angles from 0, as normalised log probabilities."""

    log_prob: Float[Tensor, "batch angle"]

    @classmethod
    def from_scores(
        cls, scores: Float[Tensor, "batch angle"], prior: CirclePrior
    ) -> "AnglePosterior":
        """Bayes' rule: log p(x|angle) and the prior on the same grid."""
        grid = circle_grid(scores.shape[-1], like=scores)
        return cls(torch.log_softmax(scores + prior.log_prob(grid), dim=-1))

    @property
    def grid(self) -> Float[Tensor, " angle"]:
        """The angles [rad]."""
        return circle_grid(self.log_prob.shape[-1], like=self.log_prob)

    def kl(self, prior: CirclePrior) -> Float[Tensor, " batch"]:
        """Kullback-Leibler divergence from the prior on the same grid [nats]."""
        log_prior = torch.log_softmax(prior.log_prob(self.grid), dim=-1)
        return (self.log_prob.exp() * (self.log_prob - log_prior)).sum(-1)

    def moment(self, order: int = 1) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Mean cosine and sine of `order` times the angle."""
        probability, grid = self.log_prob.exp(), order * self.grid
        return (probability * grid.cos()).sum(-1), (probability * grid.sin()).sum(-1)

    @property
    def mean(self) -> Float[Tensor, " batch"]:
        """Circular mean [rad]; without meaning if the resultant is near 0."""
        cos, sin = self.moment()
        return torch.atan2(sin, cos)

    @property
    def resultant(self) -> Float[Tensor, " batch"]:
        """Length of the mean direction vector: 1 is one sharp peak, 0 is flat or several equal peaks."""
        return torch.hypot(*self.moment()).clamp(max=1)

    @property
    def angle(self) -> Float[Tensor, " batch"]:
        """The most probable angle [rad], in (−π, π], refined by a parabola.

        The mean would lie between the two peaks of an object with twofold symmetry.
        """
        return self.modes(1)[0].squeeze(-1)

    def modes(
        self, count: int
    ) -> tuple[Float[Tensor, "batch {count}"], Float[Tensor, "batch {count}"]]:
        """The highest peaks [rad] and their height relative to the highest; 0 beyond their number."""
        left, right = self.log_prob.roll(1, -1), self.log_prob.roll(-1, -1)
        peak = (self.log_prob >= left) & (self.log_prob > right)
        # A flat posterior has no peak: its first angle is taken.
        height = torch.where(peak, self.log_prob, self.log_prob - 1e3)
        best = height.topk(count, dim=-1).indices
        low, top, high = (values.gather(-1, best) for values in (left, self.log_prob, right))
        curvature = (2 * top - low - high).clamp(min=1e-12)
        offset = (0.5 * (high - low) / curvature).clamp(-0.5, 0.5)
        step = TURN / self.log_prob.shape[-1]
        share = torch.exp(height.gather(-1, best) - height.max(-1, keepdim=True).values)
        return wrap((best + offset) * step), share


def circle_grid(n_angles: int, *, like: Tensor) -> Float[Tensor, " angle"]:
    """Equally spaced angles from 0 [rad], of the type and on the device of `like`."""
    return torch.arange(n_angles, dtype=like.dtype, device=like.device) * (TURN / n_angles)


def wrap(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The same angle in (−π, π]."""
    return math.pi - torch.remainder(math.pi - angle, TURN)
