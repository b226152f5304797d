"""Partners: which image belongs to which spectrum, by their distance in the latent space that both share."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from invae.models.pairs.build import SPECTRUM
from invae.models.pairs.pair_model import PairModel
from invae.models.signals import IMAGE
from invae.pairs.prediction import content_means


def distances(
    networks: Sequence[PairModel], patches: np.ndarray, spectra: np.ndarray
) -> np.ndarray:
    """Distance of every spectrum from every image (spectrum, image), the mean over networks.

    Latent variables are in the units of their prior, so that one that says nothing adds nothing.

    Args:
        networks: Models in which both signals are seen.
        patches: (image, channel, y, x).
        spectra: (spectrum, energy).
    """
    return np.mean([_distances(network, patches, spectra) for network in networks], axis=0)


def ranks(networks: Sequence[PairModel], patches: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """Number of wrong candidates that are nearer than the partner (site, 2): images of a spectrum, spectra of an image."""
    distance = distances(networks, patches, spectra)
    own = np.diagonal(distance)
    nearer = ((distance < own[:, None]).sum(1), (distance < own).sum(0))
    return np.stack(nearer, axis=1).astype(np.int32)


@torch.no_grad()
def both_contents(network: PairModel, patches: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """What image and spectrum say of the shared latent variables, in those of the image (site, 2, latent)."""
    of_images = content_means(network, IMAGE, patches)
    across = network.across(content_means(network, SPECTRUM, spectra), source=SPECTRUM)
    both = torch.stack((of_images, network.content(across, IMAGE)), dim=1)
    return both.cpu().numpy()


@torch.no_grad()
def _distances(network: PairModel, patches: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    of_images = content_means(network, IMAGE, patches)
    across = network.across(content_means(network, SPECTRUM, spectra), source=SPECTRUM)
    of_spectra = network.content(across, IMAGE)
    if network.family == "dual":
        of_images, of_spectra = (
            functional.normalize(network.project(v), dim=-1) for v in (of_images, of_spectra)
        )
    one, other = of_images.double().cpu().numpy(), of_spectra.double().cpu().numpy()
    square = (other**2).sum(1)[:, None] + (one**2).sum(1) - 2 * other @ one.T
    return np.sqrt(square.clip(0))
