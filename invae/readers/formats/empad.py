"""EMPAD detectors: 128 × 128 pixels of 32 bit in a .raw, described by an .xml that names the .raw."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.calibration import calibrated
from invae.readers.formats import rosettasciio
from invae.readers.formats.raw_frames import Frames, Part, Present, declared_frames
from invae.readers.raw import Channel, Raw, Reader

SIDE, ROWS = 128, 130
"""Pixels along a pattern, and rows of a stored frame: the last two rows hold no pixels."""
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
        element = ElementTree.parse(description).getroot().find("raw_file")
    except ElementTree.ParseError:
        return None
    return None if element is None else element.get("filename")


def _descriptions(pixels: Path) -> Iterator[Path]:
    """The .xml files that describe a .raw; the one with the same name first."""
    candidates = sorted(pixels.parent.glob("*.xml"), key=lambda xml: (xml.stem != pixels.stem, xml))
    return (xml for xml in candidates if xml.is_file() and _raw_named_by(xml) == pixels.name)


def _pair(path: Path) -> tuple[Path, Path]:
    """The .xml and the .raw of a recording, from either of them.

    Raises:
        InputError: If the other one is missing.
    """
    if path.suffix.lower() == ".raw":
        description = next(_descriptions(path), None)
        if description is None:
            raise InputError(
                f"{path}: no .xml in its folder describes it; copy the .xml of the detector there"
            )
        return description, path
    name = _raw_named_by(path) or ""
    if not name or Path(name).name != name:
        raise InputError(
            f"{path}: names {name!r} as its pixels, which is not the name of a file in the same "
            "folder; correct the .xml"
        )
    if not path.with_name(name).is_file():
        raise InputError(f"{path}: its pixels {name} are missing; copy them into the same folder")
    return path, path.with_name(name)


def _companions(path: Path) -> tuple[Path, ...]:
    suffix = path.suffix.lower()
    if suffix not in (".raw", ".xml") or not path.is_file():
        return ()
    if suffix == ".raw":
        return tuple(_descriptions(path))[:1]
    name = _raw_named_by(path) or ""
    is_file = name and Path(name).name == name and path.with_name(name).is_file()
    return (path.with_name(name),) if is_file else ()


def _read(path: Path) -> Raw:
    description, pixels = _pair(path)
    signals, notes = PLUGIN.signals_and_warnings(description)
    metadata = rosettasciio.metadata_of(signals[0])
    described = {str(axis["name"]): axis for axis in signals[0]["axes"]}
    sizes = {
        name: int(axis["size"]) for name, axis in described.items()
    }  # axes of length one are missing
    shape = (sizes.get("scan_y", 1), sizes.get("scan_x", 1))
    is_series = "series_count" in sizes
    n_frames = sizes["series_count"] if is_series else shape[0] * shape[1]
    present = _present(description, pixels, n_frames)
    frames = Frames((Part(pixels, present.n_frames, 0),), (SIDE, SIDE), np.dtype("<f4"), STRIDE)
    axes = {
        dim: rosettasciio.axis_of(dim, described[name])
        for name, dim in _DIMS.items()
        if name in described
    }
    channel = Channel("pattern", frames.pixels(path, ERRORS), (dims.FRAME, dims.K_Y, dims.K_X))
    return Raw(
        (channel,),
        calibrated(axes),
        metadata,
        notes=(*notes, *present.notes),
        beam=rosettasciio.beam_of(metadata),
        scan_shape=None if is_series else shape,
        scan_remark=f"{description.name} describes a series, not a scan" if is_series else "",
        unfinished=present.message,
    )


def _present(description: Path, pixels: Path, n_frames: int) -> Present:
    """The described patterns that are in the file of pixels.

    Raises:
        InputError: If there are more than described, or none.
    """
    needed, size = n_frames * STRIDE, pixels.stat().st_size
    source = f"{description.name} ({n_frames} patterns)"
    present = declared_frames(pixels, n_frames, head=0, stride=STRIDE, source=source)
    if size > needed:
        raise InputError(
            f"{pixels}: has {size} bytes, but {source} requires {needed}; the two files do not "
            "belong together: use the right .xml"
        )
    return present


READER = Reader(
    name="empad",
    extensions=(".raw",),
    description="EMPAD patterns: a .raw with its .xml, by either of them (needs invae[em])",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
    companions=_companions,
)
