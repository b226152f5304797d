"""Answers put back where they came from: frames, walls and grids of the image."""

from pathlib import Path

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from invae import dims
from invae.config import AnalyseConfig, ComputeConfig
from invae.latent_table import LATENTS
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks

MAX_FRAMES = 64
"""Frames whose maps a result keeps, evenly chosen over the recording."""
MAX_PIXELS = 8_000_000
"""Pixels of all frames that a result keeps; about 25 bytes each are in memory at once."""
SHOWN_SIGNALS = ("amplitude", "phase", "height")
"""Signals of the recording that a result keeps beside the polarization."""
GRID = (dims.FRAME, "grid_y", "grid_x")


def chosen_frames(n_frames: int, *, n_pixels: int) -> np.ndarray:
    """Frame numbers, evenly spread, the first and the last among them: at most 64, fewer if frames are large."""
    most = min(MAX_FRAMES, max(2, MAX_PIXELS // n_pixels))
    return np.unique(np.linspace(0, n_frames - 1, min(n_frames, most)).round().astype(np.int64))


def image_maps(recording: Path, patches: Path, *, frames: np.ndarray) -> xr.Dataset:
    """The maps of the chosen frames, with the recording's own amplitude, phase and height beside them."""
    kept = ("polarization", "wall", "valid", "invalid_reason")
    maps = store.open_store(patches, group="maps").isel({dims.FRAME: frames})
    signals = store.open_store(recording).isel({dims.FRAME: frames})
    found = {name: maps[name].load() for name in kept if name in maps}
    for quantity in SHOWN_SIGNALS:
        name = _first_of(signals, quantity)
        if name is not None:
            found[quantity] = signals[name].load().astype(np.float32, keep_attrs=True)
    answer = xr.Dataset(found).drop_vars(dims.FRAME, errors="ignore")
    number = (dims.FRAME, frames, dims.attrs("number of the frame in the recording"))
    return answer.assign_coords({dims.FRAME: number})


def _first_of(recording: xr.Dataset, quantity: str) -> str | None:
    """Name of the first channel that holds a quantity: `amplitude`, `amplitude_1`, …"""
    names = [
        str(name)
        for name, variable in recording.data_vars.items()
        if variable.dims == dims.IMAGE
        and (str(name) == quantity or str(name).startswith(f"{quantity}_"))
    ]
    return min(names, default=None)


def frame_table(
    patches: Path,
    *,
    site_frames: np.ndarray,
    config: AnalyseConfig,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> xr.Dataset:
    """What is known of every frame: drift with its sd, time, masked and switched share, sites.

    Args:
        patches: the store of descriptors, with the group `maps`.
        site_frames: frame of each site.
        config: sign of the field.
        compute: how many frames are read at once.
        progress: told of frames.
    """
    maps = store.open_store(patches, group="maps")
    n_frames = maps.sizes[dims.FRAME]

    def shares(frame: int) -> tuple[float, float]:
        here = maps.isel({dims.FRAME: frame})
        valid, polarization = here["valid"].to_numpy(), here["polarization"].to_numpy()
        switched = (polarization > 0) == (config.field == "positive")
        return float(1 - valid.mean()), float(switched[valid].mean()) if valid.any() else np.nan

    found = np.array(map_blocks(shares, range(n_frames), compute=compute, progress=progress))
    kept = ("drift", "drift_sd", "phase_offset", "amplitude_scale")
    table = xr.Dataset({name: maps[name].load() for name in kept if name in maps})
    n_sites = np.bincount(site_frames, minlength=n_frames).astype(np.int64)
    columns = {
        "masked_share": (found[:, 0], dims.attrs("share of the frame that is masked")),
        "switched_share": (found[:, 1], dims.attrs("switched share of what is not masked")),
        "n_sites": (n_sites, dims.attrs("sites in the frame")),
    }
    table = table.assign({name: (dims.FRAME, *column) for name, column in columns.items()})
    if "time" in maps.coords:
        table = table.assign_coords(time=maps["time"].load())
    number = (dims.FRAME, np.arange(n_frames), dims.attrs("number of the frame in the recording"))
    return table.drop_vars([dims.Y, dims.X], errors="ignore").assign_coords({dims.FRAME: number})


def wall_points(
    patches: Path, sites: xr.Dataset, *, frames: np.ndarray, reach: float
) -> xr.Dataset:
    """The sub-pixel wall points of the chosen frames, each with the site nearest to it.

    `nearest_site (point)` is a position along `site`, −1 where none lies within `reach` [pixel]: by it a latent,
    a class or an error is drawn along the walls.
    """
    points = store.open_store(patches, group="contours").load()
    points = points.isel(point=np.isin(points[dims.FRAME].to_numpy(), frames))
    nearest = np.full(points.sizes["point"], -1, dtype=np.int64)
    for frame in frames:
        here = np.flatnonzero(points[dims.FRAME].to_numpy() == frame)
        owners = np.flatnonzero(sites[dims.FRAME].to_numpy() == frame)
        if len(here) and len(owners):
            tree = KDTree(_places(sites)[owners])
            distance, index = map(np.asarray, tree.query(_places(points)[here]))
            near = distance <= reach
            nearest[here[near]] = owners[index[near]]
    long_name = "position of the nearest site along `site`; −1: none near"
    return points.assign(nearest_site=("point", nearest, dims.attrs(long_name)))


def _places(dataset: xr.Dataset) -> np.ndarray:
    return np.column_stack([dataset[dims.Y].to_numpy(), dataset[dims.X].to_numpy()])


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
            dims.FRAME: (dims.FRAME, frames, dims.attrs("number of the frame in the recording")),
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
