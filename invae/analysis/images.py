"""Groups of results whose sites lie on plain images: the frames, and the outliers among the sites."""

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.decoding import states_of
from invae.analysis.frames import chosen_frames, numbered
from invae.analysis.inputs import Inputs
from invae.analysis.outliers import find_outliers
from invae.storage import store


def add_images(inputs: Inputs, groups: dict[str, xr.Dataset]) -> np.ndarray:
    """Add the groups `images`, `frames` and `outliers`; returns the numbers of the kept frames."""
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
