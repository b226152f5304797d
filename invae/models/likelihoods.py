"""Likelihoods of a pixel as exponential families, log p(x|η) = x·η − A(η) + log h(x).

Written so, the data enter through x·η alone, and the likelihood at every angle is a correlation (SCIENCE 2). All methods take
images with dims (…, channel, row, column), on pixels or on a polar grid alike.
"""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

LOG_SD_RANGE = (-5.0, 3.0)  # of the noise, in units of the channel's spread
# Adam moves any weight by about one learning rate a step, and the log of an sd has whole units to go: without this the noise
# of clean patches was overestimated twofold after 600 steps.
SPEED = 20.0
FLAT = -3.0  # log of the texture around a disc at the start


class Noise(nn.Module, ABC):
    """How pixels scatter about a decoded field."""

    @abstractmethod
    def natural(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The natural parameter η of every pixel."""

    @abstractmethod
    def log_partition(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """A(η) [nats]."""

    @abstractmethod
    def log_base(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The part of the log density that knows no field, log h(x) [nats]."""

    @abstractmethod
    def mean(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The expected value of every pixel."""

    @abstractmethod
    def log_background(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Log density of pixels about which only the channel's level is known [nats]."""

    @property
    @abstractmethod
    def level(self) -> Float[Tensor, "channel 1 1"]:
        """Expected value of such a pixel."""


def log_prob(
    noise: Noise, values: Float[Tensor, "*shape"], field: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Log density of every pixel given the decoded field [nats]."""
    natural = noise.natural(field)
    return values * natural - noise.log_partition(natural) + noise.log_base(values)


class Gaussian(Noise):
    """Normal noise with one sd per channel; the field is the mean."""

    def __init__(self, n_channels: int, *, sd: float | None) -> None:
        """Start from `sd`, in units of the channel's spread, and keep it; learn it when empty."""
        super().__init__()
        start = torch.full((n_channels, 1, 1), math.log(1.0 if sd is None else sd) / SPEED)
        self.raw_log_sd = nn.Parameter(start, requires_grad=sd is None)
        self.background = nn.Parameter(torch.zeros(n_channels, 1, 1))
        # Before anything is explained the disc must look no sharper than its surroundings: else it pays to turn it away from
        # the pattern, and trainings ended there.
        self.raw_log_texture = nn.Parameter(torch.full((n_channels, 1, 1), FLAT / SPEED))

    @property
    def log_sd(self) -> Float[Tensor, "channel 1 1"]:
        """Log of the sd of the noise."""
        return (SPEED * self.raw_log_sd).clamp(*LOG_SD_RANGE)

    def natural(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return field * (-2 * self.log_sd).exp()

    def log_partition(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return 0.5 * natural**2 * (2 * self.log_sd).exp()

    def log_base(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return _log_normal(values, (2 * self.log_sd).exp())

    def mean(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return field

    def log_background(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        # Never sharper than the noise: else a pixel would be worth more outside the disc than inside it.
        texture = (SPEED * self.raw_log_texture).clamp(*LOG_SD_RANGE)
        variance = (2 * self.log_sd).exp() + (2 * texture).exp()
        return _log_normal(values - self.background, variance)

    @property
    def level(self) -> Float[Tensor, "channel 1 1"]:
        return self.background


class Bernoulli(Noise):
    """Pixels between 0 and 1 as probabilities; the field is the logit."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.background = nn.Parameter(torch.zeros(n_channels, 1, 1))

    def natural(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return field

    def log_partition(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return functional.softplus(natural)

    def log_base(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.zeros_like(values)

    def mean(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.sigmoid(field)

    def log_background(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return values * self.background - functional.softplus(self.background)

    @property
    def level(self) -> Float[Tensor, "channel 1 1"]:
        return torch.sigmoid(self.background)


def _log_normal(
    offset: Float[Tensor, "*shape"], variance: Float[Tensor, "channel 1 1"]
) -> Float[Tensor, "*shape"]:
    return -0.5 * (offset**2 / variance + variance.log() + math.log(2 * math.pi))
