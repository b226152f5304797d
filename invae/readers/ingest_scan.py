"""A 4D-STEM scan into the store, and its maps, in one pass: slab by slab, each read once.

Two slabs of scan rows are in memory: one is read, reduced and looked at in pieces by several threads while Zarr compresses and
writes the other. The file of a slab is written last, so a slab that is there is complete, and is not read from its source again.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from threadpoolctl import threadpool_limits

from invae import dims
from invae.config import ComputeConfig, ScanConfig
from invae.progress import Progress
from invae.readers import scan_maps
from invae.readers.recording import COMPLETE
from invae.readers.survey import Survey
from invae.scans import virtual
from invae.scans.calibration import Axes, Calibration, calibrate
from invae.scans.virtual import Detectors
from invae.storage import store
from invae.storage.blocks import map_blocks

BYTES_PER_MB = 1e6
PATTERN, MAPS, RADIAL = "pattern", "maps", "radial_profile"
PIECES = 16
"""Parts of a slab that are read and looked at one by one, so that memory holds little beside the slab itself."""
STREAMED = ("npz",)
"""Formats in which a piece costs all that lies before it in the file, so that slabs are read in one go."""
MOST_THREADS = 8
"""Pieces that are in memory at once."""
SAMPLE = 256
"""Patterns, from all over the scan, that are looked at before the pass."""
SAMPLE_BYTES = 32_000_000
"""Memory that they may take."""
FOLDED = 16
"""Slabs that a cluster is given at once; then what they say of the detector is added up."""
CALIBRATION = "calibration"
"""Attribute of the unfinished group `maps`: what was found before the pass."""

Tile = tuple[slice, slice]
"""Scan rows and columns."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a part of the scan gives."""

    moments: np.ndarray
    """Sums under every virtual detector (map, scan_y, scan_x)."""
    total: np.ndarray
    """Sum of its patterns (k_y, k_x)."""
    highest: np.ndarray
    """Largest value of each detector pixel (k_y, k_x)."""
    survey: Survey

    def with_detector_of(self, other: "Look") -> "Look":
        """This part, with what both say of the detector."""
        return Look(
            self.moments,
            self.total + other.total,
            np.maximum(self.highest, other.highest),
            self.survey.joined(other.survey),
        )


@dataclass(frozen=True, eq=False)
class Slab:
    """Some rows of the scan, in memory."""

    tile: Tile
    values: np.ndarray
    rings: np.ndarray
    """Radial profiles (scan_y, scan_x, k)."""
    is_there: bool
    """Whether its patterns are in the store."""
    look: Look


@dataclass(frozen=True, eq=False)
class Pass:
    """All that is needed to take in a slab."""

    growing: Path
    source: xr.Variable
    calibration: Calibration
    detectors: Detectors
    threads: int
    streamed: bool = False
    """Whether a slab is read in one go."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the patterns that are kept."""
        return self.calibration.window.dtype(self.source.dtype)

    def take(self, tile: Tile) -> Look:
        """Look at one slab, and write it."""
        slab = self.look(tile)
        self.write(slab)
        return slab.look

    def look(self, tile: Tile, room: np.ndarray | None = None) -> Slab:
        """Read a slab, from the store if it is there already, and look at it piece by piece.

        Args:
            tile: Which one.
            room: Memory for its values, flat; touching new memory takes as long as reading.
        """
        sizes = tuple(part.stop - part.start for part in tile)
        shape = (*sizes, *self.calibration.window.shape)
        is_there = store.tile_is_written(self.growing, PATTERN, tile=tile)
        if is_there:
            values = self._stored(tile)
        else:
            room = np.empty(math.prod(shape), self.dtype) if room is None else room
            values = room[: math.prod(shape)].reshape(shape)
            if self.streamed:
                values[...] = self._read(tile, _all_of(sizes))
        rings = np.empty((*sizes, len(self.detectors.ring_sizes)), np.float32)
        moments = np.empty((len(virtual.MAPS), *sizes))

        def look(piece: Tile) -> Look:
            if not (is_there or self.streamed):
                values[piece] = self._read(tile, piece)
            patterns = values[piece].reshape(-1, *shape[2:])
            scan = values[piece].shape[:2]
            rings[piece] = virtual.rings_of(patterns, self.detectors).reshape(*scan, -1)
            found = virtual.moments_of(patterns, self.detectors)
            moments[(slice(None), *piece)] = found.reshape(-1, *scan)
            total, highest = virtual.total_and_maximum(patterns)
            return Look(moments, total, highest, Survey.of(patterns))

        with ThreadPoolExecutor(self.threads) as pool:
            looks = list(pool.map(look, _pieces(sizes)))
        whole = reduce(Look.with_detector_of, looks)
        return Slab(tile, values, rings, is_there, whole)

    def write(self, slab: Slab) -> None:
        """Write a slab: its rings first, its patterns last."""
        store.write_tile(self.growing, RADIAL, slab.rings, tile=slab.tile, group=MAPS)
        if not slab.is_there:
            store.write_tile(self.growing, PATTERN, slab.values, tile=slab.tile)

    def _read(self, tile: Tile, piece: Tile) -> np.ndarray:
        """A piece of a slab from the source, reduced to what is kept."""
        rows, columns = (
            slice(whole.start + part.start, whole.start + part.stop)
            for whole, part in zip(tile, piece, strict=True)
        )
        return self.calibration.window.of(np.asarray(self.source[rows, columns].values))

    def _stored(self, tile: Tile) -> np.ndarray:
        array = store.open_group(self.growing, mode="r")[PATTERN]
        assert isinstance(array, zarr.Array)
        return np.asarray(array[tile])


def is_scan(recording: xr.Dataset) -> bool:
    """Whether every value of a recording belongs to a diffraction pattern of a scan."""
    return {dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X} <= {*recording.dims}


def take_in_scan(
    growing: Path,
    recording: xr.Dataset,
    *,
    config: ScanConfig,
    compute: ComputeConfig,
    progress: Progress,
) -> tuple[xr.Dataset, list[dict[str, Survey]]]:
    """Write the patterns and the group `maps`; the recording as it was taken in, and what its values are like.

    Raises:
        ConfigError: If the configuration does not fit the recording.
        StoreError: If the disk is full or cannot be written.
    """
    recording = _one_signal(recording)
    calibration = _calibration(growing, recording, config)
    tiles = _lay_out(growing, recording, calibration, config.slab_mb)
    alone = compute.scheduler == "threads"
    run = Pass(
        growing,
        recording[PATTERN].variable,
        calibration,
        calibration.detectors,
        threads=min(MOST_THREADS, compute.workers or os.cpu_count() or 1) if alone else 1,
        streamed=_is_streamed(recording),
    )
    moments = np.empty((len(virtual.MAPS), *recording[PATTERN].shape[:2]))
    whole: Look | None = None
    looks = (
        _one_by_one(run, tiles, progress) if alone else _in_groups(run, tiles, compute, progress)
    )
    for tile, look in zip(tiles, looks, strict=True):
        moments[(slice(None), *tile)] = look.moments
        whole = look if whole is None else whole.with_detector_of(look)
    assert whole is not None
    return _finished(growing, recording, run, moments, whole, config)


def _finished(
    growing: Path,
    recording: xr.Dataset,
    run: Pass,
    moments: np.ndarray,
    whole: Look,
    config: ScanConfig,
) -> tuple[xr.Dataset, list[dict[str, Survey]]]:
    """Write the maps, and the notes of the pass onto the recording."""
    calibration, n_patterns = run.calibration, moments[0].size
    images = scan_maps.Images(moments, whole.total / n_patterns, whole.highest)
    maps, notes = scan_maps.labelled(images, recording, calibration, config)
    store.write_dataset(growing, maps, group=MAPS)
    remarks = [*calibration.notes, *notes]
    if whole.survey.minimum < 0:
        remarks.append(
            f"patterns have values down to {whole.survey.minimum:g}, which are no counts"
        )
    told = [*recording.attrs.get("notes", []), *remarks]
    return recording.assign_attrs(notes=told), [{PATTERN: whole.survey}]


def _one_by_one(run: Pass, tiles: Sequence[Tile], progress: Progress) -> Iterator[Look]:
    """What every slab gives, in the order in which they lie in the file; each is written while the next is looked at."""
    largest = max(math.prod(part.stop - part.start for part in tile) for tile in tiles)
    n_values = largest * math.prod(run.calibration.window.shape)
    rooms = [np.empty(n_values, run.dtype) for _ in tiles[:2]]
    with threadpool_limits(limits=1), ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for done, tile in enumerate(tiles):
            slab = run.look(tile, rooms[done % 2])
            if writing is not None:
                writing.result()
                progress(done, len(tiles))
            writing = writer.submit(run.write, slab)
            yield slab.look
        if writing is not None:
            writing.result()
            progress(len(tiles), len(tiles))


def _in_groups(
    run: Pass, tiles: Sequence[Tile], compute: ComputeConfig, progress: Progress
) -> Iterator[Look]:
    """What every slab gives, from the workers of a cluster; some at a time, for each says something of every pixel."""
    for start in range(0, len(tiles), FOLDED):

        def tell(done: int, _: int, /, before: int = start) -> None:
            progress(before + done, len(tiles))

        some = tiles[start : start + FOLDED]
        yield from map_blocks(run.take, some, compute=compute, progress=tell)


def _one_signal(recording: xr.Dataset) -> xr.Dataset:
    """The recording with its patterns alone, under their name."""
    names = [str(name) for name in recording.data_vars]
    counts = [name for name in names if recording[name].dtype.kind == "u"]
    name = PATTERN if PATTERN in names else (counts or names)[0]
    others = [other for other in names if other != name]
    notes = list(recording.attrs.get("notes", []))
    if others:
        notes.append(
            f"{name} is taken for the patterns, {', '.join(others)} left out "
            "(choose one by ingest.channels)"
        )
    attrs = {"modality": "4D-STEM", "notes": notes}
    kept = recording[[name]].rename({name: PATTERN} if name != PATTERN else {})
    order = (dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X)
    return kept.transpose(*order).assign_attrs({**recording.attrs, **attrs})


def _calibration(growing: Path, recording: xr.Dataset, config: ScanConfig) -> Calibration:
    """What was found before the pass; looked for once, also when a run is resumed."""
    root = store.open_group(growing, mode="a")
    known = root[MAPS].attrs.get(CALIBRATION) if MAPS in root else None
    if isinstance(known, Mapping):
        return Calibration.from_json(known)
    with threadpool_limits(limits=1):  # the last digits of sums depend on the number of threads
        found = calibrate(_sample(recording[PATTERN]), _axes(recording), config)
    with store.writing(growing):
        root.require_group(MAPS).attrs.update({CALIBRATION: found.to_json()})
    return found


def _sample(patterns: xr.DataArray) -> np.ndarray:
    """Patterns from all over the scan (pattern, k_y, k_x), finite; the same whatever the slabs."""
    rows, columns, *detector = patterns.shape
    item = int(np.prod(detector)) * patterns.dtype.itemsize
    most = min(SAMPLE, max(16, SAMPLE_BYTES // max(item, 1)))
    n_rows = min(rows, int(most**0.5))
    n_columns = min(columns, max(1, most // n_rows))
    step = columns // n_columns
    across = slice(step // 2, step // 2 + (n_columns - 1) * step + 1, step)
    picked = [int((row + 0.5) * rows / n_rows) for row in range(n_rows)]
    return virtual.finite(
        np.concatenate([np.asarray(patterns.variable[row, across].values) for row in picked])
    )


def _axes(recording: xr.Dataset) -> Axes:
    """What the file says of the detector."""
    steps, zeros, units = [], [], "pixel"
    for dim in (dims.K_Y, dims.K_X):
        places = recording[dim].to_numpy().astype(float)
        units = str(recording[dim].attrs.get("units", "pixel"))
        step = float(places[-1] - places[0]) / (len(places) - 1) if len(places) > 1 else 1.0
        zero = -float(places[0]) / step
        steps.append(step)
        zeros.append(zero if units != "pixel" and 0 <= zero <= len(places) - 1 else None)
    zero = (zeros[0], zeros[1]) if None not in zeros else None
    told = (recording.attrs.get(name) for name in ("beam_energy_keV", "convergence_mrad"))
    energy, convergence = (float(value) if value else None for value in told)
    return Axes((steps[0], steps[1]), zero, units, energy, convergence)


def _lay_out(
    growing: Path, recording: xr.Dataset, calibration: Calibration, slab_mb: float
) -> list[Tile]:
    """Empty arrays and the coordinates; the slabs in which they are written.

    Slabs of floats have half the size: they hardly compress, and Zarr holds what it has compressed twice.
    """
    patterns, window = recording[PATTERN], calibration.window
    shape, dtype = (*patterns.shape[:2], *window.shape), window.dtype(patterns.dtype)
    chunk, tile = store.scan_tile(
        patterns.shape[:2],
        item_bytes=int(np.prod(window.shape)) * dtype.itemsize,
        tile_bytes=slab_mb * BYTES_PER_MB / (2 if dtype.kind == "f" else 1),
    )
    names = tuple(map(str, patterns.dims))
    kept = store.Variable(names, shape, dtype, patterns.attrs, (*chunk, *window.shape), tile)
    coords = scan_maps.coordinates(recording, calibration).assign_attrs({COMPLETE: False})
    store.lay_out(growing, {PATTERN: kept}, shard=tile[0], coords=coords)
    n_rings = len(calibration.detectors.ring_sizes)
    attrs = dims.attrs("mean of the pixels at a distance from the axis", **_unit_of(patterns))
    rings = store.Variable(
        (*names[:2], scan_maps.K), (*shape[:2], n_rings), np.float32, attrs, (*tile, n_rings), tile
    )
    store.lay_out(growing, {RADIAL: rings}, shard=tile[0], group=MAPS)
    return store.tiles(shape[:2], tile)


def _unit_of(patterns: xr.DataArray) -> dict[str, str]:
    return {"units": str(patterns.attrs.get("units", "1"))}


def _is_streamed(recording: xr.Dataset) -> bool:
    return recording.attrs.get("format") in STREAMED


def _all_of(sizes: tuple[int, ...]) -> Tile:
    return slice(0, sizes[0]), slice(0, sizes[1])


def _pieces(sizes: tuple[int, ...]) -> list[Tile]:
    """Parts of a slab, the same however many threads there are; each lies in one piece of memory."""
    rows, columns = sizes
    deep = max(1, rows // PIECES)
    across = -(-columns // -(-PIECES // rows)) if rows < PIECES else columns
    return [
        (slice(top, min(top + deep, rows)), slice(left, min(left + across, columns)))
        for top in range(0, rows, deep)
        for left in range(0, columns, across)
    ]
