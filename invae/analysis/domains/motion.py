"""Wall motion between frames after drift correction, and where walls stay.

Source: definitions of this project; there are no published ones.
"""

from collections.abc import Sequence

import numpy as np
import scipy.ndimage as ndi
import xarray as xr
from scipy.spatial import KDTree

from invae import dims
from invae.analysis.domains.applied_field import sign_of
from invae.analysis.domains.switching import (
    drift_between,
    onto,
    signed_polarization,
    smooth_polarization,
)
from invae.config import AnalyseConfig, ComputeConfig
from invae.descriptors.domains.walls import WALL_180
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks

TRANSITIONS = ("none", "forward", "reverse")
"""Meanings of `transition`: a wall arrives, a wall leaves."""
FORWARD, REVERSE = 1, 2
FRAMES_PER_BLOCK = 32


def evolution(maps: xr.Dataset, *, frames: Sequence[int], config: AnalyseConfig) -> xr.Dataset:
    """Pixels where walls arrive (forward) or leave (reverse) until the next frame, (frame, y, x).

    forward = wall(t+1) ∖ wall(t), reverse = wall(t) ∖ wall(t+1), each beyond `config.wall_tolerance`; in pixels of frame t.
    There are no changes in the last frame, nor where either frame is masked.

    Args:
        maps: `wall`, `valid` (frame, y, x) and `drift` (frame, axis).
        frames: numbers t of the frames.
        config: the tolerance.
    """
    size = (maps.sizes[dims.Y], maps.sizes[dims.X])
    transition = np.zeros((len(frames), *size), np.uint8)
    for index, frame in enumerate(frames):
        if frame + 1 < maps.sizes[dims.FRAME]:
            transition[index] = _transition(maps, frame, tolerance=config.wall_tolerance)
    return xr.Dataset(
        {
            "transition": (
                dims.IMAGE,
                transition,
                dims.flags(TRANSITIONS, "change until the next frame"),
            )
        },
        coords={
            dims.FRAME: (dims.FRAME, np.asarray(frames), dims.attrs("number of the frame")),
            **{axis: maps[axis] for axis in (dims.Y, dims.X) if axis in maps.coords},
        },
    )


def _transition(maps: xr.Dataset, frame: int, *, tolerance: float) -> np.ndarray:
    drift = drift_between(maps, frame, frame + 1)
    before, after = (maps.isel({dims.FRAME: number}) for number in (frame, frame + 1))
    wall, later = wall_places(maps, frame), wall_places(maps, frame + 1) + drift
    valid_after = onto(after["valid"].to_numpy().astype(np.float32), drift) > 0.5
    both = before["valid"].to_numpy() & valid_after
    transition = np.zeros(both.shape, np.uint8)
    for places, others, kind in ((later, wall, FORWARD), (wall, later, REVERSE)):
        moved = np.rint(places[_apart(places, others) > tolerance]).astype(int)
        inside = ((moved >= 0) & (moved < both.shape)).all(axis=1)
        transition[tuple(moved[inside].T)] = kind
    return np.where(both, transition, 0).astype(np.uint8)


def _apart(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each place from the nearest of the others [px]; infinite without any."""
    if not len(others):
        return np.full(len(places), np.inf)
    return np.asarray(KDTree(others).query(places)[0])


def wall_places(maps: xr.Dataset, frame: int) -> np.ndarray:
    """Places of the wall pixels of a frame (place, axis) [px], each moved onto the line at which the smoothed polarization changes its sign.

    A pixel moves by at most one pixel; where the polarization is not known, it stays.
    """
    wall = maps["wall"].isel({dims.FRAME: frame}).to_numpy() == WALL_180
    places = np.argwhere(wall)
    p = smooth_polarization(maps, frame)
    slope = np.stack([part[wall] for part in np.gradient(p)], axis=1)
    steep = (slope**2).sum(axis=1, keepdims=True)
    step = -np.divide(p[wall][:, None] * slope, steep, out=np.zeros(slope.shape), where=steep > 0)
    step = np.where(np.isfinite(step), step, 0)
    return places + step / np.maximum(np.hypot(*step.T), 1)[:, None]


def _distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the nearest pixel of a mask [px]; infinite if there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndi.distance_transform_edt(~mask))


def wall_motion(
    maps: xr.Dataset, contours: xr.Dataset, *, frames: Sequence[int], config: AnalyseConfig
) -> xr.Dataset:
    """Signed normal velocity of every wall point until the next frame, (point) [pixel per frame].

    Positive if the domain of positive polarization, or the switched one where the field is known, grows. NaN in the last frame,
    in frames without a field, where the next frame is masked, and where no wall lies within `config.disc_radius` on the side into
    which the wall moved according to the polarization.

    Args:
        maps: `polarization`, `valid` (frame, y, x) and `drift` (frame, axis).
        contours: sub-pixel wall points `frame`, `y`, `x` (point) [pixel].
        frames: numbers of the frames.
        config: sign of the field, largest distance, tolerance.
    """
    chosen = contours.isel(point=np.isin(contours[dims.FRAME].to_numpy(), frames))
    number = chosen[dims.FRAME].to_numpy()
    velocity = np.full(len(number), np.nan)
    for frame in frames:
        here = number == frame
        later = contours[dims.FRAME].to_numpy() == frame + 1
        if here.any() and later.any():
            moved = _places(contours)[later] + drift_between(maps, frame, frame + 1)
            velocity[here] = _velocity(maps, frame, _places(chosen)[here], moved, config=config)
    labelled = ("point", velocity, dims.attrs("normal velocity", "pixel", per="frame"))
    return chosen[[dims.FRAME, dims.Y, dims.X]].assign(normal_velocity=labelled)


def _velocity(
    maps: xr.Dataset, frame: int, points: np.ndarray, later: np.ndarray, *, config: AnalyseConfig
) -> np.ndarray:
    """Normal velocity of the points of one frame; both in pixels of that frame."""
    p = signed_polarization(maps, frame, config=config)
    drift = drift_between(maps, frame, frame + 1)
    sign = sign_of(maps, frame, config=config)
    p_later = onto(sign * smooth_polarization(maps, frame + 1), drift)
    slope = np.stack([ndi.map_coordinates(part, points.T, order=1) for part in np.gradient(p)])
    with np.errstate(invalid="ignore", divide="ignore"):
        out_of_domain = -slope / np.hypot(*slope)
    distance, nearest = KDTree(later).query(points)
    velocity = ((later[nearest] - points).T * out_of_domain).sum(axis=0)
    later_sign = ndi.map_coordinates(p_later, points.T, order=1, cval=np.nan)
    agrees = (np.sign(later_sign) == np.sign(velocity)) | (
        np.abs(velocity) <= config.wall_tolerance
    )
    believed = np.isfinite(later_sign) & agrees & (distance <= config.disc_radius)
    return np.where(believed, velocity, np.nan)


def _places(points: xr.Dataset) -> np.ndarray:
    return np.column_stack([points[dims.Y].to_numpy(), points[dims.X].to_numpy()])


def residence(
    maps: xr.Dataset,
    *,
    config: AnalyseConfig,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> xr.Dataset:
    """Where walls stay, (y, x) in pixels of frame 0: 1 if a nearby wall is always at the pixel.

    `residence` is the number of frames with a wall at the pixel (within `config.wall_tolerance`) over the number of frames with a
    wall nearby (within `config.disc_radius`), NaN if there are none; `wall_frames` is the latter number. A wall that does
    not move has 1 everywhere: a high value alone does not show that something holds the wall.

    Args:
        maps: `wall`, `valid` (frame, y, x) and `drift` (frame, axis).
        config: the two distances.
        compute: number of blocks of frames in parallel.
        progress: called with the number of blocks of frames.
    """

    def count(frames: slice) -> np.ndarray:
        counts = np.zeros((2, maps.sizes[dims.Y], maps.sizes[dims.X]), np.int32)
        for frame in range(frames.start, frames.stop):
            distance = _distance_on_sample(maps, frame)
            counts[0] += distance <= config.wall_tolerance
            counts[1] += distance <= config.disc_radius
        return counts

    blocks = store.blocks(maps.sizes[dims.FRAME], FRAMES_PER_BLOCK)
    counts = map_blocks(count, blocks, compute=compute, progress=progress)
    at, near = np.sum(counts, axis=0)
    share = np.divide(at, near, out=np.full(at.shape, np.nan), where=near > 0)
    image = (dims.Y, dims.X)
    return xr.Dataset(
        {
            "residence": (
                image,
                share,
                dims.attrs(
                    "where walls stay: frames with a wall here over frames with a wall nearby"
                ),
            ),
            "wall_frames": (image, near, dims.attrs("frames with a wall nearby")),
        },
        coords={axis: maps[axis] for axis in image if axis in maps.coords},
    )


def _distance_on_sample(maps: xr.Dataset, frame: int) -> np.ndarray:
    """Distance to the nearest wall of a frame, in pixels of frame 0; NaN where masked or outside."""
    here = maps.isel({dims.FRAME: frame})
    distance = _distance(here["wall"].to_numpy() == WALL_180)
    distance[~here["valid"].to_numpy()] = np.nan
    if not np.isfinite(distance).any():
        return np.full(distance.shape, np.nan)
    return onto(distance, here["drift"].to_numpy())
