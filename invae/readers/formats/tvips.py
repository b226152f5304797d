"""TVIPS streams (.tvips): frames of a camera in numbered parts; the general header precedes the first frame."""

import re
from itertools import count
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.calibration import axis, calibrated
from invae.readers.formats import rosettasciio
from invae.readers.formats.raw_frames import Frames, Part, whole_frames
from invae.readers.raw import Axis, Beam, Channel, Raw, Reader

MAGIC = b"TVIPS"
"""Fills the spare bytes of the header in streams of the camera's own program."""
HEADER_BYTES = 256
FIELDS = ("size", "version", "dimx", "dimy", "bitsperpixel", "offsetx", "offsety", "binx", "biny")
FIELDS += ("pixelsize", "ht", "magtotal", "frameheaderbytes")
_NAME = re.compile(r"(?P<stem>.+)_(?P<number>\d{3})\.tvips", re.IGNORECASE)
HIGHEST_KEV = 3000
"""Larger values are volts: no microscope has such an energy."""
PLUGIN = rosettasciio.Plugin("tvips")


def _recognises(path: Path, head: bytes) -> bool:
    size, version = np.frombuffer(head[:8].ljust(8, b"\0"), "<u4").tolist()
    named = path.suffix.lower() == ".tvips"
    return size == HEADER_BYTES and version in (1, 2) and (named or MAGIC in head[:HEADER_BYTES])


def _part(path: Path, number: int) -> Path:
    match = _NAME.fullmatch(path.name)
    return path if match is None else path.with_name(f"{match['stem']}_{number:03}{path.suffix}")


def _companions(path: Path) -> tuple[Path, ...]:
    """The parts that follow the first one."""
    match = _NAME.fullmatch(path.name)
    if match is None or int(match["number"]):
        return ()
    parts = path.parent.glob(f"{_escaped(match['stem'])}_[0-9][0-9][0-9]{path.suffix}")
    return tuple(sorted(part for part in parts if part != path))


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)


def _read(path: Path) -> Raw:
    parts = _parts(path)
    header = _header(path)
    frames = _frames(parts, header)
    signal = PLUGIN.signals_and_warnings(path)[0][0]
    diffracted = "diffraction" in str(signal["metadata"].get("Signal", ""))
    names = (dims.K_Y, dims.K_X) if diffracted else (dims.Y, dims.X)
    step, units = float(header["pixelsize"]), "1/nm" if diffracted else "nm"
    axes: dict[str, Axis | None] = {
        dim: axis(dim, n, step, units) for dim, n in zip(names, frames.shape, strict=True)
    }
    if not diffracted:
        axes[dims.FRAME] = rosettasciio.axis_of(dims.FRAME, signal["axes"][0])
    high_tension = float(header["ht"])
    energy = high_tension / 1e3 if high_tension > HIGHEST_KEV else high_tension
    return Raw(
        (Channel("pattern" if diffracted else "image", frames.pixels(path, rosettasciio.ERRORS),
                 (dims.FRAME, *names), "count"),),
        calibrated(axes),
        rosettasciio.metadata_of(signal),
        beam=Beam(energy or None),
        scan_remark="a .tvips stream does not hold it",
    )  # fmt: skip


def _parts(path: Path) -> list[Path]:
    """All parts of the stream; their numbers must follow each other without a gap."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise InputError(
            f"{path}: parts of a .tvips stream must be called NAME_000.tvips, NAME_001.tvips, …; "
            "rename it"
        )
    if int(match["number"]):
        raise InputError(
            f"{path}: is part {match['number']} of a stream; give the first, {_part(path, 0).name}"
        )
    present = {path, *_companions(path)}
    n_parts = next(n for n in count() if _part(path, n) not in present)
    if len(present) > n_parts:
        raise InputError(
            f"{path}: part {_part(path, n_parts).name} of the stream is missing, but later parts "
            "exist; copy it into the same folder"
        )
    return [_part(path, n) for n in range(n_parts)]


def _header(path: Path) -> dict[str, int]:
    """The numbers of the general header at the beginning of the first part."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        raise InputError(f"{path}: has {len(head)} bytes, fewer than its header; copy it again")
    return dict(zip(FIELDS, np.frombuffer(head, "<u4").tolist(), strict=False))


def _frames(parts: list[Path], header: dict[str, int]) -> Frames:
    """The positions of the frames in all parts."""
    shape = (header["dimy"], header["dimx"])
    dtype = np.dtype(f"<u{header['bitsperpixel'] // 8 or 1}")
    head = header["frameheaderbytes"] if header["version"] == 2 else 12
    if min(shape) < 1 or dtype.itemsize not in (1, 2, 4):
        raise InputError(
            f"{parts[0]}: its header declares frames of {shape[0]} × {shape[1]} pixels of "
            f"{header['bitsperpixel']} bit; it is damaged: copy it again"
        )
    stride = head + shape[0] * shape[1] * dtype.itemsize
    before = [header["size"], *(0 for _ in parts[1:])]
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
    description="TVIPS streams; give the first part (needs invae[em])",
    recognises=_recognises,
    read=_read,
    errors=rosettasciio.ERRORS,
    companions=_companions,
)
