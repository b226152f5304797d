"""Likelihoods of a pixel as exponential families, log p(x|η) = x·η − A(η) + log h(x).

In this form the data enter only through x·η, and the likelihood at every angle is a correlation. All methods take images with dims
(…, channel, row, column), on pixels or on a polar grid.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.config import model as parts
from invae.models.batch import Patches, Standardise

LOG_SD_RANGE = (-5.0, 3.0)  # of the noise, in units of the channel's spread
# Adam moves a weight by about one learning rate per step, but the log of an sd must change by whole units: without this factor
# the noise of clean patches was overestimated twofold after 600 steps.
SPEED = 20.0
STEEP, LOG_SLOPE_RANGE = -2.0, (-6.0, 2.0)  # initial log of the slope of planes, and its range
FLAT = -3.0  # initial log of the texture around a disc
NATURAL_RANGE = (
    -30.0,
    30.0,
)  # e³⁰ electrons exceed the counts of any detector and are far from overflow
NEAR_HALF = 1.0  # |η| below which a series replaces differences of nearly equal numbers


@dataclass(frozen=True)
class Limits:
    """Valid values of a likelihood."""

    likelihood: str
    """Its name, for messages."""
    low: float
    high: float
    remedy: str
    """Remedy for other values."""
    whole: bool = False
    """Whether values must be whole numbers."""

    def trouble(self, values: np.ndarray) -> str | None:
        """The problem of invalid values and its remedy; None if all are valid."""
        low, high = values.min(), values.max()
        if low < self.low or high > self.high:
            wrong = f"values span {low:g} to {high:g}"
        elif self.whole and (broken := values != np.rint(values)).any():
            wrong = f"values such as {values[broken][0]:g} are no counts"
        else:
            return None
        taken = f"{self.low:g} to {self.high:g}"
        taken = f"whole numbers from {self.low:g}" if self.whole else taken
        return f"{wrong}, a {self.likelihood} likelihood takes {taken}; {self.remedy}"


class Noise(nn.Module, ABC):
    """The distribution of pixels given a decoded field."""

    limits: ClassVar[Limits | None] = None
    """Valid values; all when empty."""
    standardised: ClassVar[bool] = False
    """Whether the values may be standardised; otherwise their origin and unit have a meaning."""
    proportional: ClassVar[bool] = False
    """Whether η is the field times a factor, so that both have the same angular frequencies."""

    @property
    def log_slope(self) -> Float[Tensor, "channel 1 1"] | None:
        """Log of the sd of the slope of a plane on every patch, at the rim; None without planes."""
        return None

    @abstractmethod
    def natural(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The natural parameter η of every pixel."""

    @abstractmethod
    def log_partition(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """A(η) [nats]."""

    @property
    @abstractmethod
    def base_terms(self) -> Float[Tensor, "power channel"]:
        """Coefficients of 1, x and x² in the part of the log density that does not depend on the field [nats]."""

    @property
    @abstractmethod
    def background_terms(self) -> Float[Tensor, "power channel"]:
        """The same coefficients of the log density given only the level of the channel [nats]."""

    def log_measure(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"] | None:
        """The other part of both, which has no parameters [nats]; None where it is 0."""
        return None

    def log_base(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The part of the log density that does not depend on the field, log h(x) [nats]."""
        constant, linear, square = self.base_terms[..., None, None]
        density = constant + values * (linear + values * square)
        measure = self.log_measure(values)
        return density if measure is None else density + measure

    @abstractmethod
    def mean(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The expected value of every pixel."""

    @property
    @abstractmethod
    def level(self) -> Float[Tensor, "channel 1 1"]:
        """Expected value of such a pixel."""

    @abstractmethod
    def start(self, values: Float[Tensor, "*value"], *, channel: int) -> None:
        """Initialise a channel from its data before a training."""

    @abstractmethod
    def seen(self, patches: Patches) -> Patches:
        """Patches as input of an encoder, with a spread of about 1."""


def log_prob(
    noise: Noise, values: Float[Tensor, "*shape"], field: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Log density of every pixel given the decoded field [nats]."""
    natural = noise.natural(field)
    return values * natural - noise.log_partition(natural) + noise.log_base(values)


class Gaussian(Noise):
    """Normal noise with one sd per channel; the field is the mean."""

    standardised = proportional = True

    def __init__(self, n_channels: int, *, sd: float | None, plane: bool = False) -> None:
        """Normal noise.

        Args:
            n_channels: Number of channels.
            sd: Of the noise, in units of the channel's spread; learned when empty.
            plane: Whether every patch has a plane of random slope besides.
        """
        super().__init__()
        if plane:
            slope = torch.full((n_channels, 1, 1), STEEP / SPEED)
            self.raw_log_slope = nn.Parameter(slope)
        else:
            self.register_parameter("raw_log_slope", None)
        start = torch.full((n_channels, 1, 1), math.log(1.0 if sd is None else sd) / SPEED)
        self.raw_log_sd = nn.Parameter(start, requires_grad=sd is None)
        self.background = nn.Parameter(torch.zeros(n_channels, 1, 1))
        # At the start the disc must not be sharper than its surroundings: otherwise moving it away from the pattern raises the
        # likelihood, and trainings ended there.
        self.raw_log_texture = nn.Parameter(torch.full((n_channels, 1, 1), FLAT / SPEED))

    @property
    def log_slope(self) -> Float[Tensor, "channel 1 1"] | None:
        slope: Tensor | None = self.raw_log_slope
        return None if slope is None else (SPEED * slope).clamp(*LOG_SLOPE_RANGE)

    @property
    def log_sd(self) -> Float[Tensor, "channel 1 1"]:
        """Log of the sd of the noise."""
        return (SPEED * self.raw_log_sd).clamp(*LOG_SD_RANGE)

    def natural(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return field * (-2 * self.log_sd).exp()

    def log_partition(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return 0.5 * natural**2 * (2 * self.log_sd).exp()

    @property
    def base_terms(self) -> Float[Tensor, "power channel"]:
        return _normal_terms(torch.zeros_like(self.background), (2 * self.log_sd).exp())

    @property
    def background_terms(self) -> Float[Tensor, "power channel"]:
        # Never sharper than the noise: otherwise a pixel would be more probable outside the disc than inside it.
        texture = (SPEED * self.raw_log_texture).clamp(*LOG_SD_RANGE)
        return _normal_terms(self.background, (2 * self.log_sd).exp() + (2 * texture).exp())

    def mean(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return field

    @property
    def level(self) -> Float[Tensor, "channel 1 1"]:
        return self.background

    def start(self, values: Float[Tensor, "*value"], *, channel: int) -> None:
        """Do nothing: the values are standardised."""

    def seen(self, patches: Patches) -> Patches:
        return patches


class Canonical(Noise):
    """Likelihoods without a scale: the field is η, relative to that of the data's mean.

    So a field of zeros is the best constant picture for any level of the data: rates of counts range over decades.
    """

    origin: Tensor

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.register_buffer("origin", torch.zeros(n_channels, 1, 1))
        self.background = nn.Parameter(torch.zeros(n_channels, 1, 1))
        self.view = Standardise(n_channels)

    @abstractmethod
    def expected(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Mean of a pixel with natural parameter η, dA/dη."""

    @abstractmethod
    def stabilised(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Values on a scale on which the noise is approximately constant."""

    def natural(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return (field + self.origin).clamp(*NATURAL_RANGE)

    def mean(self, field: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return self.expected(self.natural(field))

    @property
    def base_terms(self) -> Float[Tensor, "power channel"]:
        return self.background.new_zeros(3, len(self.background))

    @property
    def background_terms(self) -> Float[Tensor, "power channel"]:
        natural = self.natural(self.background)
        terms = (-self.log_partition(natural), natural, torch.zeros_like(natural))
        return torch.stack(terms).flatten(1)

    @property
    def level(self) -> Float[Tensor, "channel 1 1"]:
        return self.mean(self.background)

    @torch.no_grad()
    def start(self, values: Float[Tensor, "*value"], *, channel: int) -> None:
        """Set the origin of η to that of the values' mean, by bisection."""
        mean = values.double().mean().to(self.origin.device)
        low, high = (mean.new_tensor(end) for end in NATURAL_RANGE)
        for _ in range(50):
            middle = (low + high) / 2
            below = self.expected(middle) < mean
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        self.origin[channel] = (low + high) / 2
        self.view.start(self.stabilised(values), channel=channel)

    def seen(self, patches: Patches) -> Patches:
        return self.view(Patches(self.stabilised(patches.values), patches.valid, patches.known))


class Bernoulli(Canonical):
    """Pixels between 0 and 1 as probabilities; the field is the logit."""

    limits = Limits("Bernoulli", 0.0, 1.0, "rescale them or choose likelihood 'gaussian'")

    def log_partition(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return functional.softplus(natural)

    def expected(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.sigmoid(natural)

    def stabilised(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return values


class ContinuousBernoulli(Canonical):
    """Grey values between 0 and 1 with density proportional to e^(xη); the field is η.

    Source: Loaiza-Ganem & Cunningham 2019, arXiv:1907.06845, with λ = sigmoid(η).
    """

    limits = Limits(
        "continuous Bernoulli", 0.0, 1.0, "rescale them or choose likelihood 'gaussian'"
    )

    def log_partition(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        # log ∫₀¹ e^(xη) dx = log((e^η − 1)/η), 0/0 at η = 0.
        near = natural.abs() < NEAR_HALF
        small, large = torch.where(near, natural, 0), torch.where(near, NEAR_HALF, natural).abs()
        square = small**2
        series = small / 2 + square / 24 * (1 - square / 120 * (1 - square / 63))
        exact = natural.relu() + torch.log(-torch.expm1(-large)) - large.log()
        return torch.where(near, series, exact)

    def expected(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        near = natural.abs() < NEAR_HALF
        small, large = torch.where(near, natural, 0), torch.where(near, NEAR_HALF, natural)
        square = small**2
        slope = 1 - square / 60 * (1 - square / 42 * (1 - square / 40))
        return torch.where(near, 0.5 + small / 12 * slope, -1 / torch.expm1(-large) - 1 / large)

    def stabilised(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return values


class Poisson(Canonical):
    """Counts; the field is the logarithm of the rate."""

    limits = Limits(
        "Poisson",
        0.0,
        math.inf,
        "give the counts as recorded or choose likelihood 'gaussian'",
        True,
    )

    def log_partition(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return natural.exp()

    def log_measure(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return -torch.lgamma(values + 1)

    def expected(self, natural: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return natural.exp()

    def stabilised(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """2·√(counts + ⅜), which has an sd of 1 at any rate that is not small.

        Source: Anscombe 1948, doi:10.1093/biomet/35.3-4.246.
        """
        return 2 * (values + 0.375).sqrt()


def noise_of(config: parts.NoiseConfig, *, n_channels: int) -> Noise:
    """The likelihood of a configuration."""
    match config:
        case parts.GaussianNoise():
            return Gaussian(n_channels, sd=config.sd, plane=config.plane)
        case parts.BernoulliNoise():
            return Bernoulli(n_channels)
        case parts.ContinuousBernoulliNoise():
            return ContinuousBernoulli(n_channels)
        case parts.PoissonNoise():
            return Poisson(n_channels)


def limits_of(config: parts.NoiseConfig) -> Limits | None:
    """Valid values of a likelihood; all values when empty."""
    return noise_of(config, n_channels=1).limits


def _normal_terms(
    mean: Float[Tensor, "channel 1 1"], variance: Float[Tensor, "channel 1 1"]
) -> Float[Tensor, "power channel"]:
    """Coefficients of 1, x and x² in the log density of a Normal."""
    constant = -0.5 * (mean**2 / variance + variance.log() + math.log(2 * math.pi))
    return torch.stack((constant, mean / variance, -0.5 / variance)).flatten(1)
