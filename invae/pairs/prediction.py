"""What networks and processes say: latent variables, spectra and their mixture, images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from invae.models.batch import Patches
from invae.models.latents import Latents, Normal, Point, Posterior
from invae.models.pairs.build import SPECTRUM
from invae.models.pairs.pair_model import PairModel
from invae.models.pairs.spectrum_generator import SpectrumGenerator
from invae.models.signals import IMAGE, Signals
from invae.regression.gaussian_process import GaussianProcess

BATCH = 512
NORMAL_90 = 1.6448536269514722
"""Half width of the 90 % interval of a standard Normal."""


@dataclass(frozen=True)
class Predicted:
    """Spectra as a mixture of the members predicts them."""

    mean: np.ndarray
    """(site, energy)"""
    sd_noise: np.ndarray
    sd_model: np.ndarray

    @classmethod
    def unknown(cls, shape: tuple[int, ...]) -> "Predicted":
        """NaN everywhere, to be filled."""
        return cls(*(np.full(shape, np.nan) for _ in range(3)))

    @property
    def sd(self) -> np.ndarray:
        """Of an observation."""
        return np.sqrt(self.sd_noise**2 + self.sd_model**2)

    def put(self, here: np.ndarray, values: "Predicted") -> None:
        """Fill in the spectra of some sites."""
        self.mean[here] = values.mean
        self.sd_noise[here] = values.sd_noise
        self.sd_model[here] = values.sd_model


def mixed(parts: Sequence[Predicted], weights: Sequence[float]) -> Predicted:
    """Mean and variances of a mixture: noise is the mean of the members' noise, ignorance their own and their disagreement."""
    mean = sum(w * p.mean for w, p in zip(weights, parts, strict=True))
    noise = sum(w * p.sd_noise**2 for w, p in zip(weights, parts, strict=True))
    model = sum(
        w * (p.sd_model**2 + (p.mean - mean) ** 2) for w, p in zip(weights, parts, strict=True)
    )
    assert not isinstance(mean, int | float)
    return Predicted(np.asarray(mean), np.sqrt(noise), np.sqrt(model))


@torch.no_grad()
def posteriors(network: PairModel, signal: str, values: np.ndarray) -> dict[str, Posterior]:
    """What one signal says of the latent variables.

    Args:
        network: The model.
        signal: image or spectrum.
        values: Patches (site, channel, y, x) or spectra (site, energy), float32.
    """
    device = next(network.parameters()).device
    pieces: list[Mapping[str, Posterior]] = []
    for start in range(0, len(values), BATCH):
        piece = torch.from_numpy(values[start : start + BATCH]).to(device)
        batch = Signals({signal: Patches(piece if piece.ndim == 4 else piece[:, None, None])})
        pieces.append(network.inferences(batch)[signal].posterior)
    return {name: joined([piece[name] for piece in pieces]) for name in pieces[0]}


def joined(parts: Sequence[Posterior]) -> Normal | Point:
    """Posteriors of several batches as one."""
    means = torch.cat([part.mean for part in parts if isinstance(part, Normal | Point)])
    log_sds = [part.log_sd for part in parts if isinstance(part, Normal)]
    return Normal(means, torch.cat(log_sds)) if log_sds else Point(means)


def content_means(
    network: PairModel, signal: str, values: np.ndarray
) -> Float[Tensor, "site latent"]:
    """Means of the latent variables that both signals share, as one of them says it; of its own where none are shared."""
    content = network.content(posteriors(network, signal, values), signal)
    assert isinstance(content, Normal | Point)
    return content.mean


def content_of(network: PairModel, signal: str, values: np.ndarray) -> np.ndarray:
    """`content_means` as an array (site, latent)."""
    return content_means(network, signal, values).cpu().numpy()


@torch.no_grad()
def of_network(network: PairModel, patches: np.ndarray) -> Predicted:
    """What a network says of image patches (site, channel, y, x)."""
    content = content_means(network, IMAGE, patches)
    mean, sd = (
        np.concatenate(values).astype(float)
        for values in zip(
            *(
                decoded(network, network.across(piece, source=IMAGE))
                for piece in content.split(BATCH)
            ),
            strict=True,
        )
    )
    return Predicted(mean, sd, np.zeros_like(mean))


@torch.no_grad()
def decoded_images(
    network: PairModel, content: Float[Tensor, "site latent"], private: Float[Tensor, "site own"]
) -> np.ndarray:
    """Upright images (site, channel, y, x).

    Args:
        network: A model that explains images.
        content: What the spectrum says of the shared latent variables.
        private: Latent variables of the image alone, where the family has them.
    """
    latents = dict(network.across(content, source=SPECTRUM))
    if network.family in ("dual", "spec2im"):
        latents[f"{IMAGE}.content"] = private
    latents["angle"] = content.new_zeros(len(content), 1)
    return network.parts(IMAGE).decode(latents).mean.cpu().numpy()


def sampled_images(
    networks: Sequence[PairModel],
    spectra: np.ndarray,
    n_private: int,
    rng: np.random.Generator | None,
) -> np.ndarray:
    """One image (site, channel, y, x) of every spectrum, from a random network and private latent variables of the prior.

    Args:
        networks: Models that explain images.
        spectra: (site, energy), float32.
        n_private: Latent variables of the image alone.
        rng: Of the choice; without one the first network gives the image of the prior's mean.
    """
    network = networks[0 if rng is None else int(rng.integers(len(networks)))]
    content = content_means(network, SPECTRUM, spectra)
    shape = (len(spectra), n_private)
    own = np.zeros(shape) if rng is None else rng.normal(size=shape)
    return decoded_images(network, content, torch.from_numpy(own.astype(np.float32)).to(content))


@torch.no_grad()
def decoded(network: PairModel, latents: Latents) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (site, energy) of the spectra of latent variables, in the unit of the spectra."""
    parts = network.parts(SPECTRUM)
    generator = parts.generator
    assert isinstance(generator, SpectrumGenerator)
    moments = generator.noise.moments(generator.numbers(parts.inside(latents)))
    mean = parts.standardise.undo(moments.mean)[:, 0, 0].cpu().numpy()
    sd = moments.variance.sqrt() * parts.standardise.scale
    return mean, sd[:, 0, 0].cpu().numpy()


def of_process(process: GaussianProcess, patches: np.ndarray) -> Predicted:
    """What a Gaussian process says of image patches (site, channel, y, x)."""
    said = process.predict(patches)
    return Predicted(said.mean, said.sd_noise, said.sd_model)
