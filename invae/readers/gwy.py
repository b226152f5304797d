"""Gwyddion's own format: every image of a file is a channel.

Source: Gwyddion user guide, "Gwyddion native format". The tree is walked without reading the arrays, which stay in the file;
gwyfile, which reads everything at once, is what the tests compare with.
"""

import mmap
import re
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels
from invae.readers.raw import Channel, Key, Pixels, Raw, Reader, evenly_spaced

MAGIC, OLD_MAGIC = b"GWYP", b"GWYO"
DEEPEST = 16
"""Objects within objects; Gwyddion itself stays below ten."""
ERRORS = (ValueError, struct.error, IndexError, KeyError, TypeError, AttributeError)
"""Components that are missing, cut short, or of another type than they should be."""

_FIXED = {"b": "<?", "c": "<c", "i": "<i", "q": "<q", "d": "<d"}
_ARRAYS = {"C": "S1", "I": "<i4", "Q": "<i8", "D": "<f8"}


@dataclass(frozen=True)
class Stored:
    """An array that was passed over: where it lies, how many items it has, and of which type."""

    offset: int
    count: int
    dtype: np.dtype[Any]


class Walker:
    """Reads the tree of objects from a mapped file."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.position = data, len(MAGIC)

    def tree(self, end: int, depth: int = 0) -> dict[str, Any]:
        """One object: its components by name, its type under the empty name."""
        if depth > DEEPEST:
            raise ValueError(f"objects are nested deeper than {DEEPEST}")
        found: dict[str, Any] = {"": self._text(end)}
        size = self._number("<I", end)
        stop = self.position + size
        if stop > end:
            raise ValueError(f"{found['']} promises {size} bytes, {end - self.position} are left")
        while self.position < stop:
            name = self._text(stop)
            found[name] = self._component(stop, depth)
        return found

    def _component(self, end: int, depth: int) -> Any:
        code = self._bytes(1, end).decode("latin-1")
        if code in _FIXED:
            return self._number(_FIXED[code], end)
        if code == "s":
            return self._text(end)
        if code == "o":
            return self.tree(end, depth + 1)
        count = self._number("<I", end)
        if code in _ARRAYS:
            dtype = np.dtype(_ARRAYS[code])
            stored = Stored(self.position, count, dtype)
            self._skip(count * dtype.itemsize, end)
            return stored
        if code == "S":
            return [self._text(end) for _ in range(count)]
        if code == "O":
            return [self.tree(end, depth + 1) for _ in range(count)]
        raise ValueError(f"a component of unknown type {code!r}")

    def _skip(self, n: int, end: int) -> None:
        if self.position + n > end:
            raise ValueError(f"{n} bytes are promised, {end - self.position} are left")
        self.position += n

    def _bytes(self, n: int, end: int) -> bytes:
        start = self.position
        self._skip(n, end)
        return self.data[start : self.position]

    def _number(self, code: str, end: int) -> Any:
        return struct.unpack(code, self._bytes(struct.calcsize(code), end))[0]

    def _text(self, end: int) -> str:
        stop = self.data.find(b"\0", self.position, end)
        if stop < 0:
            raise ValueError("a text has no end")
        text = self._bytes(stop - self.position, end).decode("utf-8", "replace")
        self.position += 1
        return text


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith((MAGIC, OLD_MAGIC))


def _read(path: Path) -> Raw:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] == OLD_MAGIC:
            raise InputError(f"{path}: written by Gwyddion 1.x; open and save it with Gwyddion 2")
        tree = Walker(data).tree(len(data))
    numbers = sorted(int(m[1]) for key in tree if (m := re.fullmatch(r"/(\d+)/data", key)))
    fields = {n: tree[f"/{n}/data"] for n in numbers}
    channels = tuple(
        _channel(field, str(tree.get(f"/{n}/data/title", f"channel {n}")), path)
        for n, field in fields.items()
    )
    if not channels:
        raise InputError(f"{path}: holds no image; volume data and graphs are not read")
    metadata = tree.get(f"/{numbers[0]}/meta", {})
    metadata = {key: value for key, value in metadata.items() if isinstance(value, str) and key}
    _same_area(fields, path)
    return Raw(channels, _axes(fields[numbers[0]]), metadata, labels.igor_time(metadata))


def _channel(field: dict[str, Any], title: str, path: Path) -> Channel:
    stored, shape = field["data"], (field["yres"], field["xres"])
    if min(shape) < 1 or stored.count != shape[0] * shape[1]:
        raise InputError(
            f"{path}: {title} should have {shape[0]} × {shape[1]} pixels and holds {stored.count} "
            "values; save it again with Gwyddion"
        )
    read = partial(_read_pixels, path, stored, shape)
    pixels = Pixels(path, shape, stored.dtype, read, ERRORS)
    return Channel(title, pixels, (dims.Y, dims.X), field.get("si_unit_z", {}).get("unitstr", ""))


def _axes(field: dict[str, Any]) -> dict[str, Any]:
    units = field.get("si_unit_xy", {}).get("unitstr", "m") or "pixel"
    return {
        dim: evenly_spaced(field[res], field.get(real, field[res]) / field[res], units)
        for dim, res, real in ((dims.Y, "yres", "yreal"), (dims.X, "xres", "xreal"))
    }


def _same_area(fields: dict[int, dict[str, Any]], path: Path) -> None:
    """Images of another area in the same file are another recording."""
    first = next(iter(fields.values()))
    for n, field in fields.items():
        for real in ("yreal", "xreal"):
            if not np.isclose(field.get(real, 1.0), first.get(real, 1.0), rtol=1e-3, atol=0):
                raise InputError(
                    f"{path}: image {n} is {field.get(real, 1.0):g} wide ({real}), the first one is "
                    f"{first.get(real, 1.0):g}; save the images of one scan in a file of their own"
                )


def _read_pixels(path: Path, stored: Stored, shape: tuple[int, int], key: Key) -> np.ndarray:
    image = np.memmap(path, dtype=stored.dtype, mode="r", offset=stored.offset, shape=shape)
    return np.array(image[key])


READER = Reader(
    name="gwy",
    extensions=(".gwy",),
    description="Gwyddion images",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
