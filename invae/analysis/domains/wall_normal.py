"""The direction of the wall normal in a patch."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.models.geometry.upright import centred
from invae.storage import store

BLOCK_SITES = 2048
POLARIZATION = ("polarization", "t")
"""Channels with the signed polarization of the frame of the site."""


def wall_normal(patches: Path) -> xr.DataArray:
    """Direction from the negative to the positive domain of each patch [rad], positive as `np.rot90`.

    The direction of the patch's dipole moment, weighted by a Gaussian a quarter of the patch wide; 0 is towards +x.
    NaN if no channel is the polarization.
    """
    opened = store.open_store(patches)
    names = [str(name) for name in opened[dims.CHANNEL].to_numpy()]
    angle = np.full(opened.sizes[dims.SITE], np.nan)
    shown = next((names.index(name) for name in POLARIZATION if name in names), None)
    if shown is not None:
        y, x = centred(opened.sizes[dims.PATCH_Y], opened.sizes[dims.PATCH_X])
        weight = np.exp(-(y**2 + x**2) / (2 * (max(y.max(), x.max()) / 2) ** 2))
        for block in store.blocks(len(angle), BLOCK_SITES):
            part = opened[["patch", "valid"]].isel({dims.SITE: block, dims.CHANNEL: shown})
            values = np.where(part["valid"], part["patch"], 0.0) * weight
            down, right = (values * y).sum(axis=(1, 2)), (values * x).sum(axis=(1, 2))
            angle[block] = np.arctan2(-down, right)
    long_name = "direction from the negative to the positive domain"
    return xr.DataArray(angle, dims=dims.SITE, attrs=dims.attrs(long_name, "rad"))
