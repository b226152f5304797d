"""Maps and walls of the kept frames, and the table of all frames."""

from pathlib import Path

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from invae import dims
from invae.analysis.domains.applied_field import FIELD, sign_of
from invae.config import AnalyseConfig, ComputeConfig
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks

KEPT = (
    "polarization", "wall", "lamella", "canny", "valid", "invalid_reason",
    "wall_probability", "wall_spread", "lamella_probability", "lamella_spread",
)  # fmt: skip
"""Maps of the describe stage that a result keeps."""
SHOWN_SIGNALS = ("amplitude", "phase", "height")
"""Signals of the recording that a result keeps, in addition to the polarization."""


def image_maps(recording: Path, patches: Path, *, frames: np.ndarray) -> xr.Dataset:
    """Maps of the chosen frames, with the recorded amplitude, phase and height."""
    maps = store.open_store(patches, group="maps").isel({dims.FRAME: frames})
    signals = store.open_store(recording).isel({dims.FRAME: frames})
    found = {name: maps[name].load() for name in KEPT if name in maps}
    for quantity in SHOWN_SIGNALS:
        name = maps.attrs.get(quantity) or _first_of(signals, quantity)
        if name is not None:
            found[quantity] = signals[name].load().astype(np.float32, keep_attrs=True)
    told = {key: maps.attrs[key] for key in ("signals",) if key in maps.attrs}
    answer = xr.Dataset(found, attrs=told).drop_vars(dims.FRAME, errors="ignore")
    number = (dims.FRAME, frames, dims.attrs("number of the frame in the recording"))
    return answer.assign_coords({dims.FRAME: number})


def _first_of(recording: xr.Dataset, quantity: str) -> str | None:
    """Name of the first channel of a quantity: `amplitude`, `amplitude_1`, …"""
    names = [
        str(name)
        for name, variable in recording.data_vars.items()
        if variable.dims == dims.IMAGE
        and (str(name) == quantity or str(name).startswith(f"{quantity}_"))
    ]
    return min(names, default=None)


def frame_table(
    maps: xr.Dataset,
    *,
    site_frames: np.ndarray,
    config: AnalyseConfig,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> xr.Dataset:
    """One row per frame: drift with its sd, time, masked share, domain fraction, number of sites.

    `domain_fraction` is the share of positive polarization in the unmasked area; with a known field there is `switched_share` too.

    Args:
        maps: the maps of all frames, lazily, with the sign of the field where it is known.
        site_frames: frame of each site.
        config: sign of the field.
        compute: number of frames in parallel.
        progress: called with the number of frames.
    """
    n_frames = maps.sizes[dims.FRAME]

    def shares(frame: int) -> tuple[float, float]:
        here = maps.isel({dims.FRAME: frame})
        valid, polarization = here["valid"].to_numpy(), here["polarization"].to_numpy()
        positive = float((polarization[valid] > 0).mean()) if valid.any() else np.nan
        return float(1 - valid.mean()), positive

    found = np.array(map_blocks(shares, range(n_frames), compute=compute, progress=progress))
    kept = ("drift", "drift_sd", "phase_offset", "frame_phase_offset", "amplitude_scale", FIELD)
    table = xr.Dataset({name: maps[name].load() for name in kept if name in maps})
    n_sites = np.bincount(site_frames, minlength=n_frames).astype(np.int64)
    columns = {
        "masked_share": (found[:, 0], dims.attrs("masked share of the frame")),
        "domain_fraction": (
            found[:, 1],
            dims.attrs("share of the unmasked area with positive polarization"),
        ),
        "n_sites": (n_sites, dims.attrs("sites in the frame")),
    }
    if config.field_is_known:
        sign = np.array([sign_of(maps, frame, config=config) for frame in range(n_frames)])
        share = np.where(sign > 0, found[:, 1], np.where(sign < 0, 1 - found[:, 1], np.nan))
        words = "switched share of the unmasked area; unknown in frames without a field"
        columns["switched_share"] = share, dims.attrs(words)
    table = table.assign({name: (dims.FRAME, *column) for name, column in columns.items()})
    if "time" in maps.variables:
        table = table.assign_coords(time=maps["time"].load())
    number = (dims.FRAME, np.arange(n_frames), dims.attrs("number of the frame in the recording"))
    return table.drop_vars([dims.Y, dims.X], errors="ignore").assign_coords({dims.FRAME: number})


def wall_points(
    patches: Path, sites: xr.Dataset, *, frames: np.ndarray, reach: float
) -> xr.Dataset:
    """Sub-pixel wall points of the chosen frames, each with its nearest site.

    `nearest_site (point)` is an index along `site`, −1 if no site lies within `reach` [pixel]. A report uses it to draw
    values of sites along the walls.
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
    long_name = "position of the nearest site along `site`; −1: none nearby"
    return points.assign(nearest_site=("point", nearest, dims.attrs(long_name)))


def _places(dataset: xr.Dataset) -> np.ndarray:
    return np.column_stack([dataset[dims.Y].to_numpy(), dataset[dims.X].to_numpy()])
