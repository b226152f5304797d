"""Patches of a set of images: every frame is one patch, cropped and binned as configured."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config import ComputeConfig, ImagesConfig
from invae.descriptors.image_sets.annotations import known_of
from invae.descriptors.images import need_images, read_frames
from invae.descriptors.layout import INDEPENDENT, lay_out_patches, site_coordinates
from invae.dims import FRAME, IMAGE
from invae.errors import ConfigError, InputError
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks
from invae.storage.provenance import Receipt

KIND = "image"


@dataclass(frozen=True)
class Part:
    """The kept pixels of one axis: `n` groups of `bin` pixels from `start`."""

    start: int
    n: int
    bin: int

    @property
    def pixels(self) -> slice:
        """Slice of the frame."""
        return slice(self.start, self.start + self.n * self.bin)

    @property
    def steps(self) -> np.ndarray:
        """Positions of the groups relative to their centre [px]."""
        return (np.arange(self.n) - (self.n - 1) / 2) * self.bin

    @property
    def centre(self) -> float:
        """Centre of the part in the frame [px]."""
        return self.start + (self.n * self.bin - 1) / 2


@dataclass(frozen=True)
class ImageSet:
    """A recording in which every frame is a patch."""

    recording: Path
    signals: tuple[str, ...]
    rows: Part
    columns: Part


def describe_images(
    recording: Path,
    target: Path,
    *,
    config: ImagesConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Write the frames of a recording as patches, with their annotations.

    Raises:
        InputError: the recording has no images, or they are too small.
        ConfigError: the recording lacks a configured signal or variable.
    """
    dataset = store.open_store(recording)
    images = survey(dataset, recording, config=config)
    known = known_of(dataset, config=config)
    grown = store.begin(target, receipt.key)
    n_frames = dataset.sizes[FRAME]
    shard = lay_out_patches(grown, _where(dataset, images).assign_coords(known))
    map_blocks(
        partial(_write, images=images, partial_store=grown, shard=shard),
        store.blocks(n_frames, shard),
        compute=compute,
        progress=lambda done, total: progress(100 * done // total, 100),
    )
    store.publish(grown, target, receipt)


def survey(dataset: xr.Dataset, recording: Path, *, config: ImagesConfig) -> ImageSet:
    """The signals and the part of the frames that become patches."""
    there = tuple(need_images(dataset, recording.parent.name))
    missing = [name for name in config.signals or () if name not in there]
    if missing:
        raise ConfigError(
            f"describe.signals names {missing[0]!r}; the recording has {', '.join(there)}"
        )
    rows, columns = (
        part_of(dataset.sizes[axis], crop=config.crop, n_bin=config.bin) for axis in IMAGE[1:]
    )
    if rows.n * columns.n < 2:
        raise InputError(
            f"describe.crop {config.crop} and describe.bin {config.bin} leave {rows.n}×{columns.n} "
            f"of {dataset.sizes['y']}×{dataset.sizes['x']} px; keep more of the frame"
        )
    return ImageSet(recording, config.signals or there, rows, columns)


def part_of(length: int, *, crop: int | None, n_bin: int) -> Part:
    """The central part of an axis in whole bins; an axis of one pixel stays unchanged."""
    n_bin = min(n_bin, length) if length == 1 else n_bin
    n = min(crop or length, length) // n_bin
    return Part((length - n * n_bin) // 2, n, n_bin)


def _where(dataset: xr.Dataset, images: ImageSet) -> xr.Dataset:
    n_frames = dataset.sizes[FRAME]
    coords = site_coordinates(
        dataset,
        np.tile([images.rows.centre, images.columns.centre], (n_frames, 1)),
        np.arange(n_frames, dtype=np.int32),
        kind=KIND,
        channels=images.signals,
        steps=(images.rows.steps, images.columns.steps),
    )
    return coords.assign_attrs({INDEPENDENT: "time" not in dataset.coords})


def _write(block: slice, *, images: ImageSet, partial_store: Path, shard: int) -> None:
    """Write one shard of patches, unless it is written already."""
    names = ("patch", "valid")
    if store.block_is_written(partial_store, names, start=block.start, shard=shard):
        return
    dataset = store.open_store(images.recording)
    frames = [read_frames(dataset, name, block) for name in images.signals]
    patch, valid = binned(np.stack(frames, axis=1), images.rows, images.columns)
    arrays = {"patch": patch, "valid": valid}
    store.write_block(partial_store, arrays, start=block.start, shard=shard)


def binned(images: np.ndarray, rows: Part, columns: Part) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the finite pixels of every bin of (…, y, x), zero without any, and whether there are any."""
    kept = images[..., rows.pixels, columns.pixels]
    shape = (*images.shape[:-2], rows.n, rows.bin, columns.n, columns.bin)
    finite = np.isfinite(kept)
    total = np.where(finite, kept, 0).reshape(shape).sum((-3, -1))
    count = finite.reshape(shape).sum((-3, -1))
    return (total / np.maximum(count, 1)).astype(np.float32), count > 0
