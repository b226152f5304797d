"""The site of the next frame at the same wall point, matched along the wall normal."""

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from invae import dims
from invae.analysis.domains.switching import drift_between, smooth_polarization
from invae.analysis.domains.wall_steps import crossing
from invae.config import ComputeConfig
from invae.progress import Progress, silent
from invae.storage.blocks import map_blocks

NEAR = 3.0
"""Largest distance between the end of a step and the site of the next frame [px]."""


def latent_steps(
    maps: xr.Dataset, sites: xr.Dataset, *, compute: ComputeConfig, progress: Progress = silent
) -> xr.Dataset:
    """`next_site` (site), an index along `site`, −1 without a match; `step_length` (site) along the normal.

    A step is positive if the positive domain grows. From a site on the wall of frame t the wall of frame t + 1 is looked for along the
    normal, and from there the nearest site.

    Args:
        maps: `polarization`, `valid` (frame, y, x) and `drift` (frame, axis).
        sites: `frame`, `y`, `x` (site) [pixel].
        compute: number of frames in parallel.
        progress: called with the number of frames.
    """
    number = sites[dims.FRAME].to_numpy()
    places = np.column_stack([sites[axis].to_numpy() for axis in (dims.Y, dims.X)])
    target = np.full(len(number), -1, np.int64)
    length = np.full(len(number), np.nan)
    frames = [int(n) for n in np.unique(number) if n + 1 in number]

    def of_frame(frame: int) -> tuple[np.ndarray, np.ndarray]:
        here, there = np.flatnonzero(number == frame), np.flatnonzero(number == frame + 1)
        moved, ends = _ends(maps, frame, places[here])
        distance, nearest = KDTree(places[there]).query(np.nan_to_num(ends, nan=-1e6))
        matched = np.isfinite(moved) & (np.asarray(distance) <= NEAR)
        return np.where(matched, there[np.asarray(nearest)], -1), np.where(matched, moved, np.nan)

    found = map_blocks(of_frame, frames, compute=compute, progress=progress)
    for frame, (index, moved) in zip(frames, found, strict=True):
        target[number == frame], length[number == frame] = index, moved
    words = "position along `site` of the same wall point in the next frame; −1: none"
    step = dims.attrs("step of the wall until the next frame, along its normal", "pixel")
    return xr.Dataset(
        {
            "next_site": (dims.SITE, target, dims.attrs(words)),
            "step_length": (dims.SITE, length, step),
        }
    )


def _ends(maps: xr.Dataset, frame: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Length of the step of each place, and where it ends, in pixels of the next frame; NaN without one."""
    p, later = (smooth_polarization(maps, n) for n in (frame, frame + 1))
    rows, columns = (
        np.clip(np.rint(place).astype(int), 1, side - 2)
        for place, side in zip(places.T, p.shape, strict=True)
    )
    slope = np.stack(
        [p[rows + 1, columns] - p[rows - 1, columns], p[rows, columns + 1] - p[rows, columns - 1]],
        axis=1,
    )
    size = np.hypot(*slope.T)[:, None]
    normal = -np.divide(slope, size, out=np.full_like(slope, np.nan), where=size > 0)
    there = places - drift_between(maps, frame, frame + 1)
    moved = crossing(later, there, normal)
    return moved, there + moved[:, None] * normal
