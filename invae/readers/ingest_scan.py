"""Ingest of a 4D-STEM scan: patterns and maps in one pass, slab by slab, each slab read once.

Two slabs of scan rows are in memory: several threads read and reduce one in pieces while Zarr compresses and writes the other.
The file of a slab is written last, so that an existing slab is complete and is not read from its source again.
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
from invae.readers.chunked_source import by_rows
from invae.readers.recording import COMPLETE
from invae.readers.value_statistics import ValueStatistics
from invae.scans import virtual
from invae.scans.calibration import Axes, Calibration, calibrate
from invae.scans.virtual import Detectors
from invae.storage import store
from invae.storage.blocks import map_blocks

BYTES_PER_MB = 1e6
PATTERN, MAPS, RADIAL = "pattern", "maps", "radial_profile"
PIECES = 16
"""Number of parts in which a slab is read and reduced, so that memory holds little besides the slab itself."""
STREAMED = ("npz",)
"""Formats in which reading a piece requires everything before it in the file; their slabs are read in one go."""
MOST_THREADS = 8
"""Largest number of pieces in memory at once."""
SAMPLE = 256
"""Number of patterns, from all over the scan, that calibrate it before the pass."""
SAMPLE_BYTES = 32_000_000
"""Largest memory of these patterns [bytes]."""
FOLDED = 16
"""Number of slabs that a cluster gets at once; their detector sums are then added up."""
CALIBRATION = "calibration"
"""Attribute of the unfinished group `maps`: the calibration before the pass."""

Tile = tuple[slice, slice]
"""Scan rows and columns."""


@dataclass(frozen=True, eq=False)
class PartialSums:
    """Sums over a part of the scan."""

    moments: np.ndarray
    """Sums under every virtual detector (map, scan_y, scan_x)."""
    total: np.ndarray
    """Sum of the patterns (k_y, k_x)."""
    highest: np.ndarray
    """Largest value of each detector pixel (k_y, k_x)."""
    statistics: ValueStatistics

    def with_detector_of(self, other: "PartialSums") -> "PartialSums":
        """This part, with the detector's values of both parts."""
        return PartialSums(
            self.moments,
            self.total + other.total,
            np.maximum(self.highest, other.highest),
            self.statistics.joined(other.statistics),
        )


@dataclass(frozen=True, eq=False)
class Slab:
    """Some rows of the scan, in memory."""

    tile: Tile
    values: np.ndarray
    rings: np.ndarray
    """Radial profiles (scan_y, scan_x, k)."""
    is_stored: bool
    """Whether its patterns are in the store."""
    sums: PartialSums


@dataclass(frozen=True, eq=False)
class Pass:
    """Everything that is needed to ingest a slab."""

    partial_store: Path
    source: xr.Variable
    calibration: Calibration
    detectors: Detectors
    threads: int
    streamed: bool = False
    """Whether a slab is read in one go."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the kept patterns."""
        return self.calibration.window.dtype(self.source.dtype)

    def ingest(self, tile: Tile) -> PartialSums:
        """Reduce and write one slab."""
        slab = self.reduced(tile)
        self.write(slab)
        return slab.sums

    def reduced(self, tile: Tile, buffer: np.ndarray | None = None) -> Slab:
        """Read a slab, from the store if it is written already, and reduce it piece by piece.

        Args:
            tile: Rows and columns of the slab.
            buffer: Flat memory for its values; touching new memory takes as long as reading.
        """
        sizes = tuple(part.stop - part.start for part in tile)
        shape = (*sizes, *self.calibration.window.shape)
        is_stored = store.tile_is_written(self.partial_store, PATTERN, tile=tile)
        if is_stored:
            values = self._stored(tile)
        else:
            buffer = np.empty(math.prod(shape), self.dtype) if buffer is None else buffer
            values = buffer[: math.prod(shape)].reshape(shape)
            if self.streamed:
                values[...] = self._read(tile, _all_of(sizes))
        rings = np.empty((*sizes, len(self.detectors.ring_sizes)), np.float32)
        moments = np.empty((len(virtual.MAPS), *sizes))

        def reduce_piece(piece: Tile) -> PartialSums:
            if not (is_stored or self.streamed):
                values[piece] = self._read(tile, piece)
            patterns = values[piece].reshape(-1, *shape[2:])
            scan = values[piece].shape[:2]
            rings[piece] = virtual.rings_of(patterns, self.detectors).reshape(*scan, -1)
            sums = virtual.moments_of(patterns, self.detectors)
            moments[(slice(None), *piece)] = sums.reshape(-1, *scan)
            total, highest = virtual.total_and_maximum(patterns)
            return PartialSums(moments, total, highest, ValueStatistics.of(patterns))

        with ThreadPoolExecutor(self.threads) as pool:
            parts = list(pool.map(reduce_piece, _pieces(sizes)))
        return Slab(tile, values, rings, is_stored, reduce(PartialSums.with_detector_of, parts))

    def write(self, slab: Slab) -> None:
        """Write a slab: its rings first, its patterns last."""
        store.write_tile(self.partial_store, RADIAL, slab.rings, tile=slab.tile, group=MAPS)
        if not slab.is_stored:
            store.write_tile(self.partial_store, PATTERN, slab.values, tile=slab.tile)

    def _read(self, tile: Tile, piece: Tile) -> np.ndarray:
        """A piece of a slab from the source, reduced to the kept detector pixels."""
        rows, columns = (
            slice(whole.start + part.start, whole.start + part.stop)
            for whole, part in zip(tile, piece, strict=True)
        )
        return self.calibration.window.of(np.asarray(self.source[rows, columns].values))

    def _stored(self, tile: Tile) -> np.ndarray:
        array = store.open_group(self.partial_store, mode="r")[PATTERN]
        assert isinstance(array, zarr.Array)
        return np.asarray(array[tile])


def is_scan(recording: xr.Dataset) -> bool:
    """Whether every value of a recording belongs to a diffraction pattern of a scan."""
    return {dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X} <= {*recording.dims}


def store_scan(
    partial_store: Path,
    recording: xr.Dataset,
    *,
    config: ScanConfig,
    compute: ComputeConfig,
    progress: Progress,
) -> tuple[xr.Dataset, list[dict[str, ValueStatistics]]]:
    """Write the patterns and the group `maps`; returns the recording with notes, and the statistics of its values.

    Raises:
        ConfigError: If the configuration does not match the recording.
        StoreError: If the disk is full or cannot be written.
    """
    recording = _one_signal(recording)
    patterns, slab = recording[PATTERN].variable, config.slab_mb * BYTES_PER_MB
    rows_at_once = slab / PIECES / max(patterns[0].nbytes, 1)
    with by_rows(patterns, partial_store, most_bytes=slab, rows_at_once=rows_at_once) as source:
        recording = recording.assign({PATTERN: source})
        return _stored(partial_store, recording, config=config, compute=compute, progress=progress)


def _stored(
    partial_store: Path,
    recording: xr.Dataset,
    *,
    config: ScanConfig,
    compute: ComputeConfig,
    progress: Progress,
) -> tuple[xr.Dataset, list[dict[str, ValueStatistics]]]:
    """Calibrate the scan, then write all slabs and the maps."""
    calibration = _calibration(partial_store, recording, config)
    tiles = _lay_out(partial_store, recording, calibration, config.slab_mb)
    is_local = compute.scheduler == "threads"
    run = Pass(
        partial_store,
        recording[PATTERN].variable,
        calibration,
        calibration.detectors,
        threads=min(MOST_THREADS, compute.workers or os.cpu_count() or 1) if is_local else 1,
        streamed=_is_streamed(recording),
    )
    moments = np.empty((len(virtual.MAPS), *recording[PATTERN].shape[:2]))
    whole: PartialSums | None = None
    parts = (
        _one_by_one(run, tiles, progress) if is_local else _in_groups(run, tiles, compute, progress)
    )
    for tile, part in zip(tiles, parts, strict=True):
        moments[(slice(None), *tile)] = part.moments
        whole = part if whole is None else whole.with_detector_of(part)
    assert whole is not None
    return _finished(partial_store, recording, run, moments, whole, config)


def _finished(
    partial_store: Path,
    recording: xr.Dataset,
    run: Pass,
    moments: np.ndarray,
    whole: PartialSums,
    config: ScanConfig,
) -> tuple[xr.Dataset, list[dict[str, ValueStatistics]]]:
    """Write the maps; returns the recording with the notes of the pass, and the statistics."""
    calibration, n_patterns = run.calibration, moments[0].size
    if calibration.level:
        flat = np.full((1, *calibration.window.shape), calibration.level)
        moments = moments - virtual.moments_of(flat, run.detectors).reshape(-1, 1, 1)
    images = scan_maps.Images(moments, whole.total / n_patterns, whole.highest)
    maps, notes = scan_maps.maps_dataset(images, recording, calibration, config)
    store.write_dataset(partial_store, maps, group=MAPS)
    remarks = [*calibration.notes, *notes]
    if whole.statistics.minimum < 0:
        remarks.append(
            f"patterns have values down to {whole.statistics.minimum:g}, which are no counts"
        )
    notes = [*recording.attrs.get("notes", []), *remarks]
    return recording.assign_attrs(notes=notes), [{PATTERN: whole.statistics}]


def _one_by_one(run: Pass, tiles: Sequence[Tile], progress: Progress) -> Iterator[PartialSums]:
    """The sums of every slab in the order of the file; each slab is written while the next one is reduced."""
    largest = max(math.prod(part.stop - part.start for part in tile) for tile in tiles)
    n_values = largest * math.prod(run.calibration.window.shape)
    buffers = [np.empty(n_values, run.dtype) for _ in tiles[:2]]
    with threadpool_limits(limits=1), ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for done, tile in enumerate(tiles):
            slab = run.reduced(tile, buffers[done % 2])
            if writing is not None:
                writing.result()
                progress(done, len(tiles))
            writing = writer.submit(run.write, slab)
            yield slab.sums
        if writing is not None:
            writing.result()
            progress(len(tiles), len(tiles))


def _in_groups(
    run: Pass, tiles: Sequence[Tile], compute: ComputeConfig, progress: Progress
) -> Iterator[PartialSums]:
    """The sums of every slab from the workers of a cluster; a few at a time, because each has a value for every detector pixel."""
    for start in range(0, len(tiles), FOLDED):

        def report(done: int, _: int, /, before: int = start) -> None:
            progress(before + done, len(tiles))

        group = tiles[start : start + FOLDED]
        yield from map_blocks(run.ingest, group, compute=compute, progress=report)


def _one_signal(recording: xr.Dataset) -> xr.Dataset:
    """The recording with its patterns only, under the name `pattern`."""
    names = [str(name) for name in recording.data_vars]
    counts = [name for name in names if recording[name].dtype.kind == "u"]
    name = PATTERN if PATTERN in names else (counts or names)[0]
    others = [other for other in names if other != name]
    notes = list(recording.attrs.get("notes", []))
    if others:
        notes.append(
            f"the pattern is {name}; other signals are {', '.join(others)} (set ingest.channels)"
        )
    attrs = {"modality": "4D-STEM", "notes": notes}
    patterns = recording[[name]].rename({name: PATTERN} if name != PATTERN else {})
    order = (dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X)
    return patterns.transpose(*order).assign_attrs({**recording.attrs, **attrs})


def _calibration(partial_store: Path, recording: xr.Dataset, config: ScanConfig) -> Calibration:
    """The calibration before the pass; computed once, also when a run is resumed."""
    root = store.open_group(partial_store, mode="a")
    stored = root[MAPS].attrs.get(CALIBRATION) if MAPS in root else None
    if isinstance(stored, Mapping):
        return Calibration.from_json(stored)
    with threadpool_limits(limits=1):  # the last digits of sums depend on the number of threads
        calibration = calibrate(sample_of(recording[PATTERN]), axes_of(recording), config)
    with store.writing(partial_store):
        root.require_group(MAPS).attrs.update({CALIBRATION: calibration.to_json()})
    return calibration


def sample_of(patterns: xr.DataArray) -> np.ndarray:
    """Patterns from all over the scan (pattern, k_y, k_x), finite; independent of the slabs."""
    rows, columns, *detector = patterns.shape
    item = int(np.prod(detector)) * patterns.dtype.itemsize
    most = min(SAMPLE, max(16, SAMPLE_BYTES // max(item, 1)))
    n_rows = min(rows, int(most**0.5))
    n_columns = min(columns, max(1, most // n_rows))
    step = columns // n_columns
    across = slice(step // 2, step // 2 + (n_columns - 1) * step + 1, step)
    sampled_rows = [int((row + 0.5) * rows / n_rows) for row in range(n_rows)]
    return virtual.finite(
        np.concatenate([np.asarray(patterns.variable[row].values)[across] for row in sampled_rows])
    )


def axes_of(recording: xr.Dataset) -> Axes:
    """The axes of the detector in the file."""
    steps, zeros, units = [], [], "pixel"
    for dim in (dims.K_Y, dims.K_X):
        positions = recording[dim].to_numpy().astype(float)
        units = str(recording[dim].attrs.get("units", "pixel"))
        n = len(positions)
        step = float(positions[-1] - positions[0]) / (n - 1) if n > 1 else 1.0
        zero = -float(positions[0]) / step
        steps.append(step)
        zeros.append(zero if units != "pixel" and 0 <= zero <= n - 1 else None)
    zero = (zeros[0], zeros[1]) if None not in zeros else None
    beam = (recording.attrs.get(name) for name in ("beam_energy_keV", "convergence_mrad"))
    energy, convergence = (float(value) if value else None for value in beam)
    return Axes((steps[0], steps[1]), zero, units, energy, convergence)


def _lay_out(
    partial_store: Path, recording: xr.Dataset, calibration: Calibration, slab_mb: float
) -> list[Tile]:
    """Create empty arrays and the coordinates; returns the slabs in which they are written.

    Slabs of floats have half the size: they hardly compress, and Zarr holds compressed data twice.
    """
    patterns, window = recording[PATTERN], calibration.window
    shape, dtype = (*patterns.shape[:2], *window.shape), window.dtype(patterns.dtype)
    chunk, tile = store.scan_tile(
        patterns.shape[:2],
        item_bytes=int(np.prod(window.shape)) * dtype.itemsize,
        tile_bytes=slab_mb * BYTES_PER_MB / (2 if dtype.kind == "f" else 1),
    )
    names = tuple(map(str, patterns.dims))
    variable = store.Variable(names, shape, dtype, patterns.attrs, (*chunk, *window.shape), tile)
    coords = scan_maps.coordinates(recording, calibration).assign_attrs({COMPLETE: False})
    store.lay_out(partial_store, {PATTERN: variable}, shard=tile[0], coords=coords)
    n_rings = len(calibration.detectors.ring_sizes)
    attrs = dims.attrs("mean of the pixels at a distance from the axis", **_unit_of(patterns))
    rings = store.Variable(
        (*names[:2], scan_maps.K), (*shape[:2], n_rings), np.float32, attrs, (*tile, n_rings), tile
    )
    store.lay_out(partial_store, {RADIAL: rings}, shard=tile[0], group=MAPS)
    return store.tiles(shape[:2], tile)


def _unit_of(patterns: xr.DataArray) -> dict[str, str]:
    return {"units": str(patterns.attrs.get("units", "1"))}


def _is_streamed(recording: xr.Dataset) -> bool:
    return recording.attrs.get("format") in STREAMED


def _all_of(sizes: tuple[int, ...]) -> Tile:
    return slice(0, sizes[0]), slice(0, sizes[1])


def _pieces(sizes: tuple[int, ...]) -> list[Tile]:
    """Parts of a slab, independent of the number of threads; each is contiguous in memory."""
    rows, columns = sizes
    height = max(1, rows // PIECES)
    width = -(-columns // -(-PIECES // rows)) if rows < PIECES else columns
    return [
        (slice(top, min(top + height, rows)), slice(left, min(left + width, columns)))
        for top in range(0, rows, height)
        for left in range(0, columns, width)
    ]
