"""FEI TIA (.ser): images, series, spectra and scans, each element behind a head of its own; settings from the .emi beside it.

Source: C. Boothroyd's description of the format. The lowest row of an element comes first, and y of a scan points up; both were compared
with RosettaSciIO and openNCEM. A .ser holds no unit of its images: pixels in metres are far below 1, those in 1/m far above.
"""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import spectra
from invae.readers.calibration import axis, calibrated
from invae.readers.formats.raw_frames import Frames, Part, expect_bytes
from invae.readers.raw import Axis, Beam, Channel, Coordinate, Key, Pixels, Raw, Reader
from invae.readers.scan_shape import IMAGES, SEQUENCE, named_by_kind

MAGIC = b"II\x97\x01"
ERRORS = (ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError)
SPECTRA, PICTURES = 0x4120, 0x4122
"""What the elements are."""
WITH_PLACE = 0x4142
"""Kind of the tags that hold the place of an element."""
OLD = 0x0210
"""Last version whose positions in the file have 32 bits."""
TYPES = {1: "u1", 2: "<u2", 3: "<u4", 4: "i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8"}
LARGEST_PIXEL, SMALLEST_STEP = 1e-3, 1.0
"""Pixels of images are smaller [m], steps of diffraction patterns are larger [1/m]."""
SAME_DISTANCE = 0.01
"""Largest relative difference of the distances of spectra on a line."""
NM = 1e9
"""Nanometres in a metre."""
_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<number>\d+)\.ser", re.IGNORECASE)
_OBJECT = re.compile(rb"<ObjectInfo>.*?</ObjectInfo>", re.DOTALL)


@dataclass(frozen=True)
class _Scale:
    """Positions along one axis: `start` at pixel `pixel`, in steps."""

    start: float
    step: float
    pixel: int

    def first(self) -> float:
        """Position of the first pixel."""
        return self.start - self.pixel * self.step


@dataclass(frozen=True)
class _Dimension:
    """One dimension along which elements were recorded, the fastest first."""

    size: int
    scale: _Scale
    units: str

    @property
    def is_place(self) -> bool:
        """Whether the elements are at different places."""
        return self.units in ("meters", "m")


@dataclass(frozen=True)
class _Series:
    """What the header of a file says."""

    kind: int
    tags: int
    n_valid: int
    """Number of elements that were recorded."""
    dimensions: tuple[_Dimension, ...]
    starts: np.ndarray
    """Positions of the elements [bytes]."""
    tag_starts: np.ndarray
    """Positions of their tags [bytes]."""


@dataclass(frozen=True)
class _Element:
    """The head of the first element; the others are alike."""

    scales: tuple[_Scale, ...]
    """x and y, or the energy."""
    dtype: np.dtype
    shape: tuple[int, ...]
    """Rows and columns, or channels."""
    head: int
    """Length of the head [bytes]."""


class _Numbers:
    """Numbers and texts, one after the other, from a position of the file."""

    def __init__(self, data: np.ndarray, position: int = 0) -> None:
        self.data, self.position = data, position

    def take(self, form: str) -> tuple[float, ...]:
        """The next numbers.

        Raises:
            struct.error: If the file ends before.
        """
        size = struct.calcsize(form)
        piece = self.data[self.position : self.position + size].tobytes()
        self.position += size
        return struct.unpack(form, piece)

    def text(self) -> str:
        """The next text, behind its length."""
        length = int(self.take("<I")[0])
        piece = self.data[self.position : self.position + length].tobytes()
        if len(piece) < length:
            raise ValueError("a text of the header continues beyond the end of the file")
        self.position += length
        return piece.decode("latin-1").strip("\0 ")

    def scale(self) -> _Scale:
        """The next calibration."""
        start, step, pixel = self.take("<ddi")
        return _Scale(start, step, int(pixel))


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC)


def _companions(path: Path) -> tuple[Path, ...]:
    """The .emi with the settings of NAME_1.ser."""
    match = _NUMBERED.fullmatch(path.name)
    if match is None:
        return ()
    return tuple(sorted(path.parent.glob(f"{match['stem'].translate(_ESCAPED)}.[eE][mM][iI]")))[:1]


_ESCAPED = str.maketrans({letter: f"[{letter}]" for letter in "[*?"})
"""Letters of a name that have another meaning in a pattern."""


def _read(path: Path) -> Raw:
    data = np.memmap(path, "u1", "r")
    series = _series(data, path)
    element = _element(data, series, path)
    settings = _settings(path)
    pictures = series.kind == PICTURES
    raw = _pictures(path, series, element) if pictures else _spectra(path, data, series, element)
    mode = settings.get("Mode", "")
    return Raw(
        named_by_kind(raw.channels),
        raw.axes,
        settings,
        _time(settings.get("AcquireDate", "")),
        modality="" if not mode or raw.scan_shape else "STEM" if "STEM" in mode else "TEM",
        notes=raw.notes,
        coordinates=raw.coordinates,
        beam=Beam(_kilovolt(settings)),
        scan_shape=raw.scan_shape,
    )


# ---- header and elements


def _series(data: np.ndarray, path: Path) -> _Series:
    """The header and the positions of the elements."""
    header = _Numbers(data, 4)
    (version,) = header.take("<H")
    place = "<I" if version <= OLD else "<Q"
    kind, tags, n_total, n_valid = (int(n) for n in header.take("<4I"))
    (table,), (n_dimensions,) = header.take(place), header.take("<I")
    if kind not in (SPECTRA, PICTURES) or n_dimensions > 2:
        raise InputError(
            f"{path}: holds elements of kind {kind:#x} along {int(n_dimensions)} dimensions, which are not read; export it from TIA"
        )
    if not n_valid:
        raise InputError(
            f"{path}: holds no element; TIA keeps a single spectrum in the .emi: export it from there"
        )
    dimensions = tuple(_dimension(header) for _ in range(int(n_dimensions)))
    expect_bytes(path, int(table) + 2 * n_total * struct.calcsize(place), source="its header")
    if any(dimension.size > n_total for dimension in dimensions):
        raise InputError(
            f"{path}: its header declares {n_total} elements, fewer than along one of its dimensions; it is damaged: copy it again"
        )
    positions = np.frombuffer(data, place, 2 * n_total, int(table)).astype(np.int64)
    return _Series(
        kind, tags, n_valid, dimensions, positions[:n_valid], positions[n_total:][:n_valid]
    )


def _dimension(header: _Numbers) -> _Dimension:
    (size,) = header.take("<I")
    scale = header.scale()
    header.text()
    return _Dimension(int(size), scale, header.text())


def _element(data: np.ndarray, series: _Series, path: Path) -> _Element:
    """The head of the first element, if all elements are in the file at equal distances."""
    head = _Numbers(data, int(series.starts[0]))
    n_axes = 1 if series.kind == SPECTRA else 2
    scales = tuple(head.scale() for _ in range(n_axes))
    (kind,) = head.take("<H")
    if kind not in TYPES:
        raise InputError(
            f"{path}: its values have type {int(kind)}, but only real numbers are read"
        )
    shape = tuple(int(n) for n in head.take(f"<{n_axes}I")[::-1])
    element = _Element(
        scales, np.dtype(TYPES[int(kind)]), shape, head.position - int(series.starts[0])
    )
    distances = np.diff(series.starts)
    if min(shape) < 1 or len({*distances.tolist()}) > 1:
        raise InputError(
            f"{path}: its elements are not alike; open it with RosettaSciIO or HyperSpy and save it as .hspy"
        )
    last = int(series.starts[-1]) + element.head + element.dtype.itemsize * math.prod(shape)
    expect_bytes(path, last, source=f"its header ({series.n_valid} elements)")
    return element


def _stride(series: _Series) -> int:
    """Distance of two elements [bytes]."""
    return int(series.starts[1] - series.starts[0]) if len(series.starts) > 1 else 0


# ---- images and patterns


def _pictures(path: Path, series: _Series, element: _Element) -> Raw:
    """Images, series of images, or patterns of a scan."""
    unit = _unit(element.scales)
    scanned = [d for d in series.dimensions if d.size > 1 and d.is_place]
    is_pattern = bool(scanned) or (unit == "1/m" and series.n_valid > 1)
    names = SEQUENCE if is_pattern else IMAGES
    if len(scanned) == 1:
        names = (dims.SCAN_X, dims.K_Y, dims.K_X)
    size = element.dtype.itemsize * math.prod(element.shape)
    part = Part(path, series.n_valid, int(series.starts[0]) + element.head)
    rows, columns = element.shape
    frames = Frames((part,), (rows, columns), element.dtype, _stride(series) or size, upwards=True)
    channel = Channel(
        "pattern" if is_pattern else "image",
        frames.pixels(path, ERRORS),
        names,
    )
    x, y = element.scales
    highest = y.first() + (rows - 1) * y.step
    axes = calibrated({
        names[1]: axis(names[1], rows, y.step, unit, start=-highest),
        names[2]: axis(names[2], columns, x.step, unit, start=x.first()),
    })  # fmt: skip
    notes = _stopped(series)
    if not {names[1], names[2]} <= {*axes}:
        notes = (*notes, _UNCALIBRATED.format(step=x.step, unit=unit or "an unknown unit"))
    shape = (scanned[1].size, scanned[0].size) if len(scanned) == 2 else None
    axes |= _scan_axes(scanned, series.n_valid)
    return Raw((channel,), axes, notes=notes, scan_shape=shape)


_UNCALIBRATED = "pixels are {step:.4g} {unit}, which is no calibration of this recording"


def _unit(scales: Sequence[_Scale]) -> str:
    """`m` or `1/m` by the size of the steps; empty if it may be either."""
    steps = [abs(scale.step) for scale in scales]
    if min(steps) > 0 and max(steps) < LARGEST_PIXEL:
        return "m"
    return "1/m" if min(steps) > SMALLEST_STEP else ""


def _scan_axes(scanned: Sequence[_Dimension], n_valid: int) -> dict[str, Axis]:
    """The axes of a scan; along a line the distance counts."""
    if len(scanned) == 1:
        line = axis(dims.SCAN_X, n_valid, abs(scanned[0].scale.step), "m")
        return calibrated({dims.SCAN_X: line})
    return calibrated({
        dim: _place_axis(dim, dimension)
        for dim, dimension in zip((dims.SCAN_X, dims.SCAN_Y), scanned, strict=False)
    })  # fmt: skip


def _place_axis(dim: str, dimension: _Dimension) -> Axis | None:
    """Positions of a scan, y down: TIA's y points up."""
    way = -1 if dim in (dims.Y, dims.SCAN_Y) else 1
    scale = dimension.scale
    return axis(dim, dimension.size, way * scale.step, "m", start=way * scale.first())


def _stopped(series: _Series) -> tuple[str, ...]:
    """A note on elements that were not recorded."""
    planned = math.prod(dimension.size for dimension in series.dimensions)
    if series.n_valid >= planned:
        return ()
    return (f"{series.n_valid} of {planned} elements were recorded; the series was stopped",)


# ---- spectra


def _spectra(path: Path, data: np.ndarray, series: _Series, element: _Element) -> Raw:
    """Spectra of a grid, of a line, or at points."""
    energy = element.scales[0]
    axes = {"energy": Axis(energy.first() + np.arange(element.shape[0]) * energy.step, "eV")}
    if len(series.dimensions) == 2 and min(d.size for d in series.dimensions) > 0:
        return _grid(path, series, element, axes)
    places = _places(data, series)
    step = _even_step(places)
    if len(places) < 2 or step is not None:
        line = {} if step is None else calibrated({dims.Y: axis(dims.Y, len(places), step, "m")})
        channel = _channel(path, series, element, (series.n_valid,), (dims.Y,))
        return Raw((channel,), axes | line, notes=_stopped(series))
    channel = _channel(path, series, element, (series.n_valid,), (dims.POINT,))
    return Raw((channel,), axes, notes=_stopped(series), coordinates=_points(places))


def _grid(path: Path, series: _Series, element: _Element, axes: Mapping[str, Axis]) -> Raw:
    """Spectra of a grid; of one that was stopped its whole rows."""
    x, y = series.dimensions
    rows = min(series.n_valid // x.size, y.size)
    if rows < 1:
        raise InputError(f"{path}: was stopped in its first row; record it again")
    channel = _channel(path, series, element, (rows, x.size), (dims.Y, dims.X))
    whole = _Dimension(rows, y.scale, y.units)
    along = {dims.Y: _place_axis(dims.Y, whole), dims.X: _place_axis(dims.X, x)}
    known = along if x.is_place and y.is_place else {}
    return Raw((channel,), {**axes, **calibrated(known)}, notes=_stopped(series))


def _channel(
    path: Path, series: _Series, element: _Element, shape: tuple[int, ...], names: tuple[str, ...]
) -> Channel:
    whole = (*shape, *element.shape)
    start = int(series.starts[0]) + element.head
    read = partial(_read_spectra, path, whole, element.dtype, start, _stride(series))
    pixels = Pixels(path, whole, element.dtype, read, ERRORS)
    units = "count" if element.dtype.kind == "u" else ""
    return Channel("spectrum", pixels, (*names, "energy"), units)


def _read_spectra(
    path: Path, shape: tuple[int, ...], dtype: np.dtype, start: int, stride: int, key: Key
) -> np.ndarray:
    """The values under a key; the spectra stay in the file until then."""
    data = np.memmap(path, "u1", "r")
    places = [stride * math.prod(shape[n + 1 : -1]) for n in range(len(shape) - 1)]
    stored = np.ndarray(shape, dtype, data, start, (*places, dtype.itemsize))
    return np.array(stored[key])


def _places(data: np.ndarray, series: _Series) -> np.ndarray:
    """Places (element, x and y) [m] from the tags; none if one of them lacks it."""
    places = []
    for start in series.tag_starts if series.tags == WITH_PLACE else ():
        kind, _, x, y = _Numbers(data, int(start)).take("<IIdd")
        if kind != WITH_PLACE:
            return np.empty((0, 2))
        places.append((x, y))
    return np.array(places, dtype=float).reshape(-1, 2)


def _even_step(places: np.ndarray) -> float | None:
    """Distance of successive places on a straight line [m]; none if they are not evenly spaced on one."""
    moves = np.diff(places, axis=0)
    if not len(moves) or not np.isfinite(moves).all():
        return None
    mean = moves.mean(axis=0)
    step = float(np.hypot(*mean))
    return step if step > 0 and np.abs(moves - mean).max() < SAME_DISTANCE * step else None


def _points(places: np.ndarray) -> dict[str, Coordinate]:
    """Places of spectra that are on no line [nm], y down."""
    return {
        name: spectra.along(factor * places[:, n], dims.POINT, long_name=letter, units="nm")
        for name, letter, n, factor in (
            (spectra.POINT_Y, "Y", 1, -NM),
            (spectra.POINT_X, "X", 0, NM),
        )
    }


# ---- settings


def _settings(path: Path) -> dict[str, str]:
    """What the .emi says of this file: NAME_2.ser belongs to its second object; empty without an .emi.

    Raises:
        InputError: If the description is no XML.
    """
    match = _NUMBERED.fullmatch(path.name)
    for emi in _companions(path):
        assert match is not None  # only numbered files have companions
        objects = _OBJECT.findall(emi.read_bytes())
        number = int(match["number"]) - 1
        if not 0 <= number < len(objects):
            return {}
        try:
            return _texts(ElementTree.fromstring(objects[number]))
        except ElementTree.ParseError as error:
            raise InputError(
                f"{path}: its settings in {emi.name} are damaged ({error}); copy that file again, or move it away"
            ) from error
    return {}


def _texts(root: ElementTree.Element) -> dict[str, str]:
    """The entries of an object by name; those of the experiment by their labels, with units."""
    texts = {
        entry.tag: entry.text.strip()
        for entry in root.iter()
        if entry.text and entry.text.strip() and not len(entry) and entry.tag not in _PARTS
    }
    for entry in root.iterfind("ExperimentalDescription/Root/Data"):
        label, value, unit = (entry.findtext(tag) or "" for tag in _PARTS)
        texts[f"{label} [{unit}]" if unit else label] = value
    return texts


_PARTS = ("Label", "Value", "Unit")


def _kilovolt(settings: Mapping[str, str]) -> float | None:
    """The energy of the beam [keV]."""
    try:
        energy = float(settings.get("High tension [kV]", "nan"))
    except ValueError:
        return None
    return energy if energy > 0 else None


def _time(text: str) -> datetime | None:
    """The instrument's clock from `Tue Feb 05 15:23:39 2013`."""
    try:
        return datetime.strptime(" ".join(text.split()), "%a %b %d %H:%M:%S %Y")
    except ValueError:
        return None


READER = Reader(
    name="ser",
    extensions=(".ser",),
    description="FEI TIA: images, series, spectra and scans of patterns",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
    companions=_companions,
)
