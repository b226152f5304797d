"""Park Systems (.tiff): values and their header are in tags of their own; the page is a preview of 8 bit and is not read.

The layout of the header was compared in SurfaceTopography and Gwyddion: value = gain · (scale · stored + offset), where a scale of 0
stands for 1; lengths are in micrometres; the first line is the lowest one, whichever way the tip went.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.foreign import BY_GWYDDION
from invae.readers.formats import tiff
from invae.readers.formats.raw_frames import expect_bytes
from invae.readers.formats.tiff_tags import first_tags, is_park
from invae.readers.raw import Channel, Key, Pixels, Raw, Reader, evenly_spaced

MAGIC, VERSION, VALUES, HEADER = range(50432, 50436)
"""Codes of the tags."""
MARK = 0x0E031301
OLD, NEW = 0x1000001, 0x1000002
"""Versions: whole numbers of 16 bits, and any type that the header names."""
FIELDS = struct.Struct("<I64s16sd2I2IdId3I4d2d16s2d3d16s3i3I")
TYPE = struct.Struct("<2d16s16s16sI")
"""What the header of a new version has behind the fields of all versions."""
NAMES = ("kind", "channel", "mode", "filter", "flattened", "tracked", "columns", "rows", "angle")
NAMES += ("sine", "overscan", "forward", "up", "swapped", "width", "height", "x", "y", "rate")
NAMES += ("setpoint", "setpoint_unit", "tip_bias", "sample_bias", "gain", "scale", "offset", "unit")
NAMES += ("lowest", "highest", "mean", "compressed", "logarithmic", "square")
TYPES = ("<i2", "<i4", "<f4")
IMAGE, WITH_SPECTRA = 0, 2
"""Kinds of recordings that have an image."""
UM = 1e-6
ERRORS = tiff.ERRORS


@dataclass(frozen=True)
class _Stored:
    """Where the values are in the file, and how they become values in the unit of the header."""

    start: int
    """Position of the first number [bytes]."""
    shape: tuple[int, int]
    dtype: str
    factor: float
    offset: float


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(tiff.MAGIC) and is_park(first_tags(path))


def _read(path: Path) -> Raw:
    with tiff.opened(path) as tif:
        tags = {
            tag.code: tag for tag in tif.pages.first.tags if tag.code in range(MAGIC, HEADER + 1)
        }
        numbers = {code: tags[code].value for code in (MAGIC, VERSION) if code in tags}
        header = bytes(tags[HEADER].value) if HEADER in tags else b""
        start = tags[VALUES].valueoffset if VALUES in tags else 0
    known = numbers.get(MAGIC) == MARK and numbers.get(VERSION) in (OLD, NEW) and start
    needed = FIELDS.size + (TYPE.size if numbers.get(VERSION) == NEW else 0)
    if not known or len(header) < needed:
        raise InputError(
            f"{path}: is a scan of Park Systems whose header is not known; its page is only a preview: {BY_GWYDDION}"
        )
    fields = _fields(header)
    stored = _stored(fields, header, start, path, is_new=numbers[VERSION] == NEW)
    read = partial(_read_values, path, stored)
    pixels = Pixels(path, stored.shape, np.dtype(float), read, ERRORS)
    direction = "trace" if fields["forward"] else "retrace"
    name = fields["channel"] or "signal"
    channel = Channel(name, pixels, (dims.Y, dims.X), fields["unit"], direction)
    axes = {
        dim: evenly_spaced(n, abs(fields[side]) / n, "um")
        for dim, side, n in zip((dims.Y, dims.X), ("height", "width"), stored.shape, strict=True)
        if fields[side]
    }
    return Raw((channel,), axes, _metadata(fields), notes=_notes(fields))


def _fields(header: bytes) -> dict[str, Any]:
    """The header by name; texts are in UTF-16."""
    values = zip(NAMES, FIELDS.unpack_from(header), strict=True)
    return {name: _text(value) if isinstance(value, bytes) else value for name, value in values}


def _text(field: bytes) -> str:
    return field.decode("utf-16-le", "replace").split("\0")[0].strip()


def _stored(
    fields: Mapping[str, Any], header: bytes, start: int, path: Path, *, is_new: bool
) -> _Stored:
    """Position and type of the values.

    Raises:
        InputError: If the file holds no image, or not all of it.
    """
    kind = TYPE.unpack_from(header, FIELDS.size)[-1] if is_new else 0
    shape = (int(fields["rows"]), int(fields["columns"]))
    if fields["kind"] not in (IMAGE, WITH_SPECTRA) or kind >= len(TYPES) or min(shape) < 1:
        raise InputError(
            f"{path}: is no image of Park Systems (kind {fields['kind']}, type {kind}, {shape[0]} × {shape[1]} values), which is not "
            f"read; {BY_GWYDDION}"
        )
    dtype = TYPES[kind]
    expect_bytes(path, start + shape[0] * shape[1] * np.dtype(dtype).itemsize, source="its header")
    factor = fields["gain"] * (fields["scale"] or 1.0)
    return _Stored(start, shape, dtype, factor, fields["gain"] * fields["offset"])


def _metadata(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The header, with the place of the scan [m] and its angle [degree]."""
    place = {"XOffset": f"{fields['x'] * UM:.9g}", "YOffset": f"{fields['y'] * UM:.9g}"}
    return {**fields, **place, "ScanAngle": f"{fields['angle']:.9g}"}


def _notes(fields: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    if fields["scale"] not in (0.0, 1.0) or fields["offset"]:
        notes.append(
            f"the header has a scale of {fields['scale']:g} and an offset of {fields['offset']:g}, which are applied as in Gwyddion; "
            "the maker's own library leaves them out"
        )
    if not fields["unit"]:
        notes.append("the header has no unit of the values; they are dimensionless")
    if fields["kind"] == WITH_SPECTRA:
        notes.append("the spectra in this file are not read, only its image")
    return tuple(notes)


def _read_values(path: Path, stored: _Stored, key: Key) -> np.ndarray:
    """The values in the unit of the header, highest line first."""
    numbers = np.memmap(path, stored.dtype, "r", stored.start, stored.shape)
    return numbers[::-1][key].astype(float) * stored.factor + stored.offset


READER = Reader(
    name="park",
    extensions=(".tiff", ".tif"),
    description="Park Systems images",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
