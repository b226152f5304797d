"""The model of pairs: parts of two signals about named latent variables, some of which both signals say."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from invae.config.pairs import PairFamily
from invae.models.inference import Inference, Noise
from invae.models.latents import Latents, Normal, Posterior, Prior
from invae.models.signals import IMAGE, SignalParts, Signals
from invae.models.vae import VAE

N_PROJECTED = 16
"""Dimensions in which partners are compared."""
START_SCALE = 10.0
"""Factor of the cosine of two partners at the start."""
APART: tuple[PairFamily, ...] = ("separated", "linked")
"""Families whose signals have latent variables of their own; `link` brings those of spectra to those of images, `back` the other way."""
RIDGE = 1e-2
"""Weight of the squared coefficients of a map between latent spaces, per site."""


class PairModel(VAE):
    """A VAE of image and spectrum. Where both say the same latent variable, `infer` multiplies their posteriors."""

    def __init__(
        self,
        signals: Mapping[str, SignalParts],
        *,
        priors: Mapping[str, Prior],
        drawn: Mapping[str, int],
        family: PairFamily,
        n_shared: int,
    ) -> None:
        super().__init__(signals, priors=priors, poses=(), drawn=drawn)
        self.family = family
        if family in APART:
            self.link = nn.Linear(n_shared, n_shared)
            nn.init.eye_(self.link.weight)
            nn.init.zeros_(self.link.bias)
            self.link.requires_grad_(family == "linked")
            self.back = nn.Linear(n_shared, n_shared).requires_grad_(False)
        if family == "dual":
            self.project = nn.Linear(n_shared, N_PROJECTED)
            self.log_scale = nn.Parameter(torch.tensor(math.log(START_SCALE)))

    def inferences(self, batch: Signals, noise: Noise | None = None) -> dict[str, Inference]:
        """What every signal of the batch says for itself."""
        known = self._known(batch.known)
        return {
            name: self.parts(name).infer(batch[name], known, noise)
            for name in self.seen
            if name in batch
        }

    def infer(self, batch: Signals, noise: Noise | None = None) -> Inference:
        """Posteriors from all signals that are there; of a latent variable that two say, the product with the prior.

        Source: Wu & Goodman 2018, arXiv:1802.05335, section 2.2.
        """
        posterior: dict[str, Posterior] = {}
        latents: dict[str, Tensor] = {}
        for inference in self.inferences(batch, noise).values():
            for name, own in inference.posterior.items():
                other = posterior.get(name)
                if isinstance(own, Normal) and isinstance(other, Normal):
                    own = product(own, other)
                    latents[name] = own.draw(None if noise is None else noise[name])
                else:
                    latents[name] = inference.latents[name]
                posterior[name] = own
        return Inference(posterior, latents)

    def content(self, latents: Mapping[str, Any], signal: str) -> Any:
        """What a signal says of the latent variables that both share; where none are shared, of its own."""
        return latents[f"{signal}.content" if self.family in APART else "content"]

    def across(self, content: Float[Tensor, "batch latent"], *, source: str) -> Latents:
        """Latent variables of the other signal, from what `source` says of the shared ones."""
        if self.family not in APART:
            return {"content": content}
        if source != IMAGE:
            return {f"{IMAGE}.content": self.link(content)}
        return {"spectrum.content": self.back(content)}

    def fit_links(
        self, of_spectra: Float[Tensor, "site latent"], of_images: Float[Tensor, "site latent"]
    ) -> None:
        """Set the maps between latent spaces that are apart. The training has set one of linked ones, `link`.

        The way back has a map of its own: the inverse of the other one would enlarge what the image hardly says.
        """
        if self.family == "separated":
            _fit(self.link, of_spectra, of_images)
        _fit(self.back, of_images, of_spectra)

    def spectrum_loss(self, latents: Latents, batch: Signals, *, signal: str) -> Tensor:
        """The training loss of spectra, one value per site."""
        from invae.models.pairs.spectrum_generator import SpectrumGenerator

        parts = self.parts(signal)
        assert isinstance(parts.generator, SpectrumGenerator)
        inside = parts.inside(latents)
        return parts.generator.likelihood(inside).training_loss(parts.standardise(batch[signal]))


@torch.no_grad()
def _fit(
    layer: nn.Linear, source: Float[Tensor, "site latent"], target: Float[Tensor, "site latent"]
) -> None:
    """Set a linear map by ridge regression."""
    middle, aim = source.mean(0), target.mean(0)
    centred = source - middle
    penalty = RIDGE * len(centred) * torch.eye(centred.shape[1], device=centred.device)
    matrix = torch.linalg.solve(centred.mT @ centred + penalty, centred.mT @ (target - aim))
    layer.weight.copy_(matrix.mT)
    layer.bias.copy_(aim - middle @ matrix)


def product(first: Normal, second: Normal) -> Normal:
    """Two posteriors times the standard Normal prior, as a Normal."""
    one, two = (-2 * first.log_sd).exp(), (-2 * second.log_sd).exp()
    precision = 1 + one + two
    mean = (one * first.mean + two * second.mean) / precision
    return Normal(mean, -0.5 * precision.log())
