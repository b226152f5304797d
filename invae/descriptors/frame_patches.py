"""Patches around sites in the frames of one signal."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi
import xarray as xr

from invae.config import ComputeConfig
from invae.config.atoms import FramesConfig
from invae.descriptors.images import need_images, read_frames
from invae.descriptors.layout import lay_out_patches, pixel_sizes
from invae.descriptors.patches import cut, offsets, valid_share
from invae.dims import FRAME, SITE
from invae.errors import ConfigError, InputError
from invae.progress import Progress
from invae.storage import store
from invae.storage.blocks import map_blocks


@dataclass(frozen=True)
class Frames:
    """The frames of one signal, and the unfinished store."""

    recording: Path
    partial: Path
    signal: str
    window: int
    """[px]"""
    background: float | None
    """Sd of the smoothing that is subtracted [px]."""
    normalise: str
    n_frames: int
    shape: tuple[int, int]
    """Of a frame, (y, x) [px]."""

    @property
    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the rows and columns of a patch relative to its centre [px]."""
        return offsets(self.window), offsets(self.window)

    def read(self, number: int) -> np.ndarray:
        """One frame as recorded (y, x), NaN if unknown."""
        dataset = store.open_store(self.recording)
        return read_frames(dataset, self.signal, slice(number, number + 1))[0]


def survey(recording: Path, partial_store: Path, *, config: FramesConfig) -> Frames:
    """The signal to use, and the size of the patches.

    Raises:
        InputError: the recording has no images, several without a choice, or no pixel size where one is needed.
        ConfigError: the signal does not exist, or the patch does not fit into a frame.
    """
    dataset = store.open_store(recording)
    signal = _signal(dataset, recording.parent.name, config=config)
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    window = config.window
    if config.window_nm is not None:
        window = round(_pixels(dataset, config.window_nm, name="window_nm", instead="window [px]"))
    if not 2 <= window <= min(shape):
        raise ConfigError(
            f"describe.window is {window} px; choose 2 to {min(shape)} px, what a frame is wide"
        )
    background = config.background_nm
    if background is not None:
        background = _pixels(dataset, background, name="background_nm", instead="nothing")
    n_frames = dataset.sizes[FRAME]
    return Frames(
        recording, partial_store, signal, window, background, config.normalise, n_frames, shape
    )


def _signal(dataset: xr.Dataset, name: str, *, config: FramesConfig) -> str:
    there = need_images(dataset, name)
    signal = config.signal or (there[0] if len(there) == 1 else "image")
    if signal not in there:
        said = f"names {signal!r}" if config.signal else "is empty"
        raise ConfigError(f"describe.signal {said}; the recording has {', '.join(there)}")
    return signal


def _pixels(dataset: xr.Dataset, length: float, *, name: str, instead: str) -> float:
    """A length [nm] in pixels."""
    size = pixel_sizes(dataset)
    if size is None:
        raise InputError(
            f"describe.{name} is {length:g}, but the recording has no pixel size in nm; give "
            f"describe.{instead} instead, or ingest.pixel_size"
        )
    return length / float(np.mean(size))


def whole_share(valid: np.ndarray, places: np.ndarray, *, window: int) -> np.ndarray:
    """Share of each patch (site,) whose interpolated pixels depend on valid pixels only."""
    half = (window - 1) / 2
    first = places - half
    ends = [half + whole(first) for whole in (np.floor, np.ceil)]
    return np.minimum(*(valid_share(valid, end, window=window) for end in ends))


def normalised(image: np.ndarray, *, frames: Frames) -> np.ndarray:
    """A frame without background, in units of its standard deviation."""
    known = np.isfinite(image)
    if not known.any():
        return image
    values = np.where(known, image, np.mean(image[known])).astype(np.float64)
    if frames.background is not None:
        values -= ndi.gaussian_filter(values, frames.background, mode="mirror")
    if frames.normalise == "frame":
        spread = float(values[known].std())
        values = (values - values[known].mean()) / (spread if spread > 0 else 1.0)
    return np.where(known, values, np.nan)


def write_patches(
    sites: xr.Dataset, *, frames: Frames, compute: ComputeConfig, progress: Progress
) -> None:
    """Lay out and write the patches of all sites, shard by shard, with one frame in memory at a time."""
    shard = lay_out_patches(frames.partial, sites)
    map_blocks(
        partial(_write, frames=frames, sites=sites, shard=shard),
        store.blocks(sites.sizes[SITE], shard),
        compute=compute,
        progress=progress,
    )


def _write(block: slice, *, frames: Frames, sites: xr.Dataset, shard: int) -> None:
    """Write one shard of patches, unless it is written already."""
    if store.block_is_written(frames.partial, ("patch", "valid"), start=block.start, shard=shard):
        return
    here = sites.isel({SITE: block})
    centres = np.stack([here["y"].to_numpy(), here["x"].to_numpy()], axis=1)
    numbers = here["frame"].to_numpy()
    patch = np.zeros((len(numbers), 1, frames.window, frames.window), np.float32)
    valid = np.zeros(patch.shape, bool)
    for number in np.unique(numbers):
        image = normalised(frames.read(int(number)), frames=frames)
        rows = np.flatnonzero(numbers == number)
        patch[rows, 0], valid[rows, 0] = cut(
            image, np.isfinite(image), centres[rows], window=frames.window
        )
    arrays = {"patch": patch, "valid": valid}
    store.write_block(frames.partial, arrays, start=block.start, shard=shard)
