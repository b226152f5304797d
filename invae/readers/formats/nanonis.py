"""Nanonis: grids of spectra (.3ds) and images (.sxm), a text header before big-endian numbers of 32 bit.

A grid is recorded from its lowest row upwards. The header's angle turns clockwise, which was measured on a file that also holds the
place of every spectrum. A backward sweep is stored in the order of the forward axis; here it follows the forward sweep as measured.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import spectra
from invae.readers.formats.raw_frames import expect_bytes
from invae.readers.raw import (
    Axis,
    Channel,
    Coordinate,
    Grid,
    Key,
    Pixels,
    Raw,
    Reader,
    evenly_spaced,
)

MOST_SPECTRA = 1 << 22
"""Most spectra of a grid that was aborted; the places of those that are missing are filled with NaN."""
LONGEST_HEADER = 1 << 20
GRID_END, SCAN_END, DATA_START = b":HEADER_END:", b":SCANIT_END:", b"\x1a\x04"
SIZE = 4
"""Bytes of one number."""
NM = 1e9
"""Nanometres in a metre, the unit of all lengths in the headers."""
ERRORS = (ValueError, IndexError, KeyError)
_NUMBER = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?"
_LABEL = re.compile(r"(?P<name>.*?)\s*(?:\((?P<unit>[^()]*)\))?\s*")
_BACKWARD = re.compile(r"\s*\[bwd\]", re.IGNORECASE)
_SETTINGS = re.compile(
    r"X|Y|Sweep Start|Sweep End|Z offset|.*time|Z-Ctrl hold|Scan:X|Scan:Y", re.IGNORECASE
)
"""Parameters of a spectrum that are no measured value."""


# ---- grids of spectra


@dataclass(frozen=True)
class _Records:
    """The spectra of a grid in a file: for each one its parameters, then its channels."""

    path: Path
    offset: int
    """Position of the first spectrum [bytes]."""
    n_complete: int
    """Spectra in the file, fewer than in the grid if it was aborted."""
    n_parameters: int
    length: int
    """Numbers per spectrum, parameters included."""

    def numbers(self) -> np.ndarray:
        """All numbers (spectrum, number), which stay in the file."""
        return np.memmap(self.path, ">f4", "r", self.offset, (self.n_complete, self.length))

    def at(self, spectra_index: np.ndarray, columns: slice) -> np.ndarray:
        """Some numbers of some spectra; NaN for spectra that were not recorded."""
        measured = spectra_index < self.n_complete
        values = np.full((*spectra_index.shape, columns.stop - columns.start), np.nan, ">f4")
        values[measured] = self.numbers()[:, columns][spectra_index[measured]]
        return values


@dataclass(frozen=True)
class _GridHeader:
    """What the header of a grid says."""

    texts: Mapping[str, str]
    shape: tuple[int, int]
    """Rows and columns."""
    parameters: tuple[str, ...]
    channels: tuple[str, ...]
    n_points: int
    """Length of a sweep."""

    @property
    def is_cloud(self) -> bool:
        """Whether the spectra are at points of any arrangement."""
        return self.texts.get("Filetype", "").lower() == "cloud"


def _is_grid(path: Path, head: bytes) -> bool:
    return b"Grid dim=" in head


def _read_grid(path: Path) -> Raw:
    header, records = _opened_grid(path)
    name, axis = _axis_name(header), _sweep_axis(header, records)
    channels, notes = _spectra(header, records, name)
    coordinates: dict[str, Coordinate] = {}
    if channels[0].pixels.shape[-1] == 2 * header.n_points:
        axis = Axis(np.concatenate([axis.values, axis.values[::-1]]), axis.units)
        coordinates["direction"] = spectra.direction(header.n_points, header.n_points, name)
    axes, grid = {name: axis}, None
    if header.is_cloud:
        coordinates |= _points(header, records)
    else:
        channels += _images(header, records)
        grid = _grid(header, records, path)
        for dim, length, n in zip((dims.Y, dims.X), grid.size_nm, header.shape, strict=True):
            axes[dim] = evenly_spaced(n, length / n, "nm", flipped=dim == dims.Y)
    return Raw(
        tuple(channels),
        axes,
        dict(header.texts),
        _time(header.texts.get("Start time") or header.texts.get("Date", "")),
        modality="STS" if name == "voltage" else "",
        notes=(*notes, *_aborted(header, records)),
        coordinates=coordinates,
        grid=grid,
    )


def _aborted(header: _GridHeader, records: _Records) -> list[str]:
    """A line on spectra that the header declares and the file lacks."""
    n_expected = header.shape[0] * header.shape[1]
    if records.n_complete == n_expected:
        return []
    rest = "only these are kept" if header.is_cloud else "the others are NaN"
    return [
        f"the grid was aborted or is still being measured: {records.n_complete} of "
        f"{n_expected} spectra are complete, {rest}"
    ]


def _opened_grid(path: Path) -> tuple[_GridHeader, _Records]:
    """The header of a grid, and its spectra, checked against the size of the file."""
    texts, start = _grid_texts(path)
    sizes = re.findall(r"\d+", _required(texts, "Grid dim", path))
    parameters = [
        name
        for key in ("Fixed parameters", "Experiment parameters")
        for name in texts.get(key, "").split(";")
        if name
    ]
    channels = [name for name in _required(texts, "Channels", path).split(";") if name]
    n_points = int(_required(texts, "Points", path))
    n_parameters = int(texts.get("# Parameters (4 byte)", len(parameters)))
    n_bytes = SIZE * n_points * len(channels)
    if len(sizes) != 2 or min(n_points, len(channels), *map(int, sizes)) < 1:
        raise InputError(
            f"{path}: its header declares a grid of {texts['Grid dim']!r} with {len(channels)} "
            f"channels of {n_points} points, which holds no spectrum; record again"
        )
    if n_parameters != len(parameters):
        raise InputError(
            f"{path}: its header declares {n_parameters} parameters per spectrum, but names "
            f"{len(parameters)}; export the grid again"
        )
    if int(texts.get("Experiment size (bytes)", n_bytes)) != n_bytes:
        raise InputError(
            f"{path}: its header declares {texts['Experiment size (bytes)']} bytes per spectrum, but "
            f"{len(channels)} channels of {n_points} points have {n_bytes}; export the grid again"
        )
    header = _GridHeader(
        texts, (int(sizes[1]), int(sizes[0])), tuple(parameters), tuple(channels), n_points
    )
    return header, _records(path, start, header)


def _records(path: Path, start: int, header: _GridHeader) -> _Records:
    length = len(header.parameters) + header.n_points * len(header.channels)
    available, n_expected = path.stat().st_size - start, header.shape[0] * header.shape[1]
    n_complete = available // (SIZE * length)
    if n_complete < 1:
        raise InputError(
            f"{path}: has {available} bytes after its header, but one spectrum needs {SIZE * length}; "
            "wait until it is written, or record again"
        )
    if available > SIZE * length * n_expected:
        raise InputError(
            f"{path}: has {available} bytes after its header, but {n_expected} spectra need "
            f"{SIZE * length * n_expected}; export the grid again"
        )
    if n_complete < n_expected > MOST_SPECTRA:
        raise InputError(
            f"{path}: its header declares {header.shape[1]} × {header.shape[0]} spectra, but the file holds "
            f"{n_complete}; it is damaged: copy it again, or record again"
        )
    return _Records(path, start, n_complete, len(header.parameters), length)


def _grid_texts(path: Path) -> tuple[dict[str, str], int]:
    """The entries of the header of a grid, and the position of the first number [bytes]."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    text, end, rest = head.partition(GRID_END)
    if not end or not rest.startswith((b"\r\n", b"\n")):
        raise InputError(
            f"{path}: its header has no end ({GRID_END.decode()}); it is incomplete: copy it again"
        )
    lines = (line.partition("=") for line in text.decode("latin-1").splitlines())
    texts = {key.strip(): value.strip().strip('"') for key, found, value in lines if found}
    return texts, len(text) + len(end) + (2 if rest.startswith(b"\r\n") else 1)


def _required(texts: Mapping[str, str], key: str, path: Path) -> str:
    if not texts.get(key):
        raise InputError(f"{path}: its header has no {key!r}; export it again with Nanonis")
    return texts[key]


def _label(text: str) -> tuple[str, str]:
    """Name and unit of `Current (A)`."""
    match = _LABEL.fullmatch(text)
    assert match is not None
    return match["name"], match["unit"] or ""


def _axis_name(header: _GridHeader) -> str:
    name = _label(header.texts.get("Sweep Signal", ""))[0]
    return spectra.axis_name(name) or "sweep"


def _sweep_axis(header: _GridHeader, records: _Records) -> Axis:
    """The swept quantity, evenly spaced from the start to the end that every spectrum holds.

    Raises:
        InputError: If the file does not hold it, or spectra differ.
    """
    path = records.path
    names = [_label(name)[0] for name in header.parameters]
    if any(key.startswith("Segment Start") for key in header.texts):
        raise InputError(
            f"{path}: was swept in several segments, whose axis is not read; export the spectra with "
            "their axis as .npz"
        )
    if not {"Sweep Start", "Sweep End"} <= {*names} or "Sweep Signal" not in header.texts:
        raise InputError(
            f"{path}: has no spectral axis (Sweep Signal, Sweep Start and Sweep End); export it again"
        )
    columns = [names.index("Sweep Start"), names.index("Sweep End")]
    first, last = (records.numbers()[n, columns].astype(float) for n in (0, -1))
    if not np.allclose(first, last, rtol=1e-4, atol=0) or first[0] == first[1]:
        raise InputError(
            f"{path}: the first spectrum runs from {first[0]:g} to {first[1]:g}, the last from "
            f"{last[0]:g} to {last[1]:g}; spectra of one axis are needed"
        )
    units = _label(header.texts["Sweep Signal"])[1]
    return Axis(np.linspace(first[0], first[1], header.n_points), units)


def _spectra(header: _GridHeader, records: _Records, axis: str) -> tuple[list[Channel], list[str]]:
    """Channels with forward and backward sweep joined if all channels have both; otherwise each sweep is a channel."""
    forward, backward = {}, {}
    for number, channel in enumerate(header.channels):
        name, unit = _label(channel)
        target = backward if _BACKWARD.search(name) else forward
        target[_BACKWARD.sub("", name)] = (number, unit)
    build = partial(_channel, header, records, axis)
    if forward and forward.keys() == backward.keys():
        return [
            build(name, unit, "", ((number, False), (backward[name][0], True)))
            for name, (number, unit) in forward.items()
        ], []
    way = "trace" if backward else ""
    channels = [build(name, unit, way, ((n, False),)) for name, (n, unit) in forward.items()]
    channels += [
        build(name, unit, "retrace", ((n, False),)) for name, (n, unit) in backward.items()
    ]
    notes = ["only some channels have a backward sweep; it is a channel of its own"]
    return channels, notes if backward else []


def _channel(
    header: _GridHeader,
    records: _Records,
    axis: str,
    label: str,
    unit: str,
    direction: str,
    sweeps: tuple[tuple[int, bool], ...],
) -> Channel:
    """One channel of spectra from sweeps in succession, each as (number in the file, reversed)."""
    place = (dims.POINT,) if header.is_cloud else (dims.Y, dims.X)
    shape = (records.n_complete,) if header.is_cloud else header.shape
    pixels = _pixels(records, shape, sweeps, header.n_points)
    return Channel(label, pixels, (*place, axis), unit, direction)


def _pixels(
    records: _Records, shape: tuple[int, ...], sweeps: Sequence[tuple[int, bool]], n_points: int
) -> Pixels:
    """The spectra of one channel (place…, axis)."""
    first = records.n_parameters
    columns = tuple(
        (slice(first + n * n_points, first + (n + 1) * n_points), backwards)
        for n, backwards in sweeps
    )
    read = partial(_read_spectra, records, shape, columns)
    whole = (*shape, n_points * len(columns))
    return Pixels(records.path, whole, np.dtype(">f4"), read, ERRORS)


def _read_spectra(
    records: _Records, shape: tuple[int, ...], columns: tuple[tuple[slice, bool], ...], key: Key
) -> np.ndarray:
    index = np.arange(int(np.prod(shape))).reshape(shape)[key[: len(shape)]]
    parts = [
        records.at(index, part)[..., ::-1] if backwards else records.at(index, part)
        for part, backwards in columns
    ]
    return np.concatenate(parts, axis=-1)[..., key[-1]]


def _images(header: _GridHeader, records: _Records) -> list[Channel]:
    """The measured parameters of the spectra as images; the position of the tip is the height."""
    channels = []
    for number, parameter in enumerate(header.parameters):
        label, unit = _label(parameter)
        if _SETTINGS.fullmatch(label):
            continue
        read = partial(_read_image, records, header.shape, number)
        pixels = Pixels(records.path, header.shape, np.dtype(">f4"), read, ERRORS)
        name = "height" if label.removeprefix("Scan:") == "Z" else ""
        channels.append(Channel(label, pixels, (dims.Y, dims.X), unit, name=name))
    names = [channel.name for channel in channels]
    if names.count("height") > 1:  # the value while scanning comes second
        later = [n for n, name in enumerate(names) if name == "height"][1:]
        channels = [replace(c, name="") if n in later else c for n, c in enumerate(channels)]
    return channels


def _read_image(records: _Records, shape: tuple[int, int], number: int, key: Key) -> np.ndarray:
    index = np.arange(shape[0] * shape[1]).reshape(shape)[key]
    return records.at(index, slice(number, number + 1))[..., 0]


def _settings(header: _GridHeader, path: Path) -> list[float]:
    numbers = [
        float(n) for n in re.findall(_NUMBER, _required(header.texts, "Grid settings", path))
    ]
    if len(numbers) < 4 or not all(np.isfinite(numbers)) or min(numbers[2:4]) <= 0:
        raise InputError(
            f"{path}: Grid settings are {header.texts['Grid settings']!r}; centre, width, height and "
            "angle are needed"
        )
    return numbers if len(numbers) > 4 else [*numbers, 0.0]


def _grid(header: _GridHeader, records: _Records, path: Path) -> Grid:
    """The grid in the instrument's coordinates; its centre from the place of the first spectrum if the file has it."""
    x, y, width, height, angle = _settings(header, path)[:5]
    names = [_label(name)[0] for name in header.parameters]
    if {"X", "Y"} <= {*names}:
        first = records.numbers()[0, [names.index("X"), names.index("Y")]].astype(float)
        rows, columns = header.shape
        half = np.array([width * (1 - 1 / columns), height * (1 - 1 / rows)]) / 2
        cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        x, y = first + np.array([cos * half[0] + sin * half[1], cos * half[1] - sin * half[0]])
    return Grid((-y * NM, x * NM), (height * NM, width * NM), -angle)


def _points(header: _GridHeader, records: _Records) -> dict[str, Coordinate]:
    """Place [nm] of every spectrum that is not on a grid, y down, and its height [m]."""
    names = [_label(name)[0] for name in header.parameters]
    numbers = records.numbers()
    coordinates = {}
    for label, name, factor in (("Y", spectra.POINT_Y, -NM), ("X", spectra.POINT_X, NM)):
        if label in names:
            values = numbers[:, names.index(label)].astype(float) * factor
            coordinates[name] = spectra.along(values, dims.POINT, long_name=label, units="nm")
    if "Z" in names:
        heights = numbers[:, names.index("Z")].astype(float)
        coordinates["height"] = spectra.along(heights, dims.POINT, long_name="height", units="m")
    return coordinates


# ---- images


def _is_scan(path: Path, head: bytes) -> bool:
    return head.startswith(b":NANONIS_VERSION:")


def _read_scan(path: Path) -> Raw:
    texts, start = _scan_texts(path)
    columns, rows = (int(n) for n in _numbers(texts, "SCAN_PIXELS", 2, path))
    width, height = _numbers(texts, "SCAN_RANGE", 2, path)
    if min(columns, rows) < 1 or min(width, height) <= 0:
        raise InputError(
            f"{path}: its header declares {columns} × {rows} pixels of {width:g} × {height:g} m; "
            "record again"
        )
    images = _directions(texts, path)
    needed = start + SIZE * len(images) * rows * columns
    expect_bytes(path, needed, source="its header")
    if path.stat().st_size != needed:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes, but its header requires {needed}; export it again"
        )
    upwards = texts.get("SCAN_DIR", "down").strip().lower() == "up"
    channels = tuple(
        _image(path, (rows, columns), start, number, upwards, *image)
        for number, image in enumerate(images)
    )
    axes = {
        dims.Y: evenly_spaced(rows, height / rows, "m"),
        dims.X: evenly_spaced(columns, width / columns, "m"),
    }
    return Raw(
        channels,
        axes,
        {key: value for key, value in texts.items() if key != "DATA_INFO"},
        _time(f"{texts.get('REC_DATE', '')} {texts.get('REC_TIME', '')}"),
        modality="STM" if any(label == "Current" for label, _, _ in images) else "",
        grid=_scan_grid(texts, (height, width), path),
    )


def _scan_texts(path: Path) -> tuple[dict[str, str], int]:
    """The entries of the header of an image, and the position of the first number [bytes]."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    end = head.find(SCAN_END)
    start = head.find(DATA_START, max(end, 0))
    if end < 0 or start < 0:
        raise InputError(
            f"{path}: its header has no end ({SCAN_END.decode()}); it is incomplete: copy it again"
        )
    texts: dict[str, str] = {}
    key = ""
    for line in head[:end].decode("latin-1").splitlines():
        if (match := re.fullmatch(r":(.+):\s*", line)) is not None:
            key = match[1]
            texts[key] = ""
        elif key:
            texts[key] = f"{texts[key]}\n{line}" if texts[key] else line
    return texts, start + len(DATA_START)


def _numbers(texts: Mapping[str, str], key: str, n: int, path: Path) -> list[float]:
    values = [float(value) for value in _required(texts, key, path).split()[:n]]
    if len(values) < n or not np.all(np.isfinite(values)):
        raise InputError(f"{path}: {key} is {texts[key].strip()!r}, but {n} numbers are needed")
    return values


def _directions(texts: Mapping[str, str], path: Path) -> list[tuple[str, str, str]]:
    """Label, unit and direction of every image, in the order of the file."""
    lines = [line.strip("\t").split("\t") for line in texts.get("DATA_INFO", "").splitlines()]
    rows = [row for row in lines if len(row) > 1]
    if len(rows) < 2 or not {"Name", "Unit", "Direction"} <= {*rows[0]}:
        raise InputError(f"{path}: its header has no table DATA_INFO of channels; export it again")
    columns = [rows[0].index(name) for name in ("Name", "Unit", "Direction")]
    images = []
    for row in rows[1:]:
        label, unit, direction = (row[column].strip() for column in columns)
        passes = {"both": ("trace", "retrace")}.get(
            direction.lower(), ("retrace",) if direction.lower().startswith("b") else ("trace",)
        )
        images += [(label.replace("_", " "), unit, each) for each in passes]
    return images


def _image(
    path: Path,
    shape: tuple[int, int],
    start: int,
    number: int,
    upwards: bool,
    label: str,
    unit: str,
    direction: str,
) -> Channel:
    """One pass of one channel; lines of the way back run from right to left."""
    offset = start + SIZE * number * shape[0] * shape[1]
    read = partial(_read_pass, path, offset, shape, upwards, direction == "retrace")
    name = "height" if label == "Z" else ""
    pixels = Pixels(path, shape, np.dtype(">f4"), read, ERRORS)
    return Channel(label, pixels, (dims.Y, dims.X), unit, direction, name)


def _read_pass(
    path: Path, offset: int, shape: tuple[int, int], upwards: bool, backwards: bool, key: Key
) -> np.ndarray:
    image = np.memmap(path, ">f4", "r", offset, shape)
    return np.array(image[:: -1 if upwards else 1, :: -1 if backwards else 1][key])


def _scan_grid(texts: Mapping[str, str], size: tuple[float, float], path: Path) -> Grid | None:
    """Place of an image in the instrument's coordinates; none if the header lacks it."""
    if not texts.get("SCAN_OFFSET"):
        return None
    x, y = _numbers(texts, "SCAN_OFFSET", 2, path)
    angle = _numbers(texts, "SCAN_ANGLE", 1, path)[0] if texts.get("SCAN_ANGLE") else 0.0
    return Grid((-y * NM, x * NM), (size[0] * NM, size[1] * NM), -angle)


def _time(text: str) -> datetime | None:
    """The instrument's clock from `04.06.2016 20:13:23`."""
    try:
        return datetime.strptime(" ".join(text.split()), "%d.%m.%Y %H:%M:%S")
    except ValueError:
        return None


def _reader(name: str, description: str, recognises: Any, read: Any) -> Reader:
    return Reader(name, (f".{name}",), description, recognises, read, ERRORS)


GRID = _reader("3ds", "Nanonis: grids and clouds of spectra with topography", _is_grid, _read_grid)
SCAN = _reader("sxm", "Nanonis: images, forward and backward", _is_scan, _read_scan)
