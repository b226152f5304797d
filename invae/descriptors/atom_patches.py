"""Atoms of images and movies, linked from frame to frame, and patches centred on them."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from invae import store
from invae.blocks import map_blocks
from invae.config import AtomsConfig, ComputeConfig
from invae.descriptors import pieces
from invae.descriptors.atoms import find_atoms
from invae.descriptors.image_patches import INDEPENDENT
from invae.descriptors.layout import lay_out_patches, pixel_sizes, site_coordinates
from invae.descriptors.links import link
from invae.descriptors.patches import cut, offsets, valid_share
from invae.descriptors.signals import read_frames
from invae.dims import FRAME, IMAGE, SITE, attrs
from invae.errors import ConfigError, InputError
from invae.progress import Progress, silent
from invae.provenance import Receipt

KIND = "atom"
STAGE = "atoms"
GROUP = "atoms"
FOUND = 60
"""How far finding atoms takes the work [percent]."""


@dataclass(frozen=True)
class Movie:
    """What atoms are looked for in, and the store that grows."""

    recording: Path
    partial: Path
    signal: str
    window: int
    config: AtomsConfig


def describe_atoms(
    recording: Path,
    target: Path,
    *,
    config: AtomsConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Patches centred on the atoms of a recording; the group `atoms` holds all atoms found.

    Atoms whose patch leaves the frame are in the group, and have no patch.

    Raises:
        InputError: the recording holds no images, or no atom with a whole patch.
        ConfigError: the configuration does not fit the recording.
    """
    dataset = store.open_store(recording)
    grown = store.begin(target, receipt.key)
    movie = survey(dataset, recording, grown, config=config)
    pieces.begin(grown)
    frames = [slice(number, number + 1) for number in range(dataset.sizes[FRAME])]
    map_blocks(
        partial(_find, movie=movie),
        frames,
        compute=compute,
        progress=lambda done, total: progress(FOUND * done // total, 100),
    )
    sites = _gather(dataset, movie, n_frames=len(frames))
    shard = lay_out_patches(grown, sites)
    map_blocks(
        partial(_cut, movie=movie, sites=sites, shard=shard),
        store.blocks(sites.sizes[SITE], shard),
        compute=compute,
        progress=lambda done, total: progress(FOUND + (100 - FOUND) * done // total, 100),
    )
    shutil.rmtree(grown / pieces.FOLDER)
    store.publish(grown, target, receipt)


def survey(dataset: xr.Dataset, recording: Path, grown: Path, *, config: AtomsConfig) -> Movie:
    """Which signal shows atoms, and how many pixels a patch has.

    Raises:
        InputError: no images, or a window in nm for a recording that is not calibrated.
        ConfigError: the signal does not exist, is not named though there are several, or the
            window does not fit the frame.
    """
    there = sorted(str(n) for n, channel in dataset.data_vars.items() if channel.dims == IMAGE)
    if not there or not dataset.sizes[FRAME]:
        raise InputError(f"{recording.parent.name}: holds no images (frame, y, x) to find atoms in")
    usual = "image" if "image" in there else there[0]
    if config.signal is None and len(there) > 1 and usual != "image":
        raise ConfigError(f"several signals, {', '.join(there)}; name one with describe.signal")
    signal = config.signal or usual
    if signal not in there:
        raise ConfigError(f"describe.signal names {signal!r}; the recording has {', '.join(there)}")
    window = _window(dataset, config=config)
    shortest = min(dataset.sizes[axis] for axis in IMAGE[1:])
    if not 2 <= window <= shortest:
        raise ConfigError(
            f"describe.window is {window} px; choose 2 to {shortest} px, what a frame is wide"
        )
    return Movie(recording, grown, signal, window, config)


def _window(dataset: xr.Dataset, *, config: AtomsConfig) -> int:
    if config.window_nm is None:
        return config.window
    size = pixel_sizes(dataset)
    if size is None:
        raise InputError(
            f"describe.window_nm is {config.window_nm:g}, but the recording has no pixel size in "
            "nm; give describe.window [px] instead"
        )
    return round(config.window_nm / float(np.mean(size)))


def _find(block: slice, *, movie: Movie) -> None:
    """Keep the atoms of one frame as a piece, unless they are there."""
    path = pieces.path_of(movie.partial, STAGE, block.start)
    if path.exists():
        return
    image = read_frames(store.open_store(movie.recording), movie.signal, block)[0]
    found = find_atoms(image, config=movie.config.find)
    share = _share(np.isfinite(image), found.position, window=movie.window)
    number = np.full(len(share), block.start, np.int32)
    pieces.save(path, position=found.position, height=found.height, share=share, frame=number)


def _share(valid: np.ndarray, position: np.ndarray, *, window: int) -> np.ndarray:
    """Share of each patch (atom,) for which all pixels that it is interpolated from are valid."""
    half = (window - 1) / 2
    first = position - half
    ends = [half + whole(first) for whole in (np.floor, np.ceil)]
    return np.minimum(*(valid_share(valid, end, window=window) for end in ends))


def _gather(dataset: xr.Dataset, movie: Movie, *, n_frames: int) -> xr.Dataset:
    """Write the group `atoms`; returns the coordinates of those that get a patch."""
    paths = [pieces.path_of(movie.partial, STAGE, number) for number in range(n_frames)]
    position, height, share, frame = (
        pieces.gather(paths, name) for name in ("position", "height", "share", "frame")
    )
    positions = [pieces.load(path, "position")[0] for path in paths]
    track = link(positions, config=movie.config.link).astype(np.int32)
    kept = share >= movie.config.min_valid
    if not kept.any():
        raise InputError(
            f"{movie.recording.parent.name}: {len(share)} atoms found, none with a patch of "
            f"{movie.window} px inside the frame; lower describe.find.contrast or describe.window"
        )
    unit = str(dataset[movie.signal].attrs.get("units", "1"))
    more = {
        "height": (SITE, height, attrs("rise of the atom above its surroundings", unit)),
        "track": (SITE, track, attrs("number of the atom, the same in every frame")),
    }
    steps = (offsets(movie.window), offsets(movie.window))
    every = site_coordinates(
        dataset, position, frame, kind=KIND, channels=[movie.signal], steps=steps
    ).assign_coords(more)
    of_atoms = [name for name, values in every.coords.items() if values.dims == (SITE,)]
    atoms = xr.Dataset({name: ("atom", every[name].values, every[name].attrs) for name in of_atoms})
    has_patch = ("atom", kept, attrs("the atom is the centre of a patch"))
    store.write_dataset(movie.partial, atoms.assign(has_patch=has_patch), group=GROUP)
    return every.isel({SITE: kept}).assign_attrs({INDEPENDENT: False})


def _cut(block: slice, *, movie: Movie, sites: xr.Dataset, shard: int) -> None:
    """Write one shard of patches, unless it is there; one frame in memory at a time."""
    names = ("patch", "valid")
    if store.block_is_written(movie.partial, names, start=block.start, shard=shard):
        return
    here = sites.isel({SITE: block})
    centres = np.stack([here["y"].to_numpy(), here["x"].to_numpy()], axis=1)
    numbers = here["frame"].to_numpy()
    patch = np.zeros((len(numbers), 1, movie.window, movie.window), np.float32)
    valid = np.zeros(patch.shape, bool)
    dataset = store.open_store(movie.recording)
    for number in np.unique(numbers):
        image = read_frames(dataset, movie.signal, slice(number, number + 1))[0]
        rows = np.flatnonzero(numbers == number)
        patch[rows, 0], valid[rows, 0] = cut(
            image, np.isfinite(image), centres[rows], window=movie.window
        )
    arrays = {"patch": patch, "valid": valid}
    store.write_block(movie.partial, arrays, start=block.start, shard=shard)
