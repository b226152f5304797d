"""The scan of patterns: its shape, the order of its positions, its flyback; and the choice of the signal with the patterns.

It is applied once for all formats, between the content of a file and the labelled Dataset, as another view of the pixels: no
pixel is read.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from invae import dims
from invae.errors import ConfigError, InputError
from invae.readers import labels
from invae.readers.calibration import is_diffraction
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, evenly_spaced

PATTERN = "pattern"
SCAN, DETECTOR = (dims.SCAN_Y, dims.SCAN_X), (dims.K_Y, dims.K_X)
SEQUENCE = (dims.FRAME, *DETECTOR)
"""Patterns in a sequence, as detectors write them."""
IMAGES = (dims.FRAME, dims.Y, dims.X)
SUGGESTED = 3
"""Number of matching shapes in a message."""


@dataclass(frozen=True)
class Scan:
    """The arrangement of the patterns of a file on the specimen."""

    shape: tuple[int, int] | None = None
    """Rows and columns as recorded, flyback included; from the file if none."""
    order: Literal["raster", "serpentine"] = "raster"
    """Whether every second row runs backwards."""
    flyback: int = 0
    """Number of positions dropped at the end of each row."""

    @property
    def is_set(self) -> bool:
        """Whether it differs from the default."""
        return self != Scan()


@dataclass(frozen=True)
class Rows:
    """Rows and columns of a scan over patterns in a sequence."""

    n_rows: int
    recorded: int
    """Positions in a row of the file."""
    n_columns: int
    serpentine: bool

    def read(self, pixels: Pixels, key: Key) -> np.ndarray:
        """The values under a key (scan_y, scan_x, y, x); row by row unless most of each row is needed."""
        rows, columns = range(self.n_rows)[key[0]], range(self.n_columns)[key[1]]
        if not rows or not columns:
            return np.empty((len(rows), len(columns), *pixels.shape[-2:]), pixels.dtype)[
                (slice(None), slice(None), *key[2:])
            ]
        whole = rows.step == 1 and 2 * len(columns) > self.recorded
        runs = [rows] if whole else [range(row, row + 1) for row in rows]
        lines = [self._run(pixels, run, columns, key[2:], whole) for run in runs]
        return lines[0] if whole else np.concatenate(lines)

    def _run(
        self, pixels: Pixels, rows: range, columns: range, detector: Key, whole: bool
    ) -> np.ndarray:
        """Some columns of successive rows, each in the direction of the first row."""
        if whole:
            first, last = rows[0] * self.recorded, (rows[-1] + 1) * self.recorded
            lines = load_sequence(pixels, slice(first, last, 1), detector)
            lines = lines.reshape(len(rows), self.recorded, *lines.shape[1:])[:, : self.n_columns]
            if self.serpentine:
                backwards = np.arange(rows[0], rows[-1] + 1) % 2 == 1
                lines = np.where(backwards[:, None, None, None], lines[:, ::-1], lines)
            return lines[:, columns.start : columns[-1] + 1 : columns.step]
        row, reverse = rows[0], self.serpentine and rows[0] % 2 == 1
        ends = (self.n_columns - 1 - columns[-1], self.n_columns - 1 - columns[0])
        first, last = ends if reverse else (columns[0], columns[-1])
        begin = row * self.recorded
        line = load_sequence(pixels, slice(begin + first, begin + last + 1, columns.step), detector)
        return line[None, ::-1] if reverse else line[None]


def load_sequence(pixels: Pixels, patterns: slice, detector: Key) -> np.ndarray:
    """Patterns by their number in the file, whatever shape the file gives to the scan."""
    if len(pixels.shape) == 3:
        return pixels.load((patterns, *detector))
    columns = pixels.shape[1]
    first, last = patterns.start // columns, (patterns.stop - 1) // columns
    if first == last:
        inside = slice(patterns.start % columns, (patterns.stop - 1) % columns + 1, patterns.step)
        return pixels.load((slice(first, first + 1, 1), inside, *detector))[0]
    lines = pixels.load((slice(first, last + 1, 1), slice(0, columns, 1), *detector))
    lines = lines.reshape(-1, *lines.shape[2:])
    start = first * columns
    return lines[patterns.start - start : patterns.stop - start : patterns.step]


def in_scan(raw: Raw, path: Path, scan: Scan) -> Raw:
    """The content of a file with its patterns as (scan_y, scan_x, k_y, k_x); other recordings unchanged.

    Raises:
        ConfigError: If the shape does not match the patterns, or there are none.
        InputError: If neither the file nor the configuration gives the shape.
    """
    scanned = {n: c for n, c in enumerate(raw.channels) if _is_scanned(c, scan)}
    if not scanned and scan.is_set:
        axes = ", ".join(raw.channels[0].dims) if raw.channels else "none"
        raise ConfigError(
            f"{path}: has no patterns, its axes are {axes}; leave ingest.scan_shape, scan_order and "
            "flyback at their defaults"
        )
    if not scanned:
        return raw
    if raw.unfinished and scan.shape is None:
        raise InputError(raw.unfinished)
    shapes = {n: _shape(channel, raw, path, scan) for n, channel in scanned.items()}
    arranged = {n: _arranged(scanned[n], shapes[n], path, scan) for n in scanned}
    channels = tuple(arranged.get(n, channel) for n, channel in enumerate(raw.channels))
    first = next(iter(arranged.values()))
    axes = _axes(raw.axes, dict(zip(first.dims, first.pixels.shape, strict=True)))
    shape_is_from_file = scan.shape is None and raw.scan_shape is not None and raw.scan_remark
    notes = (*raw.notes, raw.scan_remark) if shape_is_from_file else raw.notes
    notes = (*notes, *_left_out(next(iter(scanned.values())), next(iter(shapes.values()))))
    return replace(raw, channels=channels, axes=axes, notes=notes)


def _is_scanned(channel: Channel, scan: Scan) -> bool:
    """Whether it holds patterns; images do if a shape of the scan is configured."""
    configured = scan.shape is not None and channel.dims == IMAGES
    return configured or channel.dims in (SEQUENCE, (*SCAN, *DETECTOR))


def _shape(channel: Channel, raw: Raw, path: Path, scan: Scan) -> tuple[int, int]:
    """Rows and columns as recorded."""
    positions = channel.pixels.shape[:-2]
    n_patterns = math.prod(positions)
    if n_patterns < 1:
        raise InputError(f"{path}: holds no pattern; record again")
    shape = scan.shape or (positions if len(positions) == 2 else raw.scan_shape)
    if shape is None:
        reason = f" ({raw.scan_remark})" if raw.scan_remark else ""
        raise InputError(
            f"{path}: holds {n_patterns} patterns, but not the shape of the scan{reason}; set "
            f"ingest.scan_shape to rows and columns, such as {matching_shapes(n_patterns)}"
        )
    n_rows = _rows_taken(shape, n_patterns)
    if n_rows is None:
        raise ConfigError(
            f"{path}: scan_shape {shape[0]} × {shape[1]} has {shape[0] * shape[1]} positions, but the "
            f"file holds {n_patterns} patterns; use {matching_shapes(n_patterns, near=shape)}"
        )
    return n_rows, shape[1]


def _rows_taken(shape: Sequence[int], n_patterns: int) -> int | None:
    """Rows of a scan of this shape that the patterns fill; none if they cannot be of this scan.

    A scan that was stopped keeps its whole rows, at least half of them. Of patterns behind the end there are fewer than a row.
    """
    rows, columns = shape
    if n_patterns >= rows * columns:
        return rows if n_patterns - rows * columns < columns else None
    whole = n_patterns // columns
    return whole if 2 * whole >= rows else None


def _left_out(channel: Channel, shape: tuple[int, int]) -> tuple[str, ...]:
    """A note on patterns that are not in the rows that are taken."""
    n_patterns, n_taken = math.prod(channel.pixels.shape[:-2]), shape[0] * shape[1]
    if n_patterns == n_taken:
        return ()
    return (
        f"the file holds {n_patterns} patterns; the {shape[0]} whole rows of {shape[1]} are taken, and "
        f"{n_patterns - n_taken} patterns behind them are left out",
    )


def matching_shapes(n_patterns: int, *, near: Sequence[int] = (1, 1)) -> str:
    """The shapes with this number of positions whose proportions are closest to those of `near`."""
    rows = [n for n in range(1, math.isqrt(n_patterns) + 1) if n_patterns % n == 0]
    pairs = [(a, n_patterns // a) for a in rows] + [(n_patterns // a, a) for a in rows]
    target = math.log(near[0] / near[1])
    distance = {pair: round(abs(math.log(pair[0] / pair[1]) - target), 9) for pair in pairs}
    pairs = sorted(distance, key=lambda pair: (distance[pair], pair))
    return ", ".join(f"{a} × {b}" for a, b in pairs[:SUGGESTED])


def _arranged(channel: Channel, shape: tuple[int, int], path: Path, scan: Scan) -> Channel:
    """A channel with its patterns arranged in the scan."""
    pixels = channel.pixels
    n_columns = shape[1] - scan.flyback
    if n_columns < 1:
        raise ConfigError(
            f"{path}: flyback {scan.flyback} drops all {shape[1]} positions of a row; "
            "make it smaller"
        )
    names = (*SCAN, *DETECTOR)
    if pixels.shape[:-2] == shape and scan.order == "raster" and not scan.flyback:
        return replace(channel, dims=names)
    rows = Rows(shape[0], shape[1], n_columns, scan.order == "serpentine")
    arranged = replace(
        pixels,
        shape=(shape[0], n_columns, *pixels.shape[-2:]),
        dtype=pixels.dtype.newbyteorder("="),
        read=partial(rows.read, pixels),
        chunks=None,
    )
    return replace(channel, pixels=arranged, dims=names)


def _axes(axes: Mapping[str, Axis], sizes: Mapping[str, int]) -> dict[str, Axis]:
    """The calibrations for the new shape; those of image axes stay if they belong to a diffraction plane."""
    remaining = {dim: axis for dim, axis in axes.items() if dim not in (*SCAN, dims.FRAME)}
    for image, detector in zip((dims.Y, dims.X), DETECTOR, strict=True):
        axis = remaining.pop(image, None)
        if axis is not None and is_diffraction(axis.units):
            remaining[detector] = axis
    for dim in SCAN:
        axis = axes.get(dim)
        if axis is not None and len(axis.values) > 1:
            step = float(axis.values[1] - axis.values[0])
            resized = evenly_spaced(sizes[dim], step, axis.units, flipped=axis.flipped)
            remaining[dim] = axis if len(axis.values) == sizes[dim] else resized
    return remaining


def named_by_kind(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """A single signal, named by its kind: its label is often only the number of a window."""
    if len(channels) != 1:
        return tuple(channels)
    spectral = [dim for dim in channels[0].dims if dim not in (*SEQUENCE, *SCAN, *IMAGES)]
    name = PATTERN if dims.K_Y in channels[0].dims else ("spectrum" if spectral else "image")
    return (replace(channels[0], name=name),)


def single_pattern(raw: Raw, channels: Sequence[str] | None, path: Path) -> Raw:
    """The content of a file with one signal of patterns, called `pattern` if it is the only channel.

    Without a choice it is the counts, otherwise the first signal of whole numbers, otherwise the first.

    Raises:
        ConfigError: If there is no signal of a chosen name.
    """
    patterns = [channel for channel in raw.channels if _is_pattern(channel)]
    several_kinds = len({frozenset(channel.dims) for channel in raw.channels}) > 1
    if channels and list(channels) != [PATTERN] and (patterns or several_kinds):
        return _single(_named(raw, channels, path))
    if not patterns:
        return raw
    first = min(patterns, key=_preference)
    others = ", ".join(_names(raw)[n] for n, c in enumerate(raw.channels) if c is not first)
    note = f"the pattern is {first.label}; other signals are {others} (set ingest.channels)"
    notes = (*raw.notes, note) if others else raw.notes
    return _single(replace(raw, channels=(first,), notes=notes))


def _is_pattern(channel: Channel) -> bool:
    return {*channel.dims} == {*SCAN, *DETECTOR}


def _preference(channel: Channel) -> int:
    if labels.channel_name(channel.label)[0] in ("counts", "count"):
        return 0
    return 1 if channel.pixels.dtype.kind == "u" else 2


def _names(raw: Raw) -> list[str]:
    return labels.unique([c.name or labels.channel_name(c.label)[0] for c in raw.channels])


def _named(raw: Raw, channels: Sequence[str], path: Path) -> Raw:
    """Only the signals of these names, with these names."""
    names = _names(raw)
    if missing := [channel for channel in channels if channel not in names]:
        raise ConfigError(
            f"{path}: has no channel {', '.join(missing)}; choose ingest.channels among "
            f"{', '.join(names)}"
        )
    chosen = [replace(raw.channels[names.index(name)], name=name) for name in channels]
    return replace(raw, channels=tuple(chosen))


def _single(raw: Raw) -> Raw:
    """The content with the name `pattern` for a single signal of patterns."""
    if len(raw.channels) != 1 or not _is_pattern(raw.channels[0]):
        return raw
    return replace(raw, channels=(replace(raw.channels[0], name=PATTERN),))
