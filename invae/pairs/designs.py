"""Images made for wanted spectra (spec2im). Each is judged by the spectrum that a Gaussian process predicts of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invae.models.pairs.pair_model import PairModel
from invae.pairs.prediction import sampled_images
from invae.regression.gaussian_process import GaussianProcess
from invae.regression.scores import relative_error

MOST_WANTED = 60
"""Spectra of a recording for which images are made, at most."""
SAMPLES, TRIES = 8, 64
"""Images that are kept of every spectrum, and images from which the best one is chosen."""


@dataclass(frozen=True)
class Designs:
    """Images made for some spectra."""

    site: np.ndarray
    """(wanted): site whose spectrum is wanted."""
    images: np.ndarray
    """(wanted, sample, channel, y, x), upright."""
    spectra: np.ndarray
    """(wanted, sample, energy): what the process predicts of each image."""
    best_image: np.ndarray
    """(wanted, channel, y, x): of all tries the image whose predicted spectrum is nearest to the wanted one."""
    best_spectrum: np.ndarray
    """(wanted, energy)"""
    nearest: np.ndarray
    """(wanted): site of the training pair with the nearest spectrum."""

    @classmethod
    def joined(cls, parts: Sequence["Designs"]) -> "Designs":
        """Those of several parts of a recording."""
        names = cls.__dataclass_fields__
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def designs(
    networks: Sequence[PairModel],
    process: GaussianProcess,
    spectra: np.ndarray,
    *,
    wanted: np.ndarray,
    library: np.ndarray,
    n_private: int,
    rng: np.random.Generator,
) -> Designs:
    """Images for some spectra of a recording.

    Args:
        networks: Models of the family spec2im.
        process: Predicts spectra of images.
        spectra: Of all sites (site, energy).
        wanted: Sites whose spectra are wanted.
        library: Sites of the training pairs.
        n_private: Latent variables of the image alone.
        rng: Of the samples.
    """
    aim = spectra[wanted]
    images = np.stack([sampled_images(networks, aim, n_private, rng) for _ in range(TRIES)], axis=1)
    flat = images.reshape(-1, *images.shape[2:])
    predicted = process.predict(flat).mean.reshape(len(wanted), TRIES, -1).astype(np.float32)
    error = relative_error(predicted, aim[:, None])
    chosen = np.arange(len(wanted)), error.argmin(1)
    distance = ((aim[:, None] - spectra[library][None]) ** 2).sum(-1)
    return Designs(
        wanted.astype(np.int32),
        images[:, :SAMPLES],
        predicted[:, :SAMPLES],
        images[chosen],
        predicted[chosen],
        library[distance.argmin(1)].astype(np.int32),
    )


def fitting_images(
    networks: Sequence[PairModel],
    process: GaussianProcess,
    spectra: np.ndarray,
    *,
    n: int,
    tries: int,
    n_private: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Images (sample, site, channel, y, x) whose predicted spectra are nearest to the given ones, the nearest first.

    Args:
        networks: Models of the family spec2im.
        process: Predicts spectra of images.
        spectra: Wanted ones (site, energy).
        n: Images that are kept of every spectrum.
        tries: Images that are made for every one that is kept.
        n_private: Latent variables of the image alone.
        rng: Of the samples.
    """
    kept: list[np.ndarray] = []
    for wanted in spectra:
        aim = np.repeat(wanted[None], n * tries, axis=0)
        images = sampled_images(networks, aim, n_private, rng)
        error = relative_error(process.predict(images).mean, aim)
        kept.append(images[np.argsort(error, kind="stable")[:n]])
    return np.stack(kept, axis=1)


def some_of(sites: np.ndarray, most: int) -> np.ndarray:
    """Evenly chosen sites, at most so many."""
    return sites[np.linspace(0, len(sites) - 1, min(most, len(sites))).astype(int)]
