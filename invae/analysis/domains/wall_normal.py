"""Directions in patches: which way a wall faces, and patches turned upright by the model's angle."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import map_coordinates

from invae import dims
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


def upright(patches: np.ndarray, given: Mapping[str, np.ndarray]) -> np.ndarray:
    """Patches (site, channel, y, x) with their pose taken back; pixels that lay outside become NaN.

    Args:
        patches: (site, channel, y, x).
        given: of the poses that there are `angle` [rad], `shift` (site, axis) [pixel], `scale` (magnification) and `shear` [rad].
    """
    y, x = _centred(*patches.shape[-2:])
    n_sites, middle = len(patches), [(length - 1) / 2 for length in patches.shape[-2:]]
    angle, shear = (given.get(name, np.zeros(n_sites)) for name in ("angle", "shear"))
    scale = given.get("scale", np.ones(n_sites))
    shift = given.get("shift", np.zeros((n_sites, 2)))
    answer = np.empty(patches.shape, dtype=np.float32)
    for site in range(n_sites):
        cos, sin = (scale[site] * turn(angle[site]) for turn in (np.cos, np.sin))
        right = x + np.tan(shear[site]) * y
        at = [cos * y - sin * right, sin * y + cos * right]
        at = [part + shift[site, axis] + middle[axis] for axis, part in enumerate(at)]
        for channel, image in enumerate(patches[site]):
            answer[site, channel] = map_coordinates(image, at, order=1, cval=np.nan)
    return answer


def _centred(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (y, x) from the patch centre."""
    y, x = np.mgrid[:height, :width].astype(float)
    return y - (height - 1) / 2, x - (width - 1) / 2
