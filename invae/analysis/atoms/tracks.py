"""The same atom in the course of a movie: how long it is seen, and how much its latents change."""

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.decoding import states_of

FEWEST = 3
"""Frames in which an atom must be seen to have a history."""


def track_table(sites: xr.Dataset) -> xr.Dataset:
    """Every atom that is seen in some frames: where on average, how often, and how far its latents wander.

    Args:
        sites: `content`, coords `track`, `frame`, `y`, `x`.
    """
    numbers, owner, counts = np.unique(
        sites["track"].to_numpy(), return_inverse=True, return_counts=True
    )
    kept = np.flatnonzero(counts >= FEWEST)
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy().astype(float)
    mean = _means(content, owner, counts)
    spread = np.sqrt(_means((content - mean[owner]) ** 2, owner, counts))
    own_track = ("track", dims.LATENT)
    words = "standard deviation of the content over time"
    found = {
        "n_frames": ("track", counts[kept], dims.attrs("frames in which the atom was detected")),
        "content_change": (own_track, spread[kept].astype(np.float32), dims.attrs(words)),
    }
    for name in ("y", "x", "y_nm", "x_nm"):
        place = _means(sites[name].to_numpy()[:, None], owner, counts)[kept, 0]
        found[name] = ("track", place, sites[name].attrs)
    label = states_of(sites)
    if label is not None:
        changes = _changes(label, owner, sites[dims.FRAME].to_numpy())[kept]
        found["class_changes"] = ("track", changes, dims.attrs("number of class changes"))
    number = ("track", numbers[kept], dims.attrs("number of the atom, the same in every frame"))
    return xr.Dataset(found, coords={"track": number})


def _means(values: np.ndarray, owner: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of columns over the sites of every owner (owner, column)."""
    sums = [np.bincount(owner, weights=column, minlength=len(counts)) for column in values.T]
    return np.column_stack(sums) / counts[:, None]


def _changes(label: np.ndarray, owner: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """How often the label of an owner is another one than when it was seen before (owner,)."""
    order = np.lexsort((frame, owner))
    same = np.diff(owner[order]) == 0
    changed = same & (np.diff(label[order]) != 0)
    return np.bincount(owner[order][1:][changed], minlength=owner.max() + 1)
