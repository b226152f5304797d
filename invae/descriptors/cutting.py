"""The patches of all chosen sites, shard by shard."""

from functools import lru_cache

import numpy as np
import xarray as xr

from invae import store
from invae.descriptors.channels import Sources, frame_of
from invae.descriptors.patches import cut, offsets
from invae.descriptors.series import Series
from invae.dims import CHANNEL, KINDS, PATCH, PATCH_X, PATCH_Y, SITE, X, Y, attrs, flags

PATCH_BYTES = 16e6
"""Size of a shard of patches [byte]."""
KEPT = 8
"""Frames of one signal that a worker keeps."""


def lay_out_patches(series: Series, sites: np.ndarray, site_frames: np.ndarray) -> int:
    """Make the patches' arrays, unwritten, with the coordinates of every site; returns the sites
    per shard.
    """
    window = series.config.patches.window
    shape = (len(sites), len(series.channels), window, window)
    variables = {
        "patch": store.Variable(PATCH, shape, np.float32, attrs("patch around a site")),
        "valid": store.Variable(PATCH, shape, np.bool_, attrs("pixel is to be believed")),
    }
    shard = store.shard_length(variables, shard_bytes=PATCH_BYTES)
    coords = site_coordinates(series, sites, site_frames)
    store.lay_out(series.partial, variables, shard=shard, coords=coords)
    return shard


def site_coordinates(series: Series, sites: np.ndarray, site_frames: np.ndarray) -> xr.Dataset:
    """Where every site is: frame, (y, x) in pixels of that frame and in nm, kind and source."""
    recording = series.open()
    window = series.config.patches.window
    kind = KINDS.index(series.config.sites.kind)
    source = np.zeros(series.n_frames, np.int32)
    if "source" in recording.variables:
        source = recording["source"].to_numpy().astype(np.int32)
    size = pixel_sizes(recording)
    in_nm = sites * np.array([np.nan, np.nan] if size is None else size)
    steps = offsets(window)
    coords = {
        "frame": (SITE, site_frames, attrs("frame of the site")),
        "y": (SITE, sites[:, 0], attrs("site in its frame, down", "pixel")),
        "x": (SITE, sites[:, 1], attrs("site in its frame, right", "pixel")),
        "y_nm": (SITE, in_nm[:, 0], attrs("site in its frame, down", "nm")),
        "x_nm": (SITE, in_nm[:, 1], attrs("site in its frame, right", "nm")),
        "kind": (SITE, np.full(len(sites), kind, np.int8), flags(KINDS, "kind of site")),
        "source": (SITE, source[site_frames], attrs("index of the source file")),
        CHANNEL: [channel.name for channel in series.channels],
        PATCH_Y: (PATCH_Y, steps, attrs("position in the patch, down", "pixel")),
        PATCH_X: (PATCH_X, steps, attrs("position in the patch, right", "pixel")),
    }
    kept = {
        "sources": recording.attrs.get("sources", [series.recording.name]),
        "modality": recording.attrs.get("modality", "unknown"),
    }
    notes = [*recording.attrs.get("notes", []), *series.notes]
    calibration = {} if size is None else {"pixel_size_nm": float(np.mean(size))}
    return xr.Dataset(
        coords=coords, attrs={**kept, **calibration, "window": window, "notes": notes}
    )


def pixel_sizes(recording: xr.Dataset) -> tuple[float, float] | None:
    """Height and width of a pixel [nm]; none if the recording is not calibrated."""
    sizes = []
    for axis in (Y, X):
        if axis not in recording.variables or recording[axis].attrs.get("units") != "nm":
            return None
        places = recording[axis].to_numpy()
        sizes.append(float(places[-1] - places[0]) / (len(places) - 1))
    return sizes[0], sizes[1]


def cut_block(
    block: slice,
    *,
    series: Series,
    drift: np.ndarray,
    sites: np.ndarray,
    site_frames: np.ndarray,
    shard: int,
) -> None:
    """Write one shard of patches: every site's, from its own frame and, drift removed, from the
    others it needs.
    """
    if store.block_is_written(series.partial, ("patch", "valid"), start=block.start, shard=shard):
        return
    window = series.config.patches.window
    sources = Sources(
        series.open(),
        series.maps(),
        series.signals,
        series.phase_offset,
        series.config.phase_offset.flip,
    )

    @lru_cache(maxsize=KEPT)
    def frame(signal: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        return frame_of(signal, number, sources=sources)

    here, numbers = sites[block], site_frames[block]
    patch = np.zeros((len(here), len(series.channels), window, window), np.float32)
    valid = np.zeros(patch.shape, bool)
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        for place, channel in enumerate(series.channels):
            other = int(number) + channel.delay
            centres = here[rows] + drift[number] - drift[other]
            patch[rows, place], valid[rows, place] = _cut_signal(
                *frame(channel.signal, other), centres, window=window
            )
    store.write_block(
        series.partial, {"patch": patch, "valid": valid}, start=block.start, shard=shard
    )


def _cut_signal(
    values: np.ndarray, valid: np.ndarray, centres: np.ndarray, *, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patches of one signal; a complex one is cut by its parts and gives its angle [rad]."""
    if not np.iscomplexobj(values):
        return cut(values, valid, centres, window=window)
    real, believed = cut(np.real(values), valid, centres, window=window)
    imaginary, _ = cut(np.imag(values), valid, centres, window=window)
    return np.where(believed, np.arctan2(imaginary, real), 0), believed
