"""Windows on a square grid over all frames, adjacent or overlapping."""

from pathlib import Path

import numpy as np

from invae.config import ComputeConfig, DenseConfig
from invae.descriptors.frame_patches import Frames, survey, whole_share, write_patches
from invae.descriptors.layout import INDEPENDENT, site_coordinates
from invae.descriptors.sites import evenly, grid_sites, per_frame
from invae.errors import InputError
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.provenance import Receipt

KIND = "grid"


def describe_dense(
    recording: Path,
    target: Path,
    *,
    config: DenseConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Write windows of a recording on a square grid, the same in every frame.

    Raises:
        InputError: the recording has no images, or no window with enough finite pixels.
        ConfigError: the configuration does not fit the recording.
    """
    grown = store.begin(target, receipt.key)
    frames = survey(recording, grown, config=config)
    places = [_places(number, frames, config=config) for number in range(frames.n_frames)]
    counts = [len(here) for here in places]
    if not sum(counts):
        raise InputError(
            f"{recording.parent.name}: no window of {frames.window} px has {config.min_valid:.0%} of its "
            "pixels inside the frame and finite; lower describe.min_valid or describe.window"
        )
    sites = site_coordinates(
        store.open_store(recording),
        np.concatenate(places),
        np.repeat(np.arange(frames.n_frames, dtype=np.int32), counts),
        kind=KIND,
        channels=[frames.signal],
        steps=frames.steps,
    ).assign_attrs({INDEPENDENT: False})
    write_patches(
        sites,
        frames=frames,
        compute=compute,
        progress=lambda done, total: progress(100 * done // total, 100),
    )
    store.publish(grown, target, receipt)


def _places(number: int, frames: Frames, *, config: DenseConfig) -> np.ndarray:
    """Centres (site, 2), (y, x) [px], of the windows of one frame."""
    places = grid_sites(frames.shape, spacing=config.spacing)
    known = np.isfinite(frames.read(number))
    places = places[whole_share(known, places, window=frames.window) >= config.min_valid]
    return places[evenly(len(places), most=per_frame(frames.n_frames, config=config))]
