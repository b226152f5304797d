"""Switching events: connected sets of pixels that flip, in time and place; first switching time and local coercive field.

A pixel keeps its state while the smoothed polarization is weak, so that a wall that only trembles flips nothing. Two flipping pixels
belong to one event if they touch, corners included, in the same or in successive steps, and flip to the same sign.

Source: definitions of this project; there are no published ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import scipy.sparse as sp
import xarray as xr

from invae import dims
from invae.analysis.domains.applied_field import FIELD
from invae.analysis.domains.switching import onto, smooth_polarization
from invae.descriptors.domains.walls import EIGHT, WALL_NON180
from invae.progress import Progress, silent

EVENT = "event"
CERTAIN = 0.15
"""Smallest smoothed polarization that changes the state of a pixel; a domain has 1, a lamella about 0.3, and noise has an sd of 0.06 at
a signal-to-noise ratio of 3."""
NUCLEATION_DISTANCE = 4.0
"""An event is a nucleation if it begins at least so far from any wall [px]."""
LEAST_AREA = 8
"""Smaller events are noise [pixel]."""


@dataclass(frozen=True)
class _Pieces:
    """Flipping areas of one step, connected within the step."""

    labels: np.ndarray
    """Numbers over the whole series (y, x), −1 elsewhere."""
    table: np.ndarray
    """(piece, column): step, sign, area, y, x, distance from the walls, distance from lamellae."""


@dataclass(frozen=True)
class Switching:
    """Events, and the first switch of every pixel of frame 0."""

    events: xr.Dataset
    maps: xr.Dataset


def switching_events(
    maps: xr.Dataset, *, scanned: np.ndarray, progress: Progress = silent
) -> Switching:
    """The table of events, and maps of the first switching time.

    Args:
        maps: `polarization`, `wall`, `valid` (frame, y, x), `drift` (frame, axis), and `applied_field` (frame) where it is known.
        scanned: share of the frame after which a pixel is scanned (y, x).
        progress: called with the number of frames.
    """
    first = np.full(scanned.shape, np.nan)
    tables, pairs, before = [np.zeros((0, 7))], [np.zeros((0, 2), int)], None
    count = 0
    for step, flips in enumerate(_flips(maps, first, scanned)):
        pieces = _pieces(flips, step, count, maps)
        tables.append(pieces.table)
        count += len(pieces.table)
        if before is not None:
            pairs.append(_touching(before, pieces.labels))
        before = pieces.labels
        progress(step + 1, maps.sizes[dims.FRAME])
    pieces_table = np.concatenate(tables)
    pairs = _same_sign(np.concatenate(pairs), pieces_table)
    events = _events(pieces_table, pairs, maps)
    return Switching(events, _maps(first, maps))


def _flips(maps: xr.Dataset, first: np.ndarray, scanned: np.ndarray) -> Iterator[np.ndarray]:
    """Sign to which each pixel of frame 0 flips in each step (y, x), 0 elsewhere; fills in the first switching time."""
    state, last = None, np.zeros(first.shape)
    for frame in range(maps.sizes[dims.FRAME]):
        drift = maps["drift"].isel({dims.FRAME: frame}).to_numpy()
        p = onto(smooth_polarization(maps, frame), drift)
        sure = np.nan_to_num(np.abs(p)) > CERTAIN
        now = np.where(sure, np.where(p > 0, 1, -1), 0).astype(np.int8)
        if state is None:
            state, last = now, p
            continue
        flipped = (now != 0) & (state != 0) & (now != state)
        share = np.divide(last, last - p, out=np.full(p.shape, 0.5), where=flipped)
        times = frame - 1 + np.clip(share, 0, 1) + scanned
        new = flipped & np.isnan(first)
        first[new] = times[new]
        state = np.where(now != 0, now, state).astype(np.int8)
        last = np.where(np.isfinite(p), p, last)
        yield np.where(flipped, now, 0)


def _pieces(flips: np.ndarray, step: int, count: int, maps: xr.Dataset) -> _Pieces:
    """The connected areas of one step."""
    labels = np.full(flips.shape, -1)
    rows = []
    distances = _distances(maps, step)
    for sign in (1, -1):
        number, n_pieces = ndi.label(flips == sign, EIGHT)  # type: ignore[misc]
        index = np.arange(1, n_pieces + 1)
        if n_pieces:
            area = np.bincount(number.ravel(), minlength=n_pieces + 1)[1:]
            centre = np.array(ndi.center_of_mass(flips == sign, number, index)).reshape(-1, 2)
            near = [ndi.minimum(distance, number, index) for distance in distances]
            same = np.ones(n_pieces)
            rows.append(np.column_stack([step * same, sign * same, area, centre, *near]))
            offset = count + sum(map(len, rows[:-1]))
            labels = np.where(number > 0, number - 1 + offset, labels)
    return _Pieces(labels, np.concatenate([np.zeros((0, 7)), *rows]))


def _distances(maps: xr.Dataset, frame: int) -> list[np.ndarray]:
    """Distance from the walls of a frame, and from its lamellae, in pixels of frame 0 (y, x); infinite without any."""
    here = maps.isel({dims.FRAME: frame})
    drift = here["drift"].to_numpy()
    positive = np.nan_to_num(smooth_polarization(maps, frame)) > 0
    wall = positive != ndi.grey_erosion(positive, 3)
    lamella = here["wall"].to_numpy() == WALL_NON180
    return [_away(onto(mask.astype(np.float32), drift) > 0.5) for mask in (wall, lamella)]


def _away(mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndi.distance_transform_edt(~mask))


def _touching(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Pairs of numbers of pieces of successive steps that touch (pair, 2)."""
    padded = np.pad(before, 1, constant_values=-1)
    pairs = [np.zeros((0, 2), int)]
    for d_y in range(3):
        for d_x in range(3):
            other = padded[d_y : d_y + after.shape[0], d_x : d_x + after.shape[1]]
            both = (other >= 0) & (after >= 0)
            pairs.append(np.unique(np.stack([other[both], after[both]], axis=1), axis=0))
    return np.unique(np.concatenate(pairs), axis=0)


def _same_sign(pairs: np.ndarray, table: np.ndarray) -> np.ndarray:
    sign = table[:, 1]
    return pairs[sign[pairs[:, 0]] == sign[pairs[:, 1]]]


def _events(table: np.ndarray, pairs: np.ndarray, maps: xr.Dataset) -> xr.Dataset:
    """One row per event, in the order of its first step."""
    n_pieces = len(table)
    links = sp.csr_matrix((np.ones(len(pairs)), tuple(pairs.T)), shape=(n_pieces, n_pieces))
    n_events, event = sp.csgraph.connected_components(links, directed=False)
    step, sign, area = table[:, :3].T
    total = np.bincount(event, area, n_events)
    first = np.full(n_events, np.inf)
    np.minimum.at(first, event, step)
    last = np.zeros(n_events)
    np.maximum.at(last, event, step)
    from_wall, from_lamella = np.full((2, n_events), np.inf)
    begins = step == first[event]
    np.minimum.at(from_wall, event[begins], table[begins, 5])
    np.minimum.at(from_lamella, event, table[:, 6])
    places = [
        np.bincount(event, area * table[:, k], n_events) / np.maximum(total, 1) for k in (3, 4)
    ]
    polarity = np.zeros(n_events)
    polarity[event] = sign
    columns = {
        dims.FRAME: (first.astype(np.int64) if n_events else np.zeros(0, np.int64), dims.attrs("frame before the event")),
        dims.Y: (places[0], dims.attrs("centre of the event, down, in pixels of frame 0", "pixel")),
        dims.X: (places[1], dims.attrs("centre of the event, right", "pixel")),
        "area": (total, dims.attrs("area whose polarization changes its sign", "pixel**2")),
        "duration": (last - first + 1, dims.attrs("number of steps between frames", "frame")),
        "sign": (polarity.astype(np.int8), dims.attrs("polarity after the event")),
        "nucleation": (
            from_wall >= NUCLEATION_DISTANCE,
            dims.attrs("whether no wall was near at the beginning"),
        ),
        "wall_distance": (from_wall, dims.attrs("distance from the walls at the beginning", "pixel")),
        "lamella_distance": (from_lamella, dims.attrs("distance from the nearest lamella", "pixel")),
    }  # fmt: skip
    rows = xr.Dataset({name: (EVENT, *column) for name, column in columns.items()})
    if FIELD in maps:
        field = maps[FIELD].to_numpy()[rows[dims.FRAME].to_numpy()]
        rows[FIELD] = EVENT, field, dict(maps[FIELD].attrs)
    rows = rows.isel({EVENT: np.flatnonzero(total >= LEAST_AREA)})
    return rows.isel({EVENT: np.lexsort((rows[dims.X], rows[dims.Y], rows[dims.FRAME]))})


def _maps(first: np.ndarray, maps: xr.Dataset) -> xr.Dataset:
    """First switching time, and the field at it where the field is known."""
    image = (dims.Y, dims.X)
    words = dims.attrs("time of the first change of sign; NaN: none was seen", "frame")
    found = xr.Dataset({"first_switch": (image, first.astype(np.float32), words)})
    if FIELD in maps:
        field = maps[FIELD].to_numpy()
        at = np.interp(np.nan_to_num(first), np.arange(len(field)), field)
        words = {
            **maps[FIELD].attrs,
            "long_name": "local coercive field: the field at the first change of sign",
        }
        found["coercive_field"] = (
            image,
            np.where(np.isnan(first), np.nan, at).astype(np.float32),
            words,
        )
    return found.assign_coords({axis: maps[axis] for axis in image if axis in maps.coords})
