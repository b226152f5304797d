"""A network applied to an image of any size, tile by tile: memory is bounded, and the result does not depend on the tiles."""

from collections.abc import Iterator

import numpy as np
import torch

from invae.models.networks.unet import COARSEST, REACH, UNet

TILE = 256
"""Side of a tile [px]."""


@torch.no_grad()
def probabilities(
    image: np.ndarray, network: UNet, *, tile: int = TILE, rim: int = REACH
) -> np.ndarray:
    """Probabilities (mark, y, x), float32, by a network.

    Args:
        image: standardised, float32 (channel, y, x).
        network: in evaluation mode.
        tile: side of a tile, a multiple of 8 [px].
        rim: width of the mirror image around the image, a multiple of 8 [px].
    """
    rows, columns = image.shape[1:]
    margins = [(rim, rim + (-size) % COARSEST) for size in (rows, columns)]
    padded = torch.from_numpy(np.pad(image, ((0, 0), *margins), mode="symmetric"))
    marked = torch.empty((network.n_out, *padded.shape[1:]))
    for top, y in _tiles(padded.shape[1], tile=tile):
        for left, x in _tiles(padded.shape[2], tile=tile):
            log_odds = network(padded[None, :, y, x])[0]
            marked[:, top, left] = log_odds[:, _inside(top, y), _inside(left, x)]
    return marked[:, rim : rim + rows, rim : rim + columns].sigmoid().numpy()


def _tiles(size: int, *, tile: int) -> Iterator[tuple[slice, slice]]:
    """Tiles along one axis, and each with the pixels around it that influence it."""
    for start in range(0, size, tile):
        stop = min(start + tile, size)
        yield slice(start, stop), slice(max(0, start - REACH), min(size, stop + REACH))


def _inside(tile: slice, around: slice) -> slice:
    """The place of a tile among the pixels around it."""
    return slice(tile.start - around.start, tile.stop - around.start)
