"""TVIPS streams (.tvips): frames of a camera in numbered parts, the general header before the first one."""

import re
from itertools import count
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.calibration import axis
from invae.readers.formats import rosettasciio
from invae.readers.formats.raw_frames import Frames, Part, whole_frames
from invae.readers.raw import Axis, Beam, Channel, Raw, Reader

MAGIC = b"TVIPS"
"""Fills the header's spare bytes in streams of the camera's own program."""
HEADER_BYTES = 256
FIELDS = ("size", "version", "dimx", "dimy", "bitsperpixel", "offsetx", "offsety", "binx", "biny")
FIELDS += ("pixelsize", "ht", "magtotal", "frameheaderbytes")
_NAME = re.compile(r"(?P<stem>.+)_(?P<number>\d{3})\.tvips", re.IGNORECASE)
HIGHEST_KEV = 3000
"""Larger numbers are volts: no microscope goes so far."""
PLUGIN = rosettasciio.Plugin("tvips")


def _recognises(path: Path, head: bytes) -> bool:
    size, version = np.frombuffer(head[:8].ljust(8, b"\0"), "<u4").tolist()
    named = path.suffix.lower() == ".tvips"
    return size == HEADER_BYTES and version in (1, 2) and (named or MAGIC in head[:HEADER_BYTES])


def _part(path: Path, number: int) -> Path:
    found = _NAME.fullmatch(path.name)
    return path if found is None else path.with_name(f"{found['stem']}_{number:03}{path.suffix}")


def _beside(path: Path) -> tuple[Path, ...]:
    """The parts that follow the first one."""
    found = _NAME.fullmatch(path.name)
    if found is None or int(found["number"]):
        return ()
    parts = path.parent.glob(f"{_escaped(found['stem'])}_[0-9][0-9][0-9]{path.suffix}")
    return tuple(sorted(part for part in parts if part != path))


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)


def _read(path: Path) -> Raw:
    parts = _parts(path)
    told = _header(path)
    frames = _frames(parts, told)
    signal = PLUGIN.told(path)[0][0]
    diffracted = "diffraction" in str(signal["metadata"].get("Signal", ""))
    names = (dims.K_Y, dims.K_X) if diffracted else (dims.Y, dims.X)
    step, units = float(told["pixelsize"]), "1/nm" if diffracted else "nm"
    found: dict[str, Axis | None] = {
        dim: axis(dim, n, step, units) for dim, n in zip(names, frames.shape, strict=True)
    }
    if not diffracted:
        found[dims.FRAME] = rosettasciio.axis_of(dims.FRAME, signal["axes"][0])
    high_tension = float(told["ht"])
    energy = high_tension / 1e3 if high_tension > HIGHEST_KEV else high_tension
    return Raw(
        (Channel("pattern" if diffracted else "image", frames.pixels(path, rosettasciio.ERRORS),
                 (dims.FRAME, *names), "count"),),
        {dim: one for dim, one in found.items() if one is not None},
        rosettasciio.metadata_of(signal),
        beam=Beam(energy or None),
        scan_remark="a .tvips stream does not tell it",
    )  # fmt: skip


def _parts(path: Path) -> list[Path]:
    """All parts of the stream, which must be there one after the other."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise InputError(f"{path}: the parts of a .tvips stream are called NAME_000.tvips and on")
    if int(found["number"]):
        raise InputError(
            f"{path}: is part {found['number']} of a stream; give the first, {_part(path, 0).name}"
        )
    there = {path, *_beside(path)}
    numbers = next(n for n in count() if _part(path, n) not in there)
    if len(there) > numbers:
        raise InputError(
            f"{path}: part {_part(path, numbers).name} of the stream is missing, later ones are "
            "there; copy it beside them"
        )
    return [_part(path, n) for n in range(numbers)]


def _header(path: Path) -> dict[str, int]:
    """The numbers of the general header, which is at the beginning of the first part."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        raise InputError(f"{path}: has {len(head)} bytes, less than its header; copy it again")
    return dict(zip(FIELDS, np.frombuffer(head, "<u4").tolist(), strict=False))


def _frames(parts: list[Path], told: dict[str, int]) -> Frames:
    """Where the frames of all parts lie."""
    shape, dtype = (told["dimy"], told["dimx"]), np.dtype(f"<u{told['bitsperpixel'] // 8 or 1}")
    head = told["frameheaderbytes"] if told["version"] == 2 else 12
    if min(shape) < 1 or dtype.itemsize not in (1, 2, 4):
        raise InputError(
            f"{parts[0]}: its header promises frames of {shape[0]} × {shape[1]} pixels of "
            f"{told['bitsperpixel']} bit; it is damaged: copy it again"
        )
    stride = head + shape[0] * shape[1] * dtype.itemsize
    before = [told["size"], *(0 for _ in parts[1:])]
    return Frames(
        tuple(
            Part(part, whole_frames(part, head=start, stride=stride), start + head)
            for part, start in zip(parts, before, strict=True)
        ),
        shape,
        dtype,
        stride,
    )


READER = Reader(
    name="tvips",
    extensions=(".tvips",),
    description="TVIPS streams, by the first of their parts (needs invae[em])",
    recognises=_recognises,
    read=_read,
    errors=rosettasciio.ERRORS,
    beside=_beside,
)
