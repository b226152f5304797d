"""Bruker NanoScope (.spm, .001): images, a header of text before whole numbers of 16 or 32 bits.

value = number · hard value / 2^(8 · bytes per pixel) · sensitivity. `Bytes/pixel` belongs to this scale alone: since version 9.2 numbers
have 32 bits whatever it says. The first line is the lowest one. Scale and direction of the lines were compared in Gwyddion, pySPM and
SurfaceTopography.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels
from invae.readers.foreign import BY_GWYDDION
from invae.readers.formats.raw_frames import expect_bytes
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, Reader, evenly_spaced

MAGIC, END = b"\\*File list", b"\\*File list end"
MOST_HEADER = 1 << 20
"""Longest header [bytes]."""
WIDE_SINCE = 0x09200000
"""First version whose numbers always have 32 bits."""
IMAGE_LISTS = ("ciao image list", "afm image list", "ncafm image list")
SCAN_LISTS, SCANNER_LISTS = ("ciao scan list",), ("scanner list", "microscope list")
"""Where sensitivities are; those of the scanner count where both have one."""
PASSES = ("@2:", "@3:", "@4:")
"""Beginnings of the entries of an image: of the first pass, of the second, of images beside force curves."""
VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}
NOT_SQUARE = "the scan was not square; its pixels are taken as square, since the header has no right height then"
ERRORS = (ValueError, IndexError, KeyError, UnicodeDecodeError)
_NUMBER = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?"
_VALUE = re.compile(
    rf"V\s*(?:\[(?P<sensitivity>[^\]]*)\])?\s*(?:\(.*?/LSB\))?\s*(?P<number>{_NUMBER})\s*(?P<unit>\S*)"
)
_NAME = re.compile(r'S\s*(?:\[(?P<key>[^\]]*)\])?\s*(?:"(?P<name>[^"]*)")?')
_SIZE = re.compile(rf"(?P<x>{_NUMBER})\s+(?:(?P<y>{_NUMBER})\s+)?(?P<unit>\S+)")

Entries = Mapping[str, str]


@dataclass(frozen=True)
class _Header:
    """The sections of a header: entries by their names in small letters."""

    file: Entries
    settings: Entries
    """Entries of the scan and of the scanner."""
    scan: Entries
    images: tuple[Entries, ...]

    @property
    def version(self) -> int:
        return int(self.file.get("version", "0"), 16)


@dataclass(frozen=True)
class _Scale:
    """Value of one number, and its unit."""

    factor: float
    units: str


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC)


def _read(path: Path) -> Raw:
    header = _header(path)
    kind = f"{header.file.get('start context', '')} {header.scan.get('operating mode', '')}"
    if re.search(r"FVOL|FOL|VAR\b|Force", kind):
        raise InputError(
            f"{path}: holds force curves of NanoScope, which are not read; {BY_GWYDDION}"
        )
    channels, unknown = [], []
    for entries in header.images:
        name, scale = _name(entries), _scale(entries, header.settings)
        if scale is None:
            unknown.append(name)
        else:
            channels.append(_channel(path, header, entries, name, scale))
    if not channels:
        listed = f"no known scale of its values ({', '.join(unknown)})" if unknown else "no image"
        raise InputError(f"{path}: is a file of Bruker NanoScope with {listed}; {BY_GWYDDION}")
    notes = [f"channel {name} was left out: the scale of its values is unknown" for name in unknown]
    return Raw(
        tuple(channels),
        channels[0].axes,
        {**header.file, **header.settings, **_place(header.scan)},
        _time(header.file.get("date", "")),
        notes=(*notes, *(() if all(map(_is_square, header.images)) else (NOT_SQUARE,))),
    )


# ---- header


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        head = file.read(MOST_HEADER)
    end = head.find(END)
    if end < 0:
        raise InputError(
            f"{path}: is a file of Bruker NanoScope whose header has no end ({END.decode()}); it is incomplete: copy it again"
        )
    sections: list[tuple[str, dict[str, str]]] = []
    for line in head[:end].decode("latin-1").splitlines():
        if line.startswith("\\*"):
            sections.append((line[2:].strip().lower(), {}))
        elif line.startswith("\\") and sections:
            key, _, value = line[1:].partition(": ")
            sections[-1][1][key.strip().lower()] = value.strip()
    return _Header(
        _joined(sections, ("file list",)),
        {**_joined(sections, SCAN_LISTS), **_joined(sections, SCANNER_LISTS)},
        _joined(sections, SCAN_LISTS),
        tuple(entries for name, entries in sections if name in IMAGE_LISTS),
    )


def _joined(sections: Sequence[tuple[str, Entries]], names: Sequence[str]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, entries in sections:
        joined |= entries if name in names else {}
    return joined


def _entry(entries: Entries, name: str) -> tuple[str, str]:
    """An entry of an image and the pass that it belongs to; empty if there is none."""
    found = ((one, entries[one + name]) for one in PASSES if one + name in entries)
    return next(found, ("", ""))


def _name(entries: Entries) -> str:
    """The name that NanoScope shows; of the second pass it says so."""
    which, text = _entry(entries, "image data")
    match = _NAME.match(text)
    name = (match["name"] or match["key"] or "signal") if match else "signal"
    return f"{name} (nap)" if which == "@3:" else name


# ---- scale of the values


def _scale(entries: Entries, settings: Entries) -> _Scale | None:
    """Value of one number: the hard value is the range of all numbers; none if it is unknown."""
    match = _VALUE.match(_entry(entries, "z scale")[1])
    if match is None:
        return None
    factor = float(match["number"]) / 256 ** int(entries.get("bytes/pixel", "2"))
    unit = _unit(match["unit"])
    if not match["sensitivity"]:
        return _Scale(factor, unit)
    own = _VALUE.match(settings.get(f"@{match['sensitivity'].lower()}", ""))
    if own is None:
        return None
    factor *= float(own["number"])
    if not own["unit"]:
        return _Scale(factor, "deg" if "phase" in match["sensitivity"].lower() else unit)
    return _per_volt(factor, _unit(own["unit"]), unit)


def _per_volt(factor: float, sensitivity: str, hard: str) -> _Scale | None:
    """A sensitivity per volt, of a number in volts; none if the units do not fit."""
    units, _, under = sensitivity.rpartition("/")
    if not units:
        return _Scale(factor, under) if under == hard else None
    if under == hard:
        return _Scale(factor, units)
    if hard and under.endswith(f"*{hard}"):  # N/m*Arb of numbers in Arb
        return _Scale(factor, f"{units}/{under.removesuffix(f'*{hard}')}")
    if under not in VOLTS or hard not in VOLTS:
        return None
    return _Scale(factor * VOLTS[hard] / VOLTS[under], units)


def _unit(text: str) -> str:
    """A unit as others write it: NanoScope writes ~ for µ and º for °."""
    return re.sub("[º°]", "deg", text.replace("~", "u").replace("µ", "u"))


# ---- images


def _channel(path: Path, header: _Header, entries: Entries, name: str, scale: _Scale) -> Channel:
    shape, dtype = _stored(header, entries, path, name)
    start = int(entries["data offset"])
    expect_bytes(path, start + dtype.itemsize * shape[0] * shape[1], source="its header")
    pixels = Pixels(
        path,
        shape,
        np.dtype(float),
        partial(_read_values, path, shape, dtype, start, scale.factor),
        ERRORS,
    )
    direction = entries.get("line direction", "").lower()
    return Channel(
        name,
        pixels,
        (dims.Y, dims.X),
        scale.units,
        direction if direction in ("trace", "retrace") else "",
        axes=_axes(header, entries, shape),
    )


def _stored(
    header: _Header, entries: Entries, path: Path, name: str
) -> tuple[tuple[int, int], np.dtype]:
    """Rows and columns, and type of the numbers: those that fill the declared length.

    Some programs write a wrong size beside an image; the size of the scan is right then.

    Raises:
        InputError: If no size fits.
    """
    own = _count(entries, "number of lines"), _count(entries, "samps/line")
    whole = _count(header.scan, "lines"), _count(header.scan, "samps/line")
    length = int(entries["data length"])
    widths = (4, 2) if header.version >= WIDE_SINCE else (2, 4)
    for width in widths:
        for shape in (own, whole):
            if min(shape) > 0 and width * shape[0] * shape[1] == length:
                return shape, np.dtype(f"<i{width}")
    raise InputError(
        f"{path}: {name} has {own[0]} × {own[1]} values in {length} bytes, which does not fit; {BY_GWYDDION}"
    )


def _count(entries: Entries, key: str) -> int:
    """The first whole number of an entry; 0 if there is none."""
    match = re.match(r"\d+", entries.get(key, ""))
    return int(match[0]) if match else 0


def _axes(header: _Header, entries: Entries, shape: tuple[int, int]) -> dict[str, Axis]:
    """The axes. The height in the header is that of all lines, also of a scan that was stopped; it is wrong if the scan is not square."""
    match = _SIZE.match(entries.get("scan size", "") or header.scan.get("scan size", ""))
    if match is None:
        return {}
    width, units = float(match["x"]), _unit(match["unit"])
    step = width / shape[1]
    n_lines = max(shape[0], _count(header.scan, "lines"))
    height = float(match["y"] or width) / n_lines
    return {
        dims.Y: evenly_spaced(shape[0], height if _is_square(entries) else step, units),
        dims.X: evenly_spaced(shape[1], step, units),
    }


def _is_square(entries: Entries) -> bool:
    """Whether the scan was as high as wide."""
    match = re.match(rf"({_NUMBER})\s*:\s*({_NUMBER})", entries.get("aspect ratio", "1:1"))
    return match is None or float(match[1]) == float(match[2])


def _place(scan: Entries) -> dict[str, str]:
    """Where the instrument scanned [m], and its angle [degree], as Asylum's instruments call it; NanoScope writes radians."""
    place = {}
    for name, key in (("XOffset", "x offset"), ("YOffset", "y offset")):
        match = re.match(rf"({_NUMBER})\s+(\S+)", scan.get(key, ""))
        size = labels.nanometres(_unit(match[2])) if match else None
        if match and size is not None:
            place[name] = f"{float(match[1]) * size / labels.NM_PER_METRE:.9g}"
    if (match := re.match(_NUMBER, scan.get("rotate ang.", ""))) is not None:
        place["ScanAngle"] = f"{math.degrees(float(match[0])):.9g}"
    return place


def _time(text: str) -> datetime | None:
    """The instrument's clock from `03:23:39 PM Tue Feb 05 2013`."""
    try:
        return datetime.strptime(" ".join(text.split()), "%I:%M:%S %p %a %b %d %Y")
    except ValueError:
        return None


def _read_values(
    path: Path, shape: tuple[int, int], dtype: np.dtype, start: int, factor: float, key: Key
) -> np.ndarray:
    """The values, highest line first."""
    return np.memmap(path, dtype, "r", start, shape)[::-1][key].astype(float) * factor


READER = Reader(
    name="nanoscope",
    extensions=(".spm", ".000", ".001"),
    description="Bruker NanoScope images, trace and retrace",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
