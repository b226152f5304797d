"""Asylum Research (Igor Pro binary wave, version 5): one wave of x, y and channel.

igor2 reads header, note and pixels from a mapped file. Its array of pixels stays in the file, so that every request loads its
piece anew and no pixel is kept. This module checks the checksum and the sizes of the wave's parts, which igor2 trusts, and reads
the labels of the channels, because igor2 appends the remains of an older, longer label ("Phase1Retracece").

Source: WaveMetrics, Technical Note 003 "Igor Binary Format".
"""

import logging
import struct
from functools import partial
from pathlib import Path
from typing import Any, Literal

import igor2.binarywave
import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels
from invae.readers.formats.memory_map import MappedBytes, MappedStream, mapped
from invae.readers.raw import Channel, Key, Pixels, Raw, Reader, evenly_spaced

HEADER_BYTES = 384
START_BYTES = 64
"""First part of the header, with the sizes of everything that follows; the wave's own header counts with its pixels."""
LABEL_BYTES = 32
MOST_TEXT = 4 * 2**20
"""Largest total of note, labels and units [bytes]: igor2 parses them letter by letter."""
ERRORS = (ValueError, IndexError, KeyError, TypeError, AssertionError, struct.error)
"""What igor2 raises where header and content disagree."""

# igor2 logs every error that it then raises.
logging.getLogger("igor2").addHandler(logging.NullHandler())


def _byte_order(head: bytes) -> Literal["<", ">", ""]:
    """`<` or `>`, by version and checksum (the 16-bit words of the header add up to 0); empty if it is no wave."""
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
    data = mapped(path)
    wave = _load(path, data)
    header, pixels = wave["wave_header"], _image(wave, path)
    metadata = _note(wave["note"].decode("latin-1"))
    names = _labels(data, wave["bin_header"])[: pixels.shape[2]]
    names = [*names, *(f"channel_{n}" for n in range(len(names), pixels.shape[2]))]
    units = _text(header["dataUnits"].tobytes())
    channels = tuple(
        Channel(name, _pixels(path, pixels, n), (dims.X, dims.Y), _units(name, n, units))
        for n, name in enumerate(names)
    )
    axis_units = [_text(header["dimUnits"][axis].tobytes()) for axis in (0, 1)]
    axes = {
        dims.X: evenly_spaced(pixels.shape[0], header["sfA"][0], axis_units[0]),
        # the first line of the wave is the lowest line of the image
        dims.Y: evenly_spaced(pixels.shape[1], header["sfA"][1], axis_units[1], flipped=True),
    }
    return Raw(channels, axes, metadata, labels.igor_time(metadata))


def _load(path: Path, data: MappedBytes) -> dict[str, Any]:
    """The wave as igor2 returns it; the pixels stay in the file."""
    _check_sizes(data[: min(len(data), HEADER_BYTES)].tobytes(), len(data), path)
    return igor2.binarywave.load(MappedStream(data))["wave"]


def _check_sizes(head: bytes, n_bytes: int, path: Path) -> None:
    """Refuse a file that is shorter than its header requires, or that holds more text than a recording does.

    Raises:
        InputError: With both sizes.
    """
    order = _byte_order(head)
    if not order:
        raise InputError(f"{path}: no longer has the header of an Igor wave; copy it again")
    wave, *texts, indices = np.frombuffer(head, f"{order}i4", count=13, offset=4).tolist()
    if indices:
        raise InputError(f"{path}: the wave holds text, not an image; export an image")
    if min(wave, *texts) < 0 or sum(texts) > MOST_TEXT:
        raise InputError(
            f"{path}: its header declares {wave} bytes of pixels and {sum(texts)} of notes and "
            "labels, which no instrument writes; it is damaged: copy it again"
        )
    needed = START_BYTES + wave + sum(texts)
    if n_bytes < needed:
        raise InputError(
            f"{path}: has {n_bytes} bytes, but its header requires at least {needed}; "
            "it is incomplete: copy it again"
        )


def _image(wave: dict[str, Any], path: Path) -> np.ndarray:
    """The pixels (x, y, channel), which stay in the file."""
    pixels = wave["wData"]
    if pixels.dtype.kind in "cV":
        raise InputError(f"{path}: the wave is complex; store amplitude and phase as channels")
    if pixels.dtype.kind not in "iuf":
        raise InputError(f"{path}: the wave holds text, not an image; export an image")
    shape = tuple(int(n) for n in wave["wave_header"]["nDim"] if n != 0)
    if shape != pixels.shape or len(shape) not in (2, 3):
        raise InputError(
            f"{path}: the wave has shape {shape}, but an image of x, y and channel is needed; "
            "export images (force curves are not read)"
        )
    return pixels if len(shape) == 3 else pixels[..., np.newaxis]


def _labels(data: MappedBytes, sizes: dict[str, Any]) -> list[str]:
    """The labels of the channels: those of the third dimension, which follow the label of the dimension itself."""
    parts = ("wfmSize", "formulaSize", "noteSize", "dataEUnitsSize", "dimEUnitsSize")
    start = START_BYTES + sum(int(np.sum(sizes[part])) for part in parts)
    start += int(sizes["dimLabelsSize"][:2].sum())
    text = data[start : start + int(sizes["dimLabelsSize"][2])].tobytes()
    fields = [text[i : i + LABEL_BYTES] for i in range(LABEL_BYTES, len(text), LABEL_BYTES)]
    return [_text(field) for field in fields]


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("latin-1")


def _units(label: str, position: int, units: str) -> str:
    """The unit in the header applies to the first channel; those of the others follow from their quantity."""
    usual = labels.usual_units(labels.channel_name(label)[0])
    return (units or usual) if position == 0 else usual


def _note(text: str) -> dict[str, str]:
    """The instrument's notes, one `key: value` per line."""
    pairs = (line.split(":", 1) for line in text.replace("\n", "\r").split("\r") if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _pixels(path: Path, pixels: np.ndarray, n: int) -> Pixels:
    return Pixels(path, pixels.shape[:2], pixels.dtype, partial(_read_pixels, path, n), ERRORS)


def _read_pixels(path: Path, n: int, key: Key) -> np.ndarray:
    return np.array(_image(_load(path, mapped(path)), path)[(*key, n)])


READER = Reader(
    name="ibw",
    extensions=(".ibw",),
    description="Asylum Research images (Igor Pro binary wave)",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
