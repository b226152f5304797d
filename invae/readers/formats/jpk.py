"""JPK images (.jpk, .jpk-qi-image): a TIFF with a preview and one page of counts per channel; tags say how counts become values.

Every channel has slots, each with a unit and a scaling of the counts; the default slot is the one that JPK's programs show. The first
line of a page is the lowest one, unless the grid is reflected. The layout was compared in AFMReader, SurfaceTopography and Gwyddion.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import degrees
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from invae import dims
from invae.errors import InputError
from invae.readers.foreign import BY_GWYDDION
from invae.readers.formats import tiff
from invae.readers.formats.tiff_tags import first_tags, is_jpk
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, Reader, evenly_spaced

FIRST, LAST = 0x8000, 0x8FFF
"""Codes of the tags of JPK."""
START_DATE = 0x8003
X_OFFSET, Y_OFFSET, WIDTH, HEIGHT, ANGLE, REFLECTED = range(0x8040, 0x8046)
"""The grid: its origin, width and height [m], its angle [rad], and whether it is reflected."""
CHANNEL, RETRACE, NAME = range(0x8050, 0x8053)
N_SLOTS, DEFAULT = 0x8080, 0x8081
SLOT, SLOT_TAGS = 0x8090, 0x30
"""Name of the first slot, and number of tags of each."""
UNIT, SCALING, FACTOR, OFFSET = range(0x12, 0x16)
"""Tags of a slot, counted from its name."""
TEXTS = {0x8001: "program", 0x8003: "start", 0x8004: "name", 0x8005: "comment", 0x8007: "sample"}
TEXTS |= {0x8010: "cantilever", 0x8011: "spring_constant", 0x8030: "feedback", 0x8033: "setpoint"}
TEXTS |= {0x8049: "line_rate"}
"""Names of what is kept as metadata."""
ERRORS = tiff.ERRORS

Tags = Mapping[int, Any]


@dataclass(frozen=True)
class _Scaling:
    """How counts become values: factor · count + offset."""

    factor: float
    offset: float
    units: str


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(tiff.MAGIC) and is_jpk(first_tags(path))


def _read(path: Path) -> Raw:
    with tiff.opened(path) as tif:
        tiff.refuse_incomplete(tif, path)
        first = _tags(tif.pages.first)
        described = [*_channels(tif, first, path)]
    if not described:
        raise InputError(f"{path}: is a scan of JPK with no channel that is read; {BY_GWYDDION}")
    channels = tuple(c for c in described if isinstance(c, Channel))
    unknown = [name for name in described if isinstance(name, str)]
    if not channels:
        raise InputError(
            f"{path}: holds counts of JPK ({', '.join(unknown)}) without the scaling that makes them values; {BY_GWYDDION}"
        )
    notes = tuple(f"channel {name} was left out: its scaling is unknown" for name in unknown)
    return Raw(
        channels,
        channels[0].axes,
        _metadata(first),
        _time(str(first.get(START_DATE, ""))),
        notes=notes,
    )


def _tags(page: Any) -> dict[int, Any]:
    """The tags of JPK on a page, by code."""
    return {tag.code: tag.value for tag in page.tags if FIRST <= tag.code <= LAST}


def _channels(tif: tifffile.TiffFile, first: Tags, path: Path) -> Iterator[Channel | str]:
    """The channels of all pages; of those whose scaling is unknown only the name."""
    for number, page in enumerate(tif.pages):
        tags = _tags(page)
        if CHANNEL not in tags or len(page.shape) != 2 or page.dtype in (None, np.uint8):
            continue  # the preview has tags of a channel too
        name = str(tags.get(NAME) or tags[CHANNEL])
        scaling = _scaling(tags, np.dtype(page.dtype))
        if scaling is None:
            yield name
            continue
        upwards = not int(tags.get(REFLECTED, first.get(REFLECTED, 0)))
        shape = (int(page.shape[0]), int(page.shape[1]))
        read = partial(_read_page, path, number, scaling, upwards)
        yield Channel(
            name,
            Pixels(path, shape, np.dtype(float), read, ERRORS),
            (dims.Y, dims.X),
            scaling.units,
            {0: "trace", 1: "retrace"}.get(int(tags.get(RETRACE, -1)), ""),
            axes=_axes({**first, **tags}, shape),
        )


def _scaling(tags: Tags, dtype: np.dtype) -> _Scaling | None:
    """The scaling of the default slot; none if it is unknown."""
    slots = (SLOT + SLOT_TAGS * number for number in range(int(tags.get(N_SLOTS, 0))))
    slot = next((slot for slot in slots if tags.get(slot) == tags.get(DEFAULT, "")), None)
    if slot is None:
        return None
    units, kind = str(tags.get(slot + UNIT, "")), tags.get(slot + SCALING)
    if kind == "LinearScaling" and slot + FACTOR in tags:
        return _Scaling(float(tags[slot + FACTOR]), float(tags.get(slot + OFFSET, 0.0)), units)
    measured = kind == "NullScaling" and dtype.kind == "f"
    return _Scaling(1.0, 0.0, units) if measured else None


def _axes(tags: Tags, shape: tuple[int, int]) -> dict[str, Axis]:
    """The axes, if the size of the scan is known."""
    sides = {dims.Y: (abs(float(tags.get(HEIGHT, 0))), shape[0])}
    sides |= {dims.X: (abs(float(tags.get(WIDTH, 0))), shape[1])}
    return {dim: evenly_spaced(n, length / n, "m") for dim, (length, n) in sides.items() if length}


def _metadata(first: Tags) -> dict[str, Any]:
    """Texts of the first page, and where the instrument scanned: offsets [m], angle [degree]."""
    metadata = {name: first[code] for code, name in TEXTS.items() if code in first}
    place = {"XOffset": X_OFFSET, "YOffset": Y_OFFSET}
    metadata |= {name: f"{float(first[code]):.9g}" for name, code in place.items() if code in first}
    if ANGLE in first:
        metadata["ScanAngle"] = f"{degrees(float(first[ANGLE])):.9g}"
    return metadata


def _time(text: str) -> datetime | None:
    """The instrument's clock from `2013-02-05 15:23:39`, whatever follows."""
    try:
        return datetime.fromisoformat(text.strip()[:19])
    except ValueError:
        return None


def _read_page(path: Path, number: int, scaling: _Scaling, upwards: bool, key: Key) -> np.ndarray:
    """The values of a channel, highest line first."""
    with tiff.opened(path) as tif:
        counts = tif.pages[number].asarray()
    counts = counts[::-1] if upwards else counts
    return counts[key].astype(float) * scaling.factor + scaling.offset


READER = Reader(
    name="jpk",
    extensions=(".jpk", ".jpk-qi-image"),
    description="JPK images, trace and retrace",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
