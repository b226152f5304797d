"""Gwyddion's own format: every image of a file is a channel.

gwyfile reads the tree of objects from a mapped file. Its arrays stay in the file, so that every request loads its piece anew and
no pixel is kept. It does not read arrays of single characters, which images do not use.
"""

import re
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gwyfile.objects
import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels
from invae.readers.formats.memory_map import mapped
from invae.readers.raw import Channel, Key, Pixels, Raw, Reader, evenly_spaced

DRAWN = "the masks drawn in Gwyddion are the channel mask; walls leave its pixels out (describe.masks.drawn)"
MAGIC, OLD_MAGIC = b"GWYP", b"GWYO"
ERRORS = (
    ValueError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    RecursionError,
)
"""What gwyfile raises where components are missing, truncated, unknown or of the wrong type."""


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith((MAGIC, OLD_MAGIC))


def _read(path: Path) -> Raw:
    tree = _load(path)
    numbers = sorted(int(m[1]) for key in tree if (m := re.fullmatch(r"/(\d+)/data", key)))
    fields = {n: tree[f"/{n}/data"] for n in numbers}
    channels = tuple(_channel(n, field, _title(tree, n), path) for n, field in fields.items())
    if not channels:
        raise InputError(f"{path}: holds no image; volume data and graphs are not read")
    masks = _masks(tree, channels, numbers, path)
    metadata = tree.get(f"/{numbers[0]}/meta", {})
    metadata = {key: value for key, value in metadata.items() if isinstance(value, str)}
    metadata = _offsets(fields[numbers[0]]) | metadata
    notes = (DRAWN,) if masks else ()
    axes, time = _axes(fields[numbers[0]]), labels.igor_time(metadata)
    return Raw((*channels, *masks), axes, metadata, time, notes=notes)


def _title(tree: dict[str, Any], n: int) -> str:
    """The title of an image: that of the user, or the one that Gwyddion has made up."""
    made_up = tree.get(f"/{n}/data/untitled", f"channel {n}")
    return str(tree.get(f"/{n}/data/title", made_up))


def _load(path: Path) -> dict[str, Any]:
    """The components of a file by name; arrays stay in the file."""
    data = mapped(path)
    magic = data[: len(MAGIC)].tobytes()
    if magic == OLD_MAGIC:
        raise InputError(f"{path}: written by Gwyddion 1.x; open and save it with Gwyddion 2")
    if magic != MAGIC:
        raise InputError(f"{path}: no longer begins like a Gwyddion file; copy it again")
    tree = gwyfile.objects.GwyObject.frombuffer(data[len(MAGIC) :])
    assert isinstance(tree, gwyfile.objects.GwyObject)  # the size is returned on request only
    return tree


def _channel(n: int, field: dict[str, Any], title: str, path: Path) -> Channel:
    stored, shape = field["data"], (field["yres"], field["xres"])
    if min(shape) < 1 or stored.size != shape[0] * shape[1]:
        raise InputError(
            f"{path}: {title} should have {shape[0]} × {shape[1]} pixels, but holds {stored.size} "
            "values; save it again with Gwyddion"
        )
    read = partial(_read_pixels, path, n, shape)
    pixels = Pixels(path, shape, stored.dtype, read, ERRORS)
    units = field.get("si_unit_z", {}).get("unitstr", "")
    return Channel(title, pixels, (dims.Y, dims.X), units, axes=_axes(field))


def _masks(
    tree: dict[str, Any], channels: Sequence[Channel], numbers: Sequence[int], path: Path
) -> list[Channel]:
    """One channel for all masks that were drawn on images of one size; 1 where one of them marks the pixel."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, channel in zip(numbers, channels, strict=True):
        mask = tree.get(f"/{number}/mask")
        if mask is not None and (mask["yres"], mask["xres"]) == channel.pixels.shape:
            by_shape.setdefault(channel.pixels.shape, []).append(number)
    image = dict(zip(numbers, channels, strict=True))
    return [
        Channel(
            dims.MASK,
            Pixels(path, shape, np.dtype("u1"), partial(_read_masks, path, tuple(marked)), ERRORS),
            (dims.Y, dims.X),
            axes=image[marked[0]].axes,
        )
        for shape, marked in by_shape.items()
    ]


def _read_masks(path: Path, numbers: Sequence[int], key: Key) -> np.ndarray:
    fields = [_load(path)[f"/{number}/mask"] for number in numbers]
    masks = [np.array(f["data"].reshape(f["yres"], f["xres"])[key]) > 0 for f in fields]
    return np.logical_or.reduce(masks).astype("u1")


def _axes(field: dict[str, Any]) -> dict[str, Any]:
    units = field.get("si_unit_xy", {}).get("unitstr", "m") or "pixel"
    return {
        dim: evenly_spaced(field[res], field.get(real, field[res]) / field[res], units)
        for dim, res, real in ((dims.Y, "yres", "yreal"), (dims.X, "xres", "xreal"))
    }


def _offsets(field: dict[str, Any]) -> dict[str, str]:
    """Where the image was scanned [m], as Asylum's instruments call it; none if the file says nothing."""
    size = labels.nanometres(field.get("si_unit_xy", {}).get("unitstr", "m") or "pixel")
    offsets = {
        name: field[key] for name, key in (("XOffset", "xoff"), ("YOffset", "yoff")) if key in field
    }
    if size is None or not any(offsets.values()):
        return {}
    return {name: f"{value * size / labels.NM_PER_METRE:.9g}" for name, value in offsets.items()}


def _read_pixels(path: Path, n: int, shape: tuple[int, int], key: Key) -> np.ndarray:
    return np.array(_load(path)[f"/{n}/data"]["data"].reshape(shape)[key])


READER = Reader(
    name="gwy",
    extensions=(".gwy",),
    description="Gwyddion images",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
