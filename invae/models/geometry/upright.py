"""Patches turned upright by the pose that the model infers."""

from collections.abc import Mapping

import numpy as np
import torch

from invae.latent_table import row_of
from invae.models.geometry.pose import POSES


def upright(patches: np.ndarray, reported: Mapping[str, np.ndarray]) -> np.ndarray:
    """Patches (site, channel, y, x) with their pose undone; pixels from outside the patch become NaN.

    Args:
        patches: (site, channel, y, x).
        reported: latents (site, …) as in an embedding; those that are not poses are ignored.
    """
    from scipy.ndimage import map_coordinates

    middle = [(length - 1) / 2 for length in patches.shape[-2:]]
    # In pixels: a site without a pose is read at its own pixels, exactly, beside masked ones. Every pose is an affine map,
    # so that lengths alone depend on the unit.
    grid = np.stack(centred(*patches.shape[-2:]), axis=-1).reshape(1, -1, 2)
    places = torch.from_numpy(grid).expand(len(patches), -1, -1)
    # For each point of the upright pattern: its position in the patch.
    for name in reversed(list(POSES)):
        if name in reported:
            params = _params(name, reported[name])
            places = POSES[name].pull_back(places, POSES[name].inverse(params))
    answer = np.empty(patches.shape, dtype=np.float32)
    for site, place in enumerate(places.numpy() + np.array(middle)):
        at = place.T.reshape(2, *patches.shape[-2:])
        for channel, image in enumerate(patches[site]):
            answer[site, channel] = map_coordinates(image, at, order=1, cval=np.nan)
    return answer


def _params(name: str, reported: np.ndarray) -> torch.Tensor:
    """Reported values of a pose as its parameters (site, number), lengths in pixels."""
    row = row_of(name)
    values = torch.from_numpy(np.asarray(reported, dtype=np.float64).reshape(-1, row.size or 1))
    return values.log() if row.measure == "logarithm" else values


def centred(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (y, x) from the patch centre."""
    y, x = np.mgrid[:height, :width].astype(float)
    return y - (height - 1) / 2, x - (width - 1) / 2
