"""Probability of an atom's centre at every pixel of an image, by a network; tile by tile, with bounded memory."""

from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter

from invae.errors import InputError
from invae.models.networks.unet import COARSEST, UNet
from invae.segmentation.atom_images import standardise
from invae.segmentation.network_folder import SHIPPED, load
from invae.segmentation.tiles import TILE, probabilities

MIN_PROBABILITY = 0.25
"""Least probability of a centre: F1 changes by less than 0.02 from 0.2 to 0.4, and the worst images are best here."""
MIN_DISTANCE = 3
"""Least distance of two atoms along an axis [px]: half the smallest spacing of the training."""


def probability(images: np.ndarray, *, weights: Path | None = None, tile: int = TILE) -> np.ndarray:
    """Probability of an atom's centre near every pixel, float32 from 0 to 1, with maxima on the atoms.

    Each image is standardised by itself, so that dose and gain have no influence. Neighbours were 6 to 28 pixels apart in the
    training of the shipped network. The result does not depend on the tiles.

    Args:
        images: (n, y, x), atoms bright on dark; a value that is not finite counts as the median, and has probability 0.
        weights: Folder of a network by `invae train-finder`; the shipped network when empty.
        tile: Side of a tile, a multiple of 8 [px].

    Raises:
        InputError: The images are no stack, or the tile is no multiple of 8.
        StoreError: The folder has no network.
    """
    if images.ndim != 3:
        raise InputError(f"images have the shape {images.shape}; a stack (n, y, x) is needed")
    if tile < COARSEST or tile % COARSEST:
        raise InputError(f"tile {tile} is no multiple of {COARSEST} pixels")
    network = _network(weights or SHIPPED)
    return np.stack([mark(image, network, tile=tile) for image in images])


def centres(marked: np.ndarray, *, least: float = MIN_PROBABILITY) -> np.ndarray:
    """Pixels (atom, 2) of the maxima of a probability (y, x): at least `least`, off the rim, `MIN_DISTANCE` from higher ones."""
    top = (marked == maximum_filter(marked, size=2 * MIN_DISTANCE - 1)) & (marked >= least)
    top[[0, -1]] = False
    top[:, [0, -1]] = False
    return np.argwhere(top)


@cache
def _network(folder: Path) -> UNet:
    return load(folder)


def mark(image: np.ndarray, network: UNet, *, tile: int = TILE) -> np.ndarray:
    """The probability (y, x) of one image (y, x), by a network."""
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, np.float32)
    filled = np.where(finite, image, np.median(image[finite]))
    marked = probabilities(standardise(filled)[None], network, tile=tile)[0]
    return np.where(finite, marked, np.float32(0))
