"""Tracks of atoms in a movie: number of frames, and changes of the latents."""

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.decoding import states_of

FEWEST = 3
"""Smallest number of frames of a track."""


def track_table(sites: xr.Dataset) -> xr.Dataset:
    """One row per tracked atom: mean position, number of frames, standard deviation of its content over time.

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
    columns = {
        "n_frames": ("track", counts[kept], dims.attrs("frames in which the atom was detected")),
        "content_change": (own_track, spread[kept].astype(np.float32), dims.attrs(words)),
    }
    for name in ("y", "x", "y_nm", "x_nm"):
        place = _means(sites[name].to_numpy()[:, None], owner, counts)[kept, 0]
        columns[name] = ("track", place, sites[name].attrs)
    label = states_of(sites)
    if label is not None:
        changes = _changes(label, owner, sites[dims.FRAME].to_numpy())[kept]
        columns["class_changes"] = ("track", changes, dims.attrs("number of class changes"))
    number = ("track", numbers[kept], dims.attrs("number of the atom, the same in every frame"))
    return xr.Dataset(columns, coords={"track": number})


def _means(values: np.ndarray, owner: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of columns over the sites of every track (track, column)."""
    sums = [np.bincount(owner, weights=column, minlength=len(counts)) for column in values.T]
    return np.column_stack(sums) / counts[:, None]


def _changes(label: np.ndarray, owner: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Number of changes of the label from one detection to the next (track,)."""
    order = np.lexsort((frame, owner))
    same = np.diff(owner[order]) == 0
    changed = same & (np.diff(label[order]) != 0)
    return np.bincount(owner[order][1:][changed], minlength=owner.max() + 1)
