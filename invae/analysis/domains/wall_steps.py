"""Steps of walls from frame to frame: velocity along the normal and curvature of every wall point.

The wall of a frame is the mid-level line of its smoothed polarization. A point of it is matched with the next frame along the
normal. The curvature that belongs to the step is the mean over both ends: a bend of wavelength λ relaxes within a frame if
c(2π/λ)² is not small, and the curvature at the start alone would be too large by up to 40 %.

Source: definitions of this project; there are no published ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import scipy.ndimage as ndi
import xarray as xr
from skimage.measure import find_contours

from invae import dims
from invae.analysis.domains.switching import curvature
from invae.config import ComputeConfig
from invae.descriptors.domains.walls import smoothed
from invae.progress import Progress, silent
from invae.storage.blocks import map_blocks

SMOOTHING = 2.0
"""Sd of the Gaussian before walls are traced [px]: velocity and curvature lose the same by it."""
CLIP = 1.3
"""Largest polarization that counts: dust would displace the walls around it."""
REACH = 8.0
"""Largest step between frames [px]."""
RAY_STEP = 0.25
"""Distance of the points on a ray along the normal [px]."""
EVERY = 2
"""Every second point of a line is used; they are about half a pixel apart."""
LEAST_POINTS = 16
"""Lines with fewer points are noise."""
FASTEST = 5.0
"""Faster steps are mismatches, or a domain that nucleated [pixel per frame]."""


@dataclass(frozen=True)
class WallSteps:
    """Wall points with their step to the next frame, (point) each; positions in pixels of frame 0."""

    frame: np.ndarray
    """Number of the frame at the start of the step."""
    y: np.ndarray
    x: np.ndarray
    """Middle of the step [px]."""
    normal: np.ndarray
    """Unit normal out of the positive domain (point, axis)."""
    velocity: np.ndarray
    """[pixel per frame], positive if the positive domain grows."""
    curvature: np.ndarray
    """Mean of both ends [1/pixel], positive where the positive domain bulges out."""
    beside: np.ndarray
    """Mean curvature of the frames before and after the step: its noise is not that of velocity and curvature; NaN if unknown."""
    line: np.ndarray
    """Share of the frame that was scanned before the point."""

    def __len__(self) -> int:
        """Number of points."""
        return len(self.frame)

    def where(self, chosen: np.ndarray) -> "WallSteps":
        """Some of the points."""
        return WallSteps(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class _Lines:
    """Maps of one frame that the balance needs."""

    field: np.ndarray
    bend: np.ndarray
    drift: np.ndarray


def wall_steps(
    maps: xr.Dataset,
    *,
    compute: ComputeConfig,
    lines: str = "rows",
    progress: Progress = silent,
) -> WallSteps:
    """The steps of all wall points of a series; points without a match are left out.

    Args:
        maps: `polarization`, `valid` (frame, y, x) and `drift` (frame, axis).
        compute: number of frames in parallel.
        lines: whether "rows" or "columns" are the scan lines.
        progress: called with the number of frames.
    """
    n_frames = maps.sizes[dims.FRAME]

    def of_frame(frame: int) -> WallSteps:
        near = [n for n in range(frame - 1, frame + 3) if 0 <= n < n_frames]
        return _steps({number: _lines(maps, number) for number in near}, frame, lines=lines)

    found = map_blocks(of_frame, range(n_frames - 1), compute=compute, progress=progress)
    return joined(found)


def joined(parts: Sequence[WallSteps]) -> WallSteps:
    """The points of several frames."""
    names = [field.name for field in fields(WallSteps)]
    return WallSteps(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _lines(maps: xr.Dataset, frame: int) -> _Lines:
    here = maps.isel({dims.FRAME: frame})
    clipped = np.clip(here["polarization"].to_numpy(), -CLIP, CLIP)
    field = smoothed(clipped, here["valid"].to_numpy(), sd=SMOOTHING)
    return _Lines(field, curvature(field), here["drift"].to_numpy())


def _steps(near: dict[int, _Lines], frame: int, *, lines: str) -> WallSteps:
    own = near[frame]
    points, normal = wall_normals(own.field)
    ends = {n: _end(near[n], points, normal, own.drift) for n in near if n != frame}
    unmatched = np.full(len(points), np.nan)
    velocity, bend_after = ends[frame + 1]
    before, after = (ends.get(n, (unmatched, unmatched))[1] for n in (frame - 1, frame + 2))
    bend = (_read(own.bend, points) + bend_after) / 2
    middle = points + own.drift + velocity[:, None] / 2 * normal
    axis = 0 if lines == "rows" else 1
    share = np.clip(points[:, axis] / own.field.shape[axis], 0, 1)
    number = np.full(len(points), frame)
    y, x = middle.T
    steps = WallSteps(number, y, x, normal, velocity, bend, (before + after) / 2, share)
    return steps.where(np.isfinite(velocity) & np.isfinite(bend) & (np.abs(velocity) < FASTEST))


def wall_normals(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wall points (point, axis) of a smoothed polarization (y, x) [px], and the unit normals out of the positive domain."""
    known = np.isfinite(field)
    traced = find_contours(np.where(known, field, 0), 0.0, mask=known)
    long = [line[::EVERY] for line in traced if len(line) >= LEAST_POINTS]
    points = np.concatenate([np.zeros((0, 2)), *long])
    slope = np.stack([_read(part, points) for part in np.gradient(field)], axis=1)
    size = np.hypot(*slope.T)
    normal = -np.divide(
        slope, size[:, None], out=np.full_like(slope, np.nan), where=size[:, None] > 0
    )
    right = np.isfinite(normal).all(axis=1)
    return points[right], normal[right]


def _end(
    other: _Lines, points: np.ndarray, normal: np.ndarray, drift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Displacement along the normal until the wall of another frame [px], and its curvature there; NaN without a match."""
    there = points + drift - other.drift
    moved = crossing(other.field, there, normal)
    bend = _read(other.bend, there + np.nan_to_num(moved)[:, None] * normal)
    return moved, np.where(np.isfinite(moved), bend, np.nan)


def crossing(field: np.ndarray, points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Distance along the normal to the nearest wall of the same direction (point) [px]; NaN if none is within reach.

    Args:
        field: smoothed polarization (y, x).
        points: (point, axis) [px].
        normal: (point, axis), out of the positive domain.
    """
    steps = np.arange(-REACH, REACH + RAY_STEP / 2, RAY_STEP)
    places = points[:, None] + steps[:, None] * normal[:, None]
    values = _read(field, places.reshape(-1, 2)).reshape(len(points), len(steps))
    inner, outer = values[:, :-1], values[:, 1:]
    falls = (inner > 0) & (outer <= 0)
    share = np.divide(inner, inner - outer, out=np.zeros_like(inner), where=falls)
    distance = np.where(falls, steps[:-1] + RAY_STEP * share, np.inf)
    nearest = distance[np.arange(len(points)), np.abs(distance).argmin(axis=1)]
    return np.where(np.isfinite(nearest), nearest, np.nan)


def _read(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An image (y, x) at fractional points (point, axis); NaN beside unknown pixels and outside."""
    return ndi.map_coordinates(image, points.T, order=1, cval=np.nan)
