"""What is shown of sites on plain images: the frames, the grid, what is unusual, and what happens in time."""

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis import maps
from invae.analysis.atoms.outliers import find_outliers
from invae.analysis.atoms.tracks import track_table
from invae.analysis.decoding import states_of
from invae.analysis.inputs import Inputs
from invae.storage import store

MEASURED = (
    "intensity",
    "width",
    "ellipticity",
    "nearest_distance",
    "mean_distance",
    "displacement",
    "contrast",
)
"""What is known of atoms beside their patches."""


def add_images(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """The groups `images` and `frames`, `outliers`, of a grid `grid`, of atoms `vacancies` and in a movie `tracks`."""
    sites = groups[""]
    recording = store.open_store(inputs.recording)
    n_frames = recording.sizes[dims.FRAME]
    size = recording.sizes[dims.Y] * recording.sizes[dims.X]
    frames = maps.chosen_frames(n_frames, n_pixels=size)
    groups["images"] = _images(recording, inputs.signal, frames)
    groups["frames"] = _frames(inputs, sites, n_frames)
    label = states_of(sites)
    score, groups["outliers"] = find_outliers(
        sites, label=sites["cluster"].to_numpy() if label is None else label
    )
    groups[""] = sites.assign(outlier_score=score)
    if (sites["kind"] == dims.KINDS.index("grid")).all():
        groups["grid"] = maps.grid_maps(sites, frames=frames)
    if (inputs.patches / "vacancies" / "zarr.json").is_file():
        groups["vacancies"] = store.open_store(inputs.patches, group="vacancies").load()
    if n_frames > 1 and "track" in sites:
        groups["tracks"] = track_table(sites)


def _images(recording: xr.Dataset, signal: str, frames: np.ndarray) -> xr.Dataset:
    """The chosen frames as recorded."""
    image = recording[signal].isel({dims.FRAME: frames}).load().astype(np.float32, keep_attrs=True)
    kept = [name for name in ("time", dims.Y, dims.X) if name in image.coords]
    plain = image.reset_coords(drop=True).drop_vars(dims.FRAME, errors="ignore")
    number = (dims.FRAME, frames, dims.attrs("number of the frame in the recording"))
    named = {**plain.attrs, "long_name": signal, "units": plain.attrs.get("units", "1")}
    return xr.Dataset(
        {"image": plain.assign_attrs(named)},
        coords={dims.FRAME: number, **{name: image[name].variable for name in kept}},
    )


def _frames(inputs: Inputs, sites: xr.Dataset, n_frames: int) -> xr.Dataset:
    """What is known of every frame: its sites, and where the atoms were followed the drift."""
    count = np.bincount(sites[dims.FRAME].to_numpy(), minlength=n_frames).astype(np.int64)
    table = xr.Dataset(
        {"n_sites": (dims.FRAME, count, dims.attrs("sites in the frame"))},
        coords={
            dims.FRAME: (
                dims.FRAME,
                np.arange(n_frames),
                dims.attrs("number of the frame in the recording"),
            )
        },
    )
    if (inputs.patches / "frames" / "zarr.json").is_file():
        table["drift"] = store.open_store(inputs.patches, group="frames")["drift"].load()
    recording = store.open_store(inputs.recording)
    if "time" in recording.coords:
        table = table.assign_coords(time=recording["time"].load().variable)
    return table
