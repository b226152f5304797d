"""The spectrum side: latent variables become a distribution of spectra."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from invae.models.batch import Patches
from invae.models.generators import Evidence, Generator, Picture
from invae.models.latents import Latents
from invae.models.pairs.spectrum_noise import Numbers, SpectrumNoise


@dataclass(frozen=True)
class SpectrumLikelihood:
    """A distribution of spectra."""

    noise: SpectrumNoise
    numbers: Numbers

    def evidence(self, patches: Patches) -> Evidence:
        """Log density of spectra, of the channels that count."""
        return Evidence(self.noise.log_prob(patches.values, self.numbers, patches.weight))

    def training_loss(self, patches: Patches) -> Float[Tensor, " batch"]:
        """What training minimises (see `SpectrumNoise.training_loss`)."""
        return self.noise.training_loss(patches.values, self.numbers, patches.weight)


class SpectrumGenerator(Generator):
    """A decoder of the numbers of a distribution."""

    def __init__(
        self, decoder: nn.Module, code: Callable[[Latents], Tensor], noise: SpectrumNoise
    ) -> None:
        super().__init__()
        self.decoder, self.code = decoder, code
        self.noise: SpectrumNoise = noise  # pyright: ignore[reportIncompatibleVariableOverride]

    def numbers(self, latents: Latents) -> Numbers:
        """The numbers of the distribution of every set of latent variables."""
        return self.decoder(self.code(latents)).unflatten(1, (self.noise.n_numbers, -1))

    def likelihood(self, latents: Latents) -> SpectrumLikelihood:
        return SpectrumLikelihood(self.noise, self.numbers(latents))

    def pattern(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        return self.noise.moments(self.numbers(latents)).mean

    def picture(self, latents: Latents) -> Picture:
        mean = self.pattern(latents)
        return Picture(mean, torch.ones_like(mean[:, 0]))
