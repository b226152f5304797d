"""How spectra scatter: numbers of a decoder become a distribution of spectra.

Values and numbers are in the model's own units; a spectrum is a patch of one row.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.config import pairs as settings
from invae.models.batch import Patches
from invae.models.likelihoods import Limits, Poisson

LOG_SD_RANGE = (-5.0, 2.0)
"""Log of the sd, in units of the spread of the spectra."""
LOG_SD_START = -0.4
LOG_TWO_PI = math.log(2 * math.pi)

Values = Float[Tensor, "batch channel row energy"]
Numbers = Float[Tensor, "batch number channel row energy"]


@dataclass(frozen=True)
class Moments:
    """Mean and variance of a predicted spectrum."""

    mean: Values
    variance: Values
    """Of the noise alone."""


class SpectrumNoise(nn.Module, ABC):
    """A family of distributions of spectra."""

    limits: ClassVar[Limits | None] = None
    standardised: ClassVar[bool] = True
    """Whether origin and unit of the values may be chosen."""
    n_numbers: int
    """Numbers of the decoder per channel of a spectrum."""
    spreads: tuple[int, ...] = ()
    """Which of these numbers are logs of sds; they start equal for all spectra."""

    @abstractmethod
    def log_prob(self, values: Values, numbers: Numbers, weight: Values) -> Float[Tensor, " batch"]:
        """Log density of every spectrum, of the channels that count [nats]."""

    def training_loss(
        self, values: Values, numbers: Numbers, weight: Values
    ) -> Float[Tensor, " batch"]:
        """What training minimises; minus the log density unless a family has a better one."""
        return -self.log_prob(values, numbers, weight)

    @abstractmethod
    def moments(self, numbers: Numbers) -> Moments:
        """Mean and variance of every channel."""

    @abstractmethod
    def draw(self, numbers: Numbers, generator: torch.Generator) -> Moments:
        """One of the possible spectra, and the variance of its channels about it."""

    def start(self, values: Float[Tensor, "*value"], *, channel: int) -> None:
        """Begin a training from what the data look like; nothing to do where they are standardised."""

    def seen(self, patches: Patches) -> Patches:
        """Spectra as an encoder gets them."""
        return patches


def log_normal(
    values: Tensor, mean: Tensor, log_sd: Tensor, weight: Tensor
) -> Float[Tensor, " batch"]:
    """Log density of independent Normals, summed over the channels that count."""
    density = -0.5 * ((values - mean) * (-log_sd).exp()) ** 2 - log_sd - 0.5 * LOG_TWO_PI
    return (density * weight).flatten(1).sum(1)


class Heteroscedastic(SpectrumNoise):
    """Independent Normals; the first number is the mean, the second the log of the sd."""

    n_numbers = 2
    spreads = (1,)

    def __init__(self, *, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def split(self, numbers: Numbers) -> tuple[Tensor, Tensor]:
        """Mean and log sd."""
        return numbers[:, 0], (numbers[:, 1] + LOG_SD_START).clamp(*LOG_SD_RANGE)

    def log_prob(self, values: Values, numbers: Numbers, weight: Values) -> Float[Tensor, " batch"]:
        return log_normal(values, *self.split(numbers), weight)

    def training_loss(
        self, values: Values, numbers: Numbers, weight: Values
    ) -> Float[Tensor, " batch"]:
        """Minus the log density of every channel times its sd to the power 2β, which gets no gradient.

        Source: Seitzer et al. 2022, arXiv:2203.09168, eq. 6.
        """
        _, log_sd = self.split(numbers)
        return -self.log_prob(values, numbers, weight * (2 * self.beta * log_sd.detach()).exp())

    def moments(self, numbers: Numbers) -> Moments:
        mean, log_sd = self.split(numbers)
        return Moments(mean, (2 * log_sd).exp())

    def draw(self, numbers: Numbers, generator: torch.Generator) -> Moments:
        return self.moments(numbers)


class PoissonSpectra(SpectrumNoise):
    """Counts; the number is the log of their rate, counted from that of the mean."""

    n_numbers = 1
    limits = Poisson.limits
    standardised = False

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.pixel = Poisson(n_channels)

    def log_prob(self, values: Values, numbers: Numbers, weight: Values) -> Float[Tensor, " batch"]:
        natural = self.pixel.natural(numbers[:, 0])
        density = values * natural - natural.exp() + self.pixel.log_base(values)
        return (density * weight).flatten(1).sum(1)

    def moments(self, numbers: Numbers) -> Moments:
        rate = self.pixel.mean(numbers[:, 0])
        return Moments(rate, rate)

    def draw(self, numbers: Numbers, generator: torch.Generator) -> Moments:
        return self.moments(numbers)

    def start(self, values: Float[Tensor, "*value"], *, channel: int) -> None:
        """Count log rates from that of the mean."""
        self.pixel.start(values, channel=channel)

    def seen(self, patches: Patches) -> Patches:
        return self.pixel.seen(patches)


class Mixture(SpectrumNoise):
    """One of several spectra, each with independent Normals; the mean over a component's last number is its logit."""

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components, self.n_numbers = n_components, 3 * n_components
        self.spreads = tuple(range(1, 3 * n_components, 3))

    def split(self, numbers: Numbers) -> tuple[Tensor, Tensor, Tensor]:
        """Means and log sds (batch, component, channel, row, energy), log weights (batch, component)."""
        mean, raw, logit = numbers.unflatten(1, (self.n_components, 3)).unbind(2)
        log_sd = (raw + LOG_SD_START).clamp(*LOG_SD_RANGE)
        return mean, log_sd, functional.log_softmax(logit.flatten(2).mean(2), dim=1)

    def log_prob(self, values: Values, numbers: Numbers, weight: Values) -> Float[Tensor, " batch"]:
        mean, log_sd, log_weight = self.split(numbers)
        each = torch.stack(
            [
                log_normal(values, mean[:, k], log_sd[:, k], weight)
                for k in range(self.n_components)
            ],
            dim=1,
        )
        return torch.logsumexp(log_weight + each, dim=1)

    def moments(self, numbers: Numbers) -> Moments:
        mean, log_sd, log_weight = self.split(numbers)
        share = log_weight.exp()[:, :, None, None, None]
        centre = (share * mean).sum(1)
        return Moments(
            centre, (share * ((2 * log_sd).exp() + (mean - centre[:, None]) ** 2)).sum(1)
        )

    def draw(self, numbers: Numbers, generator: torch.Generator) -> Moments:
        mean, log_sd, log_weight = self.split(numbers)
        chosen = torch.multinomial(log_weight.exp(), 1, generator=generator)[:, 0]
        site = torch.arange(len(mean))
        return Moments(mean[site, chosen], (2 * log_sd[site, chosen]).exp())


def spectrum_noise_of(config: settings.SpectrumNoiseConfig, *, n_channels: int) -> SpectrumNoise:
    """The noise that a configuration asks for."""
    match config:
        case settings.HeteroscedasticNoise():
            return Heteroscedastic(beta=config.beta)
        case settings.PoissonSpectrum():
            return PoissonSpectra(n_channels)
        case settings.MixtureNoise():
            return Mixture(config.n_components)
