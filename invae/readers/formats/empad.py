"""EMPAD detectors: 128 × 128 pixels of 32 bit in a .raw, described by an .xml that names it."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.formats import rosettasciio
from invae.readers.formats.raw_frames import Frames, Part, expect_bytes
from invae.readers.raw import Channel, Raw, Reader

SIDE, ROWS = 128, 130
"""Pixels of a pattern, and rows of a frame: the last two hold no pixels."""
STRIDE = SIDE * ROWS * 4
LARGEST_XML = 4 << 20
ERRORS = (*rosettasciio.ERRORS, ElementTree.ParseError)
PLUGIN = rosettasciio.Plugin("empad")
_DIMS = {"scan_y": dims.SCAN_Y, "scan_x": dims.SCAN_X, "height": dims.K_Y, "width": dims.K_X}


def _recognises(path: Path, head: bytes) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".raw":
        return not head.startswith(b"<")
    return suffix == ".xml" and _raw_named_by(path) is not None


def _raw_named_by(description: Path) -> str | None:
    """The name of the .raw that an .xml describes; none if it describes none."""
    if description.stat().st_size > LARGEST_XML:
        return None
    try:
        found = ElementTree.parse(description).getroot().find("raw_file")
    except ElementTree.ParseError:
        return None
    return None if found is None else found.get("filename")


def _descriptions(pixels: Path) -> Iterator[Path]:
    """The .xml files that describe a .raw, that of its own name first."""
    beside = sorted(pixels.parent.glob("*.xml"), key=lambda one: (one.stem != pixels.stem, one))
    return (one for one in beside if _raw_named_by(one) == pixels.name)


def _pair(path: Path) -> tuple[Path, Path]:
    """The .xml and the .raw of a recording, whichever was given.

    Raises:
        InputError: If the other one is missing.
    """
    if path.suffix.lower() == ".raw":
        description = next(_descriptions(path), None)
        if description is None:
            raise InputError(
                f"{path}: no .xml beside it names it; copy the .xml that the detector wrote with it"
            )
        return description, path
    name = _raw_named_by(path) or ""
    if not name or Path(name).name != name:
        raise InputError(
            f"{path}: its pixels are in {name!r}, which is no name of a file beside it; correct "
            "the .xml"
        )
    if not path.with_name(name).is_file():
        raise InputError(f"{path}: its pixels are in {name}, which is missing; copy it beside it")
    return path, path.with_name(name)


def _beside(path: Path) -> tuple[Path, ...]:
    suffix = path.suffix.lower()
    if suffix not in (".raw", ".xml") or not path.is_file():
        return ()
    if suffix == ".raw":
        return tuple(_descriptions(path))[:1]
    name = _raw_named_by(path) or ""
    there = name and Path(name).name == name and path.with_name(name).is_file()
    return (path.with_name(name),) if there else ()


def _read(path: Path) -> Raw:
    description, pixels = _pair(path)
    signals, notes = PLUGIN.told(description)
    told = rosettasciio.metadata_of(signals[0])
    axes = {str(one["name"]): one for one in signals[0]["axes"]}
    sizes = {name: int(one["size"]) for name, one in axes.items()}  # lengths of one are left out
    shape = (sizes.get("scan_y", 1), sizes.get("scan_x", 1))
    series = "series_count" in sizes
    n_frames = sizes["series_count"] if series else shape[0] * shape[1]
    _agree(description, pixels, n_frames)
    frames = Frames((Part(pixels, n_frames, 0),), (SIDE, SIDE), np.dtype("<f4"), STRIDE)
    found = {
        dim: rosettasciio.axis_of(dim, axes[name]) for name, dim in _DIMS.items() if name in axes
    }
    channel = Channel("pattern", frames.pixels(path, ERRORS), (dims.FRAME, dims.K_Y, dims.K_X))
    return Raw(
        (channel,),
        {dim: one for dim, one in found.items() if one is not None},
        told,
        notes=notes,
        beam=rosettasciio.beam_of(told),
        scan_shape=None if series else shape,
        scan_remark=f"{description.name} tells a series, no scan" if series else "",
    )


def _agree(description: Path, pixels: Path, n_frames: int) -> None:
    """Refuse pixels that are more or fewer than described."""
    needed, size = n_frames * STRIDE, pixels.stat().st_size
    told_by = f"{description.name} ({n_frames} patterns)"
    expect_bytes(pixels, needed, told_by=told_by)
    if size != needed:
        raise InputError(
            f"{pixels}: has {size} bytes, {told_by} promises {needed}; the two do not belong "
            "together: put the right .xml beside it"
        )


READER = Reader(
    name="empad",
    extensions=(".raw",),
    description="EMPAD patterns: a .raw with its .xml, by either of them (needs invae[em])",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
    beside=_beside,
)
