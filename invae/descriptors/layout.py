"""Layout of patches in a store, and the coordinates of their sites."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invae.descriptors.offset import remarks_on_offsets
from invae.dims import CHANNEL, KINDS, PATCH, PATCH_X, PATCH_Y, SITE, X, Y, attrs, flags
from invae.storage import store

INDEPENDENT = "independent_frames"
"""Attribute of a patch store: whether its frames are independent images, not a series in time."""
EMPTY = "empty"
"""Group of a patch store with `empty_patch`, the patch of a pattern without electrons, a lower bound of all patches."""
PATCH_BYTES = 16e6
"""Size of a shard of patches [byte]."""
NOTHING: Mapping[str, store.Variable] = {}


def lay_out_patches(
    partial: Path, coords: xr.Dataset, *, beside: Mapping[str, store.Variable] = NOTHING
) -> int:
    """Make the arrays of the patches, unwritten, and write the coordinates of the sites; returns the sites per shard.

    Args:
        partial: the unfinished store.
        coords: coordinates of the sites and of the pixels.
        beside: further arrays over `site`, by name.
    """
    shape = tuple(coords.sizes[dim] for dim in PATCH)
    variables = {
        "patch": store.Variable(PATCH, shape, np.float32, attrs("patch around a site")),
        "valid": store.Variable(PATCH, shape, np.bool_, attrs("pixel is to be believed")),
        **beside,
    }
    shard = store.shard_length(variables, shard_bytes=PATCH_BYTES)
    store.lay_out(partial, variables, shard=shard, coords=coords)
    return shard


def site_coordinates(
    recording: xr.Dataset,
    sites: np.ndarray,
    site_frames: np.ndarray,
    *,
    kind: str,
    channels: Sequence[str],
    steps: tuple[np.ndarray, np.ndarray],
    notes: Sequence[str] = (),
) -> xr.Dataset:
    """Coordinates of every site: frame, (y, x) in pixels of that frame and in nm, kind and source.

    Args:
        recording: the recording of the sites.
        sites: (site, 2), (y, x) [px].
        site_frames: (site,).
        kind: of the sites, one of `KINDS` or a name of the kind's own.
        channels: names of the channels.
        steps: positions of the rows and columns of a patch relative to its site [px].
        notes: remarks, in addition to those of the recording.
    """
    source = np.zeros(len(sites), np.int32)
    if "source" in recording.variables:
        source = recording["source"].to_numpy().astype(np.int32)[site_frames]
    size = pixel_sizes(recording)
    in_nm = sites * np.array([np.nan, np.nan] if size is None else size)
    meanings = KINDS if kind in KINDS else (*KINDS, kind)
    index = np.full(len(sites), meanings.index(kind), np.int8)
    coords = {
        "frame": (SITE, site_frames, attrs("frame of the site")),
        "y": (SITE, sites[:, 0], attrs("site in its frame, down", "pixel")),
        "x": (SITE, sites[:, 1], attrs("site in its frame, right", "pixel")),
        "y_nm": (SITE, in_nm[:, 0], attrs("site in its frame, down", "nm")),
        "x_nm": (SITE, in_nm[:, 1], attrs("site in its frame, right", "nm")),
        "kind": (SITE, index, flags(meanings, "kind of site")),
        "source": (SITE, source, attrs("index of the source file")),
        CHANNEL: list(channels),
        PATCH_Y: (PATCH_Y, steps[0], attrs("position in the patch, down", "pixel")),
        PATCH_X: (PATCH_X, steps[1], attrs("position in the patch, right", "pixel")),
    }
    told = _origin(recording, size, steps[0])
    offsets = remarks_on_offsets(recording, list(channels))
    told["notes"] = [*recording.attrs.get("notes", []), *notes, *offsets]
    return xr.Dataset(coords=coords, attrs={**told, "window": max(map(len, steps))})


def _origin(
    recording: xr.Dataset, size: tuple[float, float] | None, steps: np.ndarray
) -> dict[str, Any]:
    """Origin of the recording, and the pixel size of a patch."""
    kept = {
        "sources": recording.attrs.get("sources", []),
        "modality": recording.attrs.get("modality", "unknown"),
    }
    if size is None:
        return kept
    step = float(steps[1] - steps[0]) if len(steps) > 1 else 1.0
    return {**kept, "pixel_size_nm": step * float(np.mean(size))}


def pixel_sizes(recording: xr.Dataset) -> tuple[float, float] | None:
    """Height and width of a pixel [nm]; None if the recording is not calibrated."""
    sizes = []
    for axis in (Y, X):
        calibrated = axis in recording.variables and recording[axis].attrs.get("units") == "nm"
        if not calibrated or recording.sizes[axis] < 2:
            return None
        places = recording[axis].to_numpy()
        sizes.append(float(places[-1] - places[0]) / (len(places) - 1))
    return sizes[0], sizes[1]
