"""Asylum Research (Igor Pro binary wave, version 5): one wave of x, y and channel.

Source: WaveMetrics, Technical Note 003 "Igor Binary Format". The header is read here and the pixels stay in the file;
igor2, which reads everything at once, is what the tests compare with.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels
from invae.readers.raw import Channel, Key, Pixels, Raw, Reader, evenly_spaced

HEADER_BYTES = 384
LABEL_BYTES = 32
ERRORS = (ValueError, IndexError)
_TYPES = {2: "f4", 4: "f8", 8: "i1", 16: "i2", 32: "i4", 72: "u1", 80: "u2", 96: "u4"}
_COMPLEX = 1

_HEADER = np.dtype(
    {
        "names": [
            "version", "wave_bytes", "formula_bytes", "note_bytes", "units_bytes",
            "dim_units_bytes", "dim_labels_bytes", "type", "shape", "step", "units", "dim_units",
        ],
        "formats": [
            "i2", "i4", "i4", "i4", "i4", ("i4", 4), ("i4", 4), "i2", ("i4", 4), ("f8", 4), "S4",
            ("S4", 4),
        ],
        "offsets": [0, 4, 8, 12, 16, 20, 36, 80, 132, 148, 212, 216],
        "itemsize": HEADER_BYTES,
    }
)  # fmt: skip


def _byte_order(head: bytes) -> Literal["<", ">", ""]:
    """`<` or `>`, by version and checksum (the header's 16-bit words add up to 0); empty if it is no wave."""
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    if len(head) < HEADER_BYTES:
        return ""
    for order in orders:
        words = np.frombuffer(head[:HEADER_BYTES], dtype=f"{order}u2")
        if words[0] == 5 and int(words.sum()) % 65536 == 0:
            return order
    return ""


def _recognises(path: Path, head: bytes) -> bool:
    return bool(_byte_order(head))


def _read(path: Path) -> Raw:
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        order = _byte_order(head)
        if not order:
            raise InputError(f"{path}: has no header of an Igor wave any more; copy it again")
        header = np.frombuffer(head, dtype=_HEADER.newbyteorder(order))[0]
        dtype, shape = _layout(header, order, path)
        file.seek(HEADER_BYTES + dtype.itemsize * math.prod(shape) + int(header["formula_bytes"]))
        note = file.read(max(0, int(header["note_bytes"]))).decode("latin-1")
        skipped = int(header["units_bytes"]) + int(header["dim_units_bytes"].sum())
        names = _labels(file.read(), skipped, header["dim_labels_bytes"])
    metadata = _note(note)
    names = [*names, *(f"channel_{n}" for n in range(len(names), shape[2]))]
    units = header["units"].split(b"\0")[0].decode("latin-1")
    channels = tuple(
        Channel(name, _pixels(path, dtype, shape, n), (dims.X, dims.Y), _units(name, n, units))
        for n, name in enumerate(names)
    )
    axis_units = [header["dim_units"][axis].split(b"\0")[0].decode("latin-1") for axis in (0, 1)]
    axes = {
        dims.X: evenly_spaced(shape[0], header["step"][0], axis_units[0]),
        # the first line of the wave is the lowest one of the image
        dims.Y: evenly_spaced(shape[1], header["step"][1], axis_units[1], flipped=True),
    }
    return Raw(channels, axes, metadata, labels.igor_time(metadata))


def _layout(
    header: Any, order: Literal["<", ">"], path: Path
) -> tuple[np.dtype[Any], tuple[int, int, int]]:
    """Type and shape (x, y, channel) of the wave, checked against the size of the file."""
    kind = int(header["type"])
    if kind & _COMPLEX:
        raise InputError(f"{path}: the wave is complex; store amplitude and phase as channels")
    if kind not in _TYPES:
        raise InputError(f"{path}: the wave holds text (type {kind}); an image is needed")
    shape = tuple(int(n) for n in header["shape"] if n != 0)
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise InputError(
            f"{path}: the wave has shape {shape}; an image of x, y and channel is needed "
            "(force curves are not read)"
        )
    dtype = np.dtype(_TYPES[kind]).newbyteorder(order)
    needed = HEADER_BYTES + dtype.itemsize * math.prod(shape)
    if path.stat().st_size < needed:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes, its header promises {needed} or more; "
            "it is incomplete: copy it again"
        )
    return dtype, (*shape, 1)[:3]  # type: ignore[return-value]


def _labels(tail: bytes, skipped: int, sizes: np.ndarray) -> list[str]:
    """The channels' labels: those of the third dimension, after the label of the dimension itself."""
    start = skipped + int(sizes[:2].sum())
    text = tail[start : start + int(sizes[2])]
    fields = [text[i : i + LABEL_BYTES] for i in range(LABEL_BYTES, len(text), LABEL_BYTES)]
    return [field.split(b"\0")[0].decode("latin-1") for field in fields]


def _units(label: str, position: int, units: str) -> str:
    """The header's unit is that of the first channel; the others are known by what they measure."""
    return labels.usual_units(labels.channel_name(label)[0]) or (units if position == 0 else "")


def _note(text: str) -> dict[str, str]:
    """The instrument's notes, one `key: value` per line."""
    pairs = (line.split(":", 1) for line in text.replace("\n", "\r").split("\r") if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _pixels(path: Path, dtype: np.dtype[Any], shape: tuple[int, int, int], n: int) -> Pixels:
    read = partial(_read_pixels, path, dtype, shape, n)
    return Pixels(path, shape[:2], dtype, read, ERRORS)


def _read_pixels(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, int, int], n: int, key: Key
) -> np.ndarray:
    wave = np.memmap(path, dtype=dtype, mode="r", offset=HEADER_BYTES, shape=shape, order="F")
    return np.array(wave[(*key, n)])


READER = Reader(
    name="ibw",
    extensions=(".ibw",),
    description="Asylum Research images (Igor Pro binary wave)",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
