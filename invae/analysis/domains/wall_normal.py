"""Directions in patches: which way a wall faces, and patches turned upright by the model's angle."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from scipy.ndimage import map_coordinates

from invae import dims
from invae.latent_table import row_of
from invae.models.geometry.pose import POSES
from invae.storage import store

BLOCK_SITES = 2048
POLARIZATION = ("polarization", "t")
"""Channels that hold the signed polarization of the site's own frame."""


def wall_normal(patches: Path) -> xr.DataArray:
    """Direction from the negative to the positive domain of each patch [rad], positive as `np.rot90`.

    The direction of the patch's dipole moment, weighted by a Gaussian a quarter of the patch wide; 0 is towards +x.
    NaN where no channel holds the polarization.
    """
    opened = store.open_store(patches)
    names = [str(name) for name in opened[dims.CHANNEL].to_numpy()]
    angle = np.full(opened.sizes[dims.SITE], np.nan)
    shown = next((names.index(name) for name in POLARIZATION if name in names), None)
    if shown is not None:
        y, x = _centred(opened.sizes[dims.PATCH_Y], opened.sizes[dims.PATCH_X])
        weight = np.exp(-(y**2 + x**2) / (2 * (max(y.max(), x.max()) / 2) ** 2))
        for block in store.blocks(len(angle), BLOCK_SITES):
            part = opened[["patch", "valid"]].isel({dims.SITE: block, dims.CHANNEL: shown})
            values = np.where(part["valid"], part["patch"], 0.0) * weight
            down, right = (values * y).sum(axis=(1, 2)), (values * x).sum(axis=(1, 2))
            angle[block] = np.arctan2(-down, right)
    long_name = "direction from the negative to the positive domain"
    return xr.DataArray(angle, dims=dims.SITE, attrs=dims.attrs(long_name, "rad"))


def upright(patches: np.ndarray, reported: Mapping[str, np.ndarray]) -> np.ndarray:
    """Patches (site, channel, y, x) with their pose taken back; pixels that lay outside become NaN.

    Args:
        patches: (site, channel, y, x).
        reported: latents (site, …) as an embedding has them; those that are no poses are passed over.
    """
    middle = [(length - 1) / 2 for length in patches.shape[-2:]]
    # In pixels: a site without a pose is read at its own pixels, exactly, beside masked ones. Every pose is an affine map,
    # so that lengths alone depend on the unit.
    grid = np.stack(_centred(*patches.shape[-2:]), axis=-1).reshape(1, -1, 2)
    places = torch.from_numpy(grid).expand(len(patches), -1, -1)
    # From the upright pattern outwards: where each of its points lies in the patch.
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


def _centred(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (y, x) from the patch centre."""
    y, x = np.mgrid[:height, :width].astype(float)
    return y - (height - 1) / 2, x - (width - 1) / 2
