"""TIFF: every page a frame; pixel size from OME, from ImageJ, or from a resolution in centimetres."""

import logging
import math
import re
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from invae import dims
from invae.errors import InputError
from invae.readers.formats.tiff_tags import is_jpk, is_park
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, Reader, evenly_spaced

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ERRORS = (
    tifffile.TiffFileError,
    tifffile.OmeXmlError,
    ElementTree.ParseError,
    struct.error,
    zlib.error,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
    ZeroDivisionError,
    RuntimeError,
    EOFError,
)
"""What tifffile and its codecs raise on damaged files."""

LARGEST_PIXEL_CM = 1e-2
"""Largest pixel taken from a resolution; those of printers (72 or 300 dots per inch) are larger than any microscope's."""

_DIMS = {"Y": dims.Y, "X": dims.X, "C": "C", "T": dims.FRAME}
_FRAME_AXES = "TZQIR"

# tifffile logs damage and continues; damage that matters is checked here and raised.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


_NAMES_FILE = re.compile(r"<UUID\b[^>]*\bFileName\s*=\s*['\"]([^'\"]*)")
OTHER_FILES = (
    "its OME description names other files, which are not read; give them as files of one series"
)


def opened(path: Path) -> tifffile.TiffFile:
    """The file alone: tifffile would also open files that an OME description or an index beside it names, wherever they lie."""
    return tifffile.TiffFile(path, _multifile=False, is_ndtiff=False)


class _Last(threading.local):
    """The file that this thread read last; finding the pages of a large one takes as long as reading a block, or longer."""

    mark: tuple[object, ...] = ()
    tif: tifffile.TiffFile | None = None


_last = _Last()


@contextmanager
def _reopened(path: Path) -> Iterator[tifffile.TiffFile]:
    """The file, with its pages known if this thread read it last and it has not changed since; open only inside the block."""
    state = path.stat()
    mark = (path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    known = _last.tif if _last.mark == mark else None
    _last.tif = None  # not if it fails, nor for a block inside this one
    tif = known or opened(path)
    tif.filehandle.open()
    with tif:
        yield tif
    _last.mark, _last.tif = mark, tif


def _notes(tif: tifffile.TiffFile, path: Path) -> tuple[str, ...]:
    """A note on an OME set of several files; a stack of Micro-Manager in several files is refused.

    Raises:
        InputError: If images are in other files.
    """
    if any(series.is_multifile for series in tif.series):
        raise InputError(
            f"{path}: has images in other files, which is refused; save it as one file"
        )
    named = _NAMES_FILE.findall(tif.pages.first.description) if tif.is_ome else []
    return (OTHER_FILES,) if any(name != path.name for name in named) else ()


INVERTED = "in this TIFF 0 is white; the values were inverted, so that bright is high"


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC)


def _read(path: Path) -> Raw:
    with opened(path) as tif:
        _refuse_no_values(tif, path)
        notes = _notes(tif, path)
        axes, shape = _shape(tif, path)
        refuse_incomplete(tif, path)
        page = tif.pages.first
        if page.dtype is None:
            raise InputError(
                f"{path}: holds samples of an unknown type; export them with 16 or 32 bit"
            )
        dtype, calibrated = np.dtype(page.dtype), _axes(tif, dict(zip(axes, shape, strict=True)))
        white = _white(page)
        notes = notes if white is None else (*notes, INVERTED)
        metadata = {"description": page.description, "software": page.software}
        metadata |= tif.imagej_metadata or {}
    n_channels = shape[axes.index("C")] if "C" in axes else 1
    frame_axes = [axis for axis in axes if axis not in "CYX"]
    if len(frame_axes) > 1:
        raise InputError(f"{path}: has axes {axes}; save one series of frames (TYX) per file")
    names = (*(dims.FRAME for _ in frame_axes), dims.Y, dims.X)
    frame_shape = tuple(n for axis, n in zip(axes, shape, strict=True) if axis != "C")
    channels = tuple(
        Channel(
            f"channel {number}" if n_channels > 1 else "signal",
            Pixels(
                path,
                frame_shape,
                dtype,
                partial(_read_pixels, path, axes, shape, number, white),
                ERRORS,
            ),
            names,
        )
        for number in range(n_channels)
    )
    return Raw(channels, calibrated, metadata, notes=notes)


def _refuse_no_values(tif: tifffile.TiffFile, path: Path) -> None:
    """Refuse pages that are no measured values: previews of Park, raw counts of JPK, pictures in false colours.

    Raises:
        InputError: With what the file is, and what to do.
    """
    tags = frozenset(tag.code for tag in tif.pages.first.tags)
    if is_park(tags):
        raise InputError(
            f"{path}: is a scan of Park Systems, whose page is a preview of 8 bit and whose values are in tags of its own; open it in "
            "Gwyddion and save it as .gwy"
        )
    if is_jpk(tags):
        raise InputError(
            f"{path}: is a scan of JPK, whose pages are raw counts with the scale in tags of its own; open it in Gwyddion and save it "
            "as .gwy, with all channels"
        )
    if tif.pages.first.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise InputError(
            f"{path}: is a picture in false colours (with a palette); export the measured values, not their picture"
        )


def _white(page: tifffile.TiffPage) -> int | None:
    """The largest value of a page whose 0 is white; none for other pages and for values that are no whole numbers from 0."""
    if page.photometric != tifffile.PHOTOMETRIC.MINISWHITE or np.dtype(page.dtype).kind != "u":
        return None
    return (1 << int(page.bitspersample)) - 1


def _shape(tif: tifffile.TiffFile, path: Path) -> tuple[str, tuple[int, ...]]:
    """Axes and shape of the images in a file; pages of one shape are frames."""
    series = tif.series
    shapes = {pages.shape for pages in series}
    if len(shapes) != 1:
        listed = ", ".join(" × ".join(map(str, shape)) for shape in sorted(shapes)) or "none"
        raise InputError(
            f"{path}: its pages have shapes {listed}; save frames of one shape in a separate file"
        )
    axes, shape = series[0].axes, series[0].shape
    if len(series) > 1:
        axes, shape = f"Q{axes}", (len(series), *shape)
    if "S" in axes:
        raise InputError(
            f"{path}: is a colour image; export the measured values, not their picture"
        )
    if not axes.endswith("YX"):
        raise InputError(
            f"{path}: has axes {axes}, but images (TYX or YX) are needed; export those"
        )
    return axes, tuple(int(n) for n in shape)


def refuse_incomplete(tif: tifffile.TiffFile, path: Path) -> None:
    """Refuse a file whose pages or pixels lie beyond its end."""
    size = path.stat().st_size
    ends = [
        series.dataoffset + series.nbytes for series in tif.series if series.dataoffset is not None
    ]
    for series in tif.series:
        if series.dataoffset is None:
            pages = [page for page in series.pages if page is not None]
            spans = [zip(p.dataoffsets, p.databytecounts, strict=True) for p in pages]
            ends += [start + n for span in spans for start, n in span]
    handle = tif.filehandle
    handle.seek(tif.pages.next_page_offset or 0)
    has_next = any(handle.read(8 if tif.is_bigtiff else 4)) and tif.pages.next_page_offset
    if has_next or max(ends, default=0) > size:
        raise InputError(
            f"{path}: has {size} bytes, but its pages continue beyond them; it is incomplete or "
            "still being written: copy it again"
        )


def _axes(tif: tifffile.TiffFile, sizes: dict[str, int]) -> dict[str, Axis]:
    """Calibrated axes by invae's names."""
    if tif.is_ome:
        steps = _ome_steps(str(tif.ome_metadata))
    elif tif.is_imagej:
        steps = _imagej_steps(tif)
    else:
        steps = _resolution(tif, "cm") if _tag(tif, "ResolutionUnit") == 3 else {}
        steps = {key: step for key, step in steps.items() if 0 < step[0] <= LARGEST_PIXEL_CM}
    axes = {}
    for letter, n in sizes.items():
        step = steps.get("T" if letter in _FRAME_AXES else letter)
        if step is not None:
            dim = dims.FRAME if letter in _FRAME_AXES else _DIMS[letter]
            axes[dim] = evenly_spaced(n, *step)
    return axes


def _ome_steps(text: str) -> dict[str, tuple[float, str]]:
    pixels = ElementTree.fromstring(text).find(".//{*}Pixels")
    steps = {}
    attributes = {} if pixels is None else pixels.attrib
    for letter, key, unit in (
        ("X", "PhysicalSizeX", "um"),
        ("Y", "PhysicalSizeY", "um"),
        ("T", "TimeIncrement", "s"),
    ):
        if key in attributes:
            steps[letter] = float(attributes[key]), attributes.get(f"{key}Unit", unit)
    return steps


def _imagej_steps(tif: tifffile.TiffFile) -> dict[str, tuple[float, str]]:
    metadata = tif.imagej_metadata or {}
    unit = str(metadata.get("unit", ""))
    steps = _resolution(tif, unit) if unit not in ("", "pixel") else {}
    if float(metadata.get("finterval", 0)) > 0:
        steps["T"] = float(metadata["finterval"]), str(metadata.get("tunit", "s"))
    return steps


def _resolution(tif: tifffile.TiffFile, unit: str) -> dict[str, tuple[float, str]]:
    """Size of a pixel from the resolution tags, which are pixels per unit as a fraction."""
    steps = {}
    for letter, tag in (("X", "XResolution"), ("Y", "YResolution")):
        if (fraction := _tag(tif, tag)) is not None:
            pixels, units = fraction
            steps[letter] = (units / pixels if pixels else 0.0), unit
    return steps


def _tag(tif: tifffile.TiffFile, name: str) -> Any:
    tag = tif.pages.first.tags.get(name)
    return None if tag is None else tag.value


def _read_pixels(
    path: Path, axes: str, shape: tuple[int, ...], channel: int, white: int | None, key: Key
) -> np.ndarray:
    """The pixels page by page; frames without pages of their own follow each other."""
    whole = iter(key[:-2])
    leading = [
        [channel] if axis == "C" else list(range(n)[next(whole)])
        for axis, n in zip(axes[:-2], shape[:-2], strict=True)
    ]
    numbers = [_flat(index, shape[:-2]) for index in product(*leading)]
    with _reopened(path) as tif:
        images = [_page(tif, number, shape, path)[key[-2:]] for number in numbers]
    sizes = [len(range(n)[k]) for n, k in zip(_without_channel(axes, shape), key, strict=True)]
    dtype = images[0].dtype if images else np.dtype(float)
    values = np.array(images, dtype=dtype).reshape(sizes)
    return values if white is None else dtype.type(white) - values


def _flat(index: Sequence[int], shape: Sequence[int]) -> int:
    return int(np.ravel_multi_index(tuple(index), tuple(shape))) if shape else 0


def _without_channel(axes: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for axis, n in zip(axes, shape, strict=True) if axis != "C")


def _page(tif: tifffile.TiffFile, number: int, shape: tuple[int, ...], path: Path) -> np.ndarray:
    several = len(tif.series) > 1
    series = tif.series[number if several else 0]
    position = 0 if several else number
    if series.dataoffset is not None:
        dtype = np.dtype(series.dtype).newbyteorder(tif.byteorder)
        offset = series.dataoffset + position * math.prod(shape[-2:]) * dtype.itemsize
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape[-2:])
    page = series.pages[position]
    if page is None:
        raise ValueError(f"page {position} is missing")
    return page.asarray()


READER = Reader(
    name="tiff",
    extensions=(".tif", ".tiff"),
    description="TIFF images and stacks (plain, ImageJ, OME)",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
    general=True,
)
