"""Frames in a result: which are kept, the plain images of them, and the values of sites on a grid."""

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.decoding import states_of
from invae.analysis.inputs import Inputs
from invae.analysis.outliers import find_outliers
from invae.latent_table import LATENTS
from invae.storage import store

MAX_FRAMES = 64
"""Frames whose maps a result keeps, evenly chosen over the recording."""
MAX_PIXELS = 8_000_000
"""Pixels of all frames that a result keeps; about 25 bytes each are in memory at once."""
GRID = (dims.FRAME, "grid_y", "grid_x")


def chosen_frames(n_frames: int, *, n_pixels: int) -> np.ndarray:
    """Frame numbers, evenly spread, the first and the last among them: at most 64, fewer if frames are large."""
    most = min(MAX_FRAMES, max(2, MAX_PIXELS // n_pixels))
    return np.unique(np.linspace(0, n_frames - 1, min(n_frames, most)).round().astype(np.int64))


def add_images(inputs: Inputs, groups: dict[str, xr.Dataset]) -> np.ndarray:
    """Add the groups `images`, `frames` and `outliers` of sites that lie on plain images; returns the frames kept."""
    sites, recording = groups[""], store.open_store(inputs.recording)
    n_pixels = recording.sizes[dims.Y] * recording.sizes[dims.X]
    frames = chosen_frames(recording.sizes[dims.FRAME], n_pixels=n_pixels)
    groups["images"] = _images(recording, inputs.signal, frames)
    groups["frames"] = _frames(recording, sites)
    label = states_of(sites)
    score, groups["outliers"] = find_outliers(
        sites, label=sites["cluster"].to_numpy() if label is None else label
    )
    groups[""] = sites.assign(outlier_score=score)
    return frames


def _images(recording: xr.Dataset, signal: str, frames: np.ndarray) -> xr.Dataset:
    """The chosen frames as recorded."""
    image = recording[signal].isel({dims.FRAME: frames}).load().astype(np.float32, keep_attrs=True)
    coords = {n: image[n].variable for n in ("time", dims.Y, dims.X) if n in image.coords}
    plain = image.reset_coords(drop=True).drop_vars(dims.FRAME, errors="ignore")
    named = {**plain.attrs, "long_name": signal, "units": plain.attrs.get("units", "1")}
    return xr.Dataset({"image": plain.assign_attrs(named)}, coords=numbered(frames) | coords)


def _frames(recording: xr.Dataset, sites: xr.Dataset) -> xr.Dataset:
    """Number of sites, and time, of every frame of the recording."""
    n_frames = recording.sizes[dims.FRAME]
    count = np.bincount(sites[dims.FRAME].to_numpy(), minlength=n_frames).astype(np.int64)
    table = xr.Dataset(
        {"n_sites": (dims.FRAME, count, dims.attrs("sites in the frame"))},
        coords=numbered(np.arange(n_frames)),
    )
    if "time" in recording.coords:
        table = table.assign_coords(time=recording["time"].load().variable)
    return table


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
