"""Frames in a result: which are kept, and the values of sites on a grid."""

import numpy as np
import xarray as xr

from invae import dims
from invae.latent_table import LATENTS

MAX_FRAMES = 64
"""Largest number of frames whose maps a result keeps, evenly chosen."""
MAX_PIXELS = 8_000_000
"""Largest number of pixels of all kept frames; about 25 bytes of memory per pixel are needed."""
GRID = (dims.FRAME, "grid_y", "grid_x")


def chosen_frames(n_frames: int, *, n_pixels: int) -> np.ndarray:
    """Frame numbers, evenly spread, including the first and the last: at most 64, fewer if frames are large."""
    most = min(MAX_FRAMES, max(2, MAX_PIXELS // n_pixels))
    return np.unique(np.linspace(0, n_frames - 1, min(n_frames, most)).round().astype(np.int64))


def numbered(frames: np.ndarray) -> dict[str, xr.Variable]:
    """The coordinate `frame`: numbers of frames in the recording."""
    attrs = dims.attrs("number of the frame in the recording")
    return {dims.FRAME: xr.Variable(dims.FRAME, frames, attrs)}


def grid_maps(sites: xr.Dataset, *, frames: np.ndarray) -> xr.Dataset:
    """`content_map`, `cluster_map`, `error_map` and a map of every pose of one number (`angle_map`, …) over the grid of sites; NaN (−1) where there is no site.

    Grid positions are the distinct y and x of the sites [pixel].
    """
    sites = sites.isel({dims.SITE: np.isin(sites[dims.FRAME].to_numpy(), frames)})
    axes = [np.unique(sites[name].to_numpy()) for name in (dims.Y, dims.X)]
    place = (
        np.searchsorted(frames, sites[dims.FRAME].to_numpy()),
        np.searchsorted(axes[0], sites[dims.Y].to_numpy()),
        np.searchsorted(axes[1], sites[dims.X].to_numpy()),
    )
    shape = (len(frames), len(axes[0]), len(axes[1]))
    maps = {}
    for name, source in _MAPPED.items():
        if source in sites:
            maps[name] = _raster(sites[source], place, shape)
    return xr.Dataset(
        maps,
        coords={
            **numbered(frames),
            "grid_y": ("grid_y", axes[0], dims.attrs("y of the sites", "pixel")),
            "grid_x": ("grid_x", axes[1], dims.attrs("x of the sites", "pixel")),
        },
    )


_MAPPED = {
    "content_map": "content",
    **{f"{name}_map": name for name, row in LATENTS.items() if row.mapped},
    "cluster_map": "cluster",
    "error_map": "reconstruction_error",
}


def _raster(
    values: xr.DataArray, place: tuple[np.ndarray, ...], shape: tuple[int, ...]
) -> xr.Variable:
    more = [dim for dim in values.dims if dim != dims.SITE]
    empty = -1 if values.dtype.kind == "i" else np.nan
    raster = np.full((*shape, *(values.sizes[dim] for dim in more)), empty, dtype=values.dtype)
    raster[place] = values.transpose(dims.SITE, *more).to_numpy()
    return xr.Variable((*GRID, *more), raster, values.attrs)
