"""Patterns in their places: the shape of the scan, the order of its positions, the flyback; and which signal is the pattern.

Applied once for all formats between what a file says and the labelled Dataset, by another view of the pixels: none is read.
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
IN_A_ROW = (dims.FRAME, *DETECTOR)
"""Patterns as detectors write them, one after the other."""
IMAGES = (dims.FRAME, dims.Y, dims.X)
SUGGESTED = 3
"""So many fitting shapes are told."""


@dataclass(frozen=True)
class Scan:
    """How the patterns of a file lie on the specimen."""

    shape: tuple[int, int] | None = None
    """Rows and columns as recorded, flyback included; as the file says if none."""
    order: Literal["raster", "serpentine"] = "raster"
    """Whether every second row runs backwards."""
    flyback: int = 0
    """Positions at the end of each row that are dropped."""

    @property
    def is_set(self) -> bool:
        """Whether anything is asked for."""
        return self != Scan()


@dataclass(frozen=True)
class Rows:
    """Rows and columns of a scan, over patterns that lie one after the other."""

    recorded: int
    """Positions in a row of the file."""
    kept: int
    serpentine: bool

    def read(self, pixels: Pixels, key: Key) -> np.ndarray:
        """The values under a key (scan_y, scan_x, y, x); row by row where rows are not wanted whole."""
        n_rows = math.prod(pixels.shape[:-2]) // self.recorded
        rows, columns = range(n_rows)[key[0]], range(self.kept)[key[1]]
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
        """Some columns of rows that follow each other, each turned into the direction of the first."""
        if whole:
            first, last = rows[0] * self.recorded, (rows[-1] + 1) * self.recorded
            lines = in_a_row(pixels, slice(first, last, 1), detector)
            lines = lines.reshape(len(rows), self.recorded, *lines.shape[1:])[:, : self.kept]
            if self.serpentine:
                backwards = np.arange(rows[0], rows[-1] + 1) % 2 == 1
                lines = np.where(backwards[:, None, None, None], lines[:, ::-1], lines)
            return lines[:, columns.start : columns[-1] + 1 : columns.step]
        row, turned = rows[0], self.serpentine and rows[0] % 2 == 1
        ends = (self.kept - 1 - columns[-1], self.kept - 1 - columns[0])
        first, last = ends if turned else (columns[0], columns[-1])
        begin = row * self.recorded
        line = in_a_row(pixels, slice(begin + first, begin + last + 1, columns.step), detector)
        return line[None, ::-1] if turned else line[None]


def in_a_row(pixels: Pixels, patterns: slice, detector: Key) -> np.ndarray:
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
    """What a file says, its patterns as (scan_y, scan_x, k_y, k_x); other recordings as they are.

    Raises:
        ConfigError: If the shape does not fit the patterns, or there are none.
        InputError: If neither the file nor the configuration tells the shape.
    """
    scanned = {n: c for n, c in enumerate(raw.channels) if _is_scanned(c, scan)}
    if not scanned and scan.is_set:
        found = ", ".join(raw.channels[0].dims) if raw.channels else "nothing"
        raise ConfigError(
            f"{path}: has no patterns but {found}; leave ingest.scan_shape, scan_order and flyback "
            "as they are by default"
        )
    if not scanned:
        return raw
    shapes = {n: _shape(channel, raw, path, scan) for n, channel in scanned.items()}
    placed = {n: _placed(scanned[n], shapes[n], path, scan) for n in scanned}
    channels = tuple(placed.get(n, channel) for n, channel in enumerate(raw.channels))
    first = next(iter(placed.values()))
    axes = _axes(raw.axes, dict(zip(first.dims, first.pixels.shape, strict=True)))
    by_file = scan.shape is None and raw.scan_shape is not None and raw.scan_remark
    notes = (*raw.notes, raw.scan_remark) if by_file else raw.notes
    return replace(raw, channels=channels, axes=axes, notes=notes)


def _is_scanned(channel: Channel, scan: Scan) -> bool:
    """Patterns are; so are images for which a shape of the scan is told."""
    told = scan.shape is not None and channel.dims == IMAGES
    return told or channel.dims in (IN_A_ROW, (*SCAN, *DETECTOR))


def _shape(channel: Channel, raw: Raw, path: Path, scan: Scan) -> tuple[int, int]:
    """Rows and columns as recorded."""
    positions = channel.pixels.shape[:-2]
    n_patterns = math.prod(positions)
    if n_patterns < 1:
        raise InputError(f"{path}: holds no pattern; record again")
    shape = scan.shape or (positions if len(positions) == 2 else raw.scan_shape)
    if shape is None:
        why = f" ({raw.scan_remark})" if raw.scan_remark else ""
        raise InputError(
            f"{path}: holds {n_patterns} patterns and does not tell the shape of the scan{why}; set "
            f"ingest.scan_shape to rows and columns, such as {fitting(n_patterns)}"
        )
    if shape[0] * shape[1] != n_patterns:
        raise ConfigError(
            f"{path}: scan_shape {shape[0]} × {shape[1]} has {shape[0] * shape[1]} positions, the "
            f"file holds {n_patterns} patterns; fitting are {fitting(n_patterns, near=shape)}"
        )
    return shape[0], shape[1]


def fitting(n_patterns: int, *, near: Sequence[int] = (1, 1)) -> str:
    """The shapes with so many positions that are nearest to one in their proportions."""
    rows = [n for n in range(1, math.isqrt(n_patterns) + 1) if n_patterns % n == 0]
    pairs = [(a, n_patterns // a) for a in rows] + [(n_patterns // a, a) for a in rows]
    wanted = math.log(near[0] / near[1])
    off = {pair: round(abs(math.log(pair[0] / pair[1]) - wanted), 9) for pair in pairs}
    pairs = sorted(off, key=lambda pair: (off[pair], pair))
    return ", ".join(f"{a} × {b}" for a, b in pairs[:SUGGESTED])


def _placed(channel: Channel, shape: tuple[int, int], path: Path, scan: Scan) -> Channel:
    """A channel in the places of the scan."""
    pixels = channel.pixels
    kept = shape[1] - scan.flyback
    if kept < 1:
        raise ConfigError(
            f"{path}: flyback {scan.flyback} leaves nothing of rows of {shape[1]} positions; "
            "make it smaller"
        )
    names = (*SCAN, *DETECTOR)
    if pixels.shape[:-2] == shape and scan.order == "raster" and not scan.flyback:
        return replace(channel, dims=names)
    rows = Rows(shape[1], kept, scan.order == "serpentine")
    placed = replace(
        pixels,
        shape=(shape[0], kept, *pixels.shape[-2:]),
        dtype=pixels.dtype.newbyteorder("="),
        read=partial(rows.read, pixels),
    )
    return replace(channel, pixels=placed, dims=names)


def _axes(axes: Mapping[str, Axis], sizes: Mapping[str, int]) -> dict[str, Axis]:
    """The calibrations for the new shape; those of images stay if they are of a diffraction plane."""
    kept = {dim: one for dim, one in axes.items() if dim not in (*SCAN, dims.FRAME)}
    for image, detector in zip((dims.Y, dims.X), DETECTOR, strict=True):
        one = kept.pop(image, None)
        if one is not None and is_diffraction(one.units):
            kept[detector] = one
    for dim in SCAN:
        one = axes.get(dim)
        if one is not None and len(one.values) > 1:
            step = float(one.values[1] - one.values[0])
            moved = evenly_spaced(sizes[dim], step, one.units, flipped=one.flipped)
            same = len(one.values) == sizes[dim]
            kept[dim] = one if same else moved
    return kept


def labelled(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """A single signal of a file by what it is: its label is often the number of a window."""
    if len(channels) != 1:
        return tuple(channels)
    spectral = [dim for dim in channels[0].dims if dim not in (*IN_A_ROW, *SCAN, *IMAGES)]
    name = PATTERN if dims.K_Y in channels[0].dims else ("spectrum" if spectral else "image")
    return (replace(channels[0], name=name),)


def one_pattern(raw: Raw, channels: Sequence[str] | None, path: Path) -> Raw:
    """What a file says, of several signals the one that is wanted: a single one of patterns is called `pattern`.

    Without a choice it is the counts, else the first of whole numbers, else the first.

    Raises:
        ConfigError: If there is no signal of a name that is asked for.
    """
    patterns = [channel for channel in raw.channels if _is_pattern(channel)]
    several_kinds = len({frozenset(channel.dims) for channel in raw.channels}) > 1
    if channels and list(channels) != [PATTERN] and (patterns or several_kinds):
        return _single(_named(raw, channels, path))
    if not patterns:
        return raw
    first = min(patterns, key=_preference)
    others = ", ".join(_names(raw)[n] for n, one in enumerate(raw.channels) if one is not first)
    note = f"the pattern is {first.label}; of other signals ({others}) choose by ingest.channels"
    rest = tuple(one for one in raw.channels if one is first)
    notes = (*raw.notes, note) if others else raw.notes
    return _single(replace(raw, channels=rest, notes=notes))


def _is_pattern(channel: Channel) -> bool:
    return {*channel.dims} == {*SCAN, *DETECTOR}


def _preference(channel: Channel) -> int:
    if labels.channel_name(channel.label)[0] in ("counts", "count"):
        return 0
    return 1 if channel.pixels.dtype.kind == "u" else 2


def _names(raw: Raw) -> list[str]:
    return labels.unique([c.name or labels.channel_name(c.label)[0] for c in raw.channels])


def _named(raw: Raw, channels: Sequence[str], path: Path) -> Raw:
    """Only the signals of these names, under them."""
    names = _names(raw)
    if missing := [channel for channel in channels if channel not in names]:
        raise ConfigError(
            f"{path}: has no channel {', '.join(missing)}; choose ingest.channels among "
            f"{', '.join(names)}"
        )
    kept = [replace(raw.channels[names.index(name)], name=name) for name in channels]
    return replace(raw, channels=tuple(kept))


def _single(raw: Raw) -> Raw:
    """A single signal of patterns under its own name."""
    if len(raw.channels) != 1 or not _is_pattern(raw.channels[0]):
        return raw
    return replace(raw, channels=(replace(raw.channels[0], name=PATTERN),))
