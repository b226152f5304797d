"""Gwyddion Simple Field: one image, a header of text and single-precision values.

Source: Gwyddion user guide, "Gwyddion Simple Field": the header is padded with 1 to 4 NUL bytes to a multiple of 4; values are little
endian, rows from the top.
"""

from functools import partial
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, Reader, evenly_spaced

MAGIC = b"Gwyddion Simple Field 1.0\n"
MOST_HEADER = 1 << 20
"""Longest header [byte]."""
ERRORS = (ValueError, KeyError)


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC)


def _header(path: Path) -> tuple[dict[str, str], int]:
    """The header by key, and the position of the first value."""
    with path.open("rb") as file:
        head = file.read(MOST_HEADER)
    end = head.find(b"\0")
    if end < 0:
        raise InputError(f"{path}: its header has no end; it is damaged: export it again")
    lines = head[len(MAGIC) : end].decode("utf-8", "replace").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}, end + 4 - end % 4


def _read(path: Path) -> Raw:
    header, start = _header(path)
    if not {"XRes", "YRes"} <= {*header}:
        raise InputError(f"{path}: its header has no XRes and YRes; export it again")
    shape = (int(header["YRes"]), int(header["XRes"]))
    needed = start + 4 * shape[0] * shape[1]
    if min(shape) < 1 or path.stat().st_size != needed:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes, but {shape[0]} × {shape[1]} pixels need {needed}; it is incomplete or "
            "damaged: copy or export it again"
        )
    pixels = Pixels(path, shape, np.dtype("<f4"), partial(_read_pixels, path, shape, start), ERRORS)
    label = header.get("Title") or "signal"
    channel = Channel(label, pixels, (dims.Y, dims.X), header.get("ZUnits", ""))
    return Raw((channel,), _axes(header, shape), header | _offsets(header))


def _axes(header: dict[str, str], shape: tuple[int, int]) -> dict[str, Axis]:
    """The axes that have a size; the others are not calibrated."""
    units = header.get("XYUnits", "")
    sides = ((dims.Y, "YReal", shape[0]), (dims.X, "XReal", shape[1]))
    return {
        dim: evenly_spaced(n, float(header[key]) / n, units)
        for dim, key, n in sides
        if key in header and units
    }


def _offsets(header: dict[str, str]) -> dict[str, str]:
    """Where the image was scanned [m]."""
    size = labels.nanometres(header.get("XYUnits", ""))
    if size is None:
        return {}
    keys = [key for key in ("XOffset", "YOffset") if key in header]
    return {key: f"{float(header[key]) * size / labels.NM_PER_METRE:.9g}" for key in keys}


def _read_pixels(path: Path, shape: tuple[int, int], start: int, key: Key) -> np.ndarray:
    return np.array(np.memmap(path, "<f4", "r", offset=start, shape=shape)[key])


READER = Reader(
    name="gsf",
    extensions=(".gsf",),
    description="a Gwyddion simple field",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
