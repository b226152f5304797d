"""Spectra as members of a model predict them, and their mixture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from invae.models.batch import Patches
from invae.models.inference import Inference
from invae.models.latents import Latents
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
def infer(network: PairModel, patches: np.ndarray) -> Inference:
    """Posteriors of image patches (site, channel, y, x)."""
    values = torch.from_numpy(patches).to(next(network.parameters()).device)
    return network.infer(Signals({IMAGE: Patches(values)}))


def content_of(network: PairModel, patches: np.ndarray) -> np.ndarray:
    """Latent variables (site, latent) of image patches."""
    pieces = [
        infer(network, patches[start : start + BATCH]).latents["content"].cpu().numpy()
        for start in range(0, len(patches), BATCH)
    ]
    return np.concatenate(pieces)


def of_network(network: PairModel, patches: np.ndarray) -> Predicted:
    """What a network says of image patches (site, channel, y, x)."""
    means, sds = [], []
    for start in range(0, len(patches), BATCH):
        mean, sd = decoded(network, infer(network, patches[start : start + BATCH]).latents)
        means.append(mean)
        sds.append(sd)
    mean, sd = np.concatenate(means).astype(float), np.concatenate(sds).astype(float)
    return Predicted(mean, sd, np.zeros_like(mean))


@torch.no_grad()
def decoded(network: PairModel, latents: Latents) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (site, energy) of the spectra of latent variables, in the unit of the spectra."""
    parts = network.parts(SPECTRUM)
    generator = parts.generator
    assert isinstance(generator, SpectrumGenerator)
    moments = generator.noise.moments(generator.numbers(latents))
    mean = parts.standardise.undo(moments.mean)[:, 0, 0].cpu().numpy()
    sd = moments.variance.sqrt() * parts.standardise.scale
    return mean, sd[:, 0, 0].cpu().numpy()


def of_process(process: GaussianProcess, patches: np.ndarray) -> Predicted:
    """What a Gaussian process says of image patches (site, channel, y, x)."""
    said = process.predict(patches)
    return Predicted(said.mean, said.sd_noise, said.sd_model)
