"""MRC: frames after a header of 1,024 bytes; 4D-STEM if Direct Electron's program describes it in a text file in the same folder.

Source: the MRC2014 format, J. Struct. Biol. 192, 146 (2015), doi:10.1016/j.jsb.2015.04.002, table 1. Of the extended header of
Thermo Fisher's programs only the size of a pixel is read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.calibration import axis, calibrated
from invae.readers.formats.raw_frames import Frames, Part, expect_bytes
from invae.readers.raw import Axis, Channel, Raw, Reader
from invae.readers.scan_shape import IMAGES, SEQUENCE, named_by_kind

HEADER_BYTES, MARK = 1024, b"MAP"
TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
"""Types of the values by the mode in the header."""
BIG_ENDIAN = 0x11
"""First byte of the machine stamp of big-endian files."""
NM_PER_ANGSTROM = 0.1
FEI_BYTES, FEI_PIXEL = 128 * 1024, 11
"""Length of the extended header of Thermo Fisher's programs, and the index of the pixel size [m] among its numbers."""
ERRORS = (ValueError, IndexError, KeyError, TypeError)
_MOVIE = re.compile(r"(?P<scan>\d{8}_\d+)_.*movie\.mrc", re.IGNORECASE)
_STEPS = {
    dims.SCAN_Y: ("Specimen Pixel Size Y (nanometers)", "nm"),
    dims.SCAN_X: ("Specimen Pixel Size X (nanometers)", "nm"),
    dims.K_Y: ("Diffraction Pixel Size Y", "1/nm"),
    dims.K_X: ("Diffraction Pixel Size X", "1/nm"),
}


@dataclass(frozen=True)
class Header:
    """The numbers at the beginning of a file."""

    head: bytes

    @cached_property
    def order(self) -> str:
        return ">" if self.head[212] == BIG_ENDIAN else "<"

    @cached_property
    def words(self) -> np.ndarray:
        return np.frombuffer(self.head[:1024], f"{self.order}i4")

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.frombuffer(self.head[:1024], f"{self.order}f4")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        columns, rows, frames = self.words[:3].tolist()
        return frames, rows, columns

    @property
    def mode(self) -> int:
        return int(self.words[3])

    @property
    def extended(self) -> int:
        """Length of the extended header [bytes]."""
        return int(self.words[23])

    def step(self, axis: int) -> float:
        """Size of a pixel along x, y or z (0, 1, 2) [nm]; 0 if unknown, which some programs write as a negative cell."""
        n, cell = int(self.words[7 + axis]), float(self.lengths[10 + axis])
        return cell / n * NM_PER_ANGSTROM if n > 0 and cell > 0 else 0.0


def _recognises(path: Path, head: bytes) -> bool:
    has_mark = head[208:211] == MARK
    named = path.suffix.lower() == ".mrc" and len(head) > 212 and Header(head[:512]).mode in TYPES
    return has_mark or named


def _companions(path: Path) -> tuple[Path, ...]:
    """The text file that Direct Electron's program writes next to a movie."""
    match = _MOVIE.fullmatch(path.name)
    if match is None:
        return ()
    return tuple(sorted(path.parent.glob(f"{match['scan']}_*info.txt")))[:1]


def _read(path: Path) -> Raw:
    with path.open("rb") as file:
        header = Header(file.read(HEADER_BYTES))
        if len(header.head) < HEADER_BYTES:
            raise InputError(
                f"{path}: has {len(header.head)} bytes, fewer than its header; copy it again"
            )
        extended = file.read(header.extended) if header.extended == FEI_BYTES else b""
    frames = _frames(path, header)
    description = _description(path)
    scanned = description.get("Scan - Enable") == "Enable"
    names = SEQUENCE if scanned else IMAGES
    shape = _scan_shape(description) if scanned else None
    axes = _scan_axes(description) if scanned else _image_axes(header, extended, frames.shape)
    channel = Channel("pattern" if scanned else "image", frames.pixels(path, ERRORS), names)
    return Raw(
        named_by_kind([channel]),
        axes,
        description,
        scan_shape=shape,
        scan_remark="" if shape else "its .txt does not give the size of the scan",
    )


def _frames(path: Path, header: Header) -> Frames:
    """The positions of the frames; all of them must be in the file."""
    n_frames, rows, columns = header.shape
    shape = f"{n_frames} × {rows} × {columns}"
    if header.mode not in TYPES or min(header.shape) < 1 or header.extended < 0:
        raise InputError(
            f"{path}: its header declares {shape} pixels of mode {header.mode}, which cannot be "
            "read; export it again as real numbers"
        )
    dtype = np.dtype(f"{header.order}{TYPES[header.mode]}")
    start, stride = HEADER_BYTES + header.extended, rows * columns * dtype.itemsize
    expect_bytes(path, start + n_frames * stride, source=f"its header ({shape})")
    return Frames((Part(path, n_frames, start),), (rows, columns), dtype, stride)


def _image_axes(header: Header, extended: bytes, shape: tuple[int, int]) -> dict[str, Axis]:
    """The axes of images, if their pixels have a size."""
    steps = [header.step(1), header.step(0)]
    if extended:
        steps = [float(np.frombuffer(extended[:52], f"{header.order}f4")[FEI_PIXEL]) * 1e9] * 2
    described = zip((dims.Y, dims.X), shape, steps, strict=True)
    return calibrated({dim: axis(dim, n, step, "nm") for dim, n, step in described})


def _description(path: Path) -> dict[str, str]:
    """The text file of a movie: lines of `key = value`; empty if there is none."""
    lines = [
        line.partition("=")
        for text in _companions(path)
        for line in text.read_text("latin-1").splitlines()
    ]
    description = {key.strip(): value.strip() for key, equals, value in lines if equals}
    if description.get("Scan - Type", "Raster") != "Raster":
        raise InputError(
            f"{path}: its scan has the type {description['Scan - Type']}, but only Raster is read; "
            "export the patterns in the order of the image"
        )
    return description


def _scan_shape(description: Mapping[str, str]) -> tuple[int, int] | None:
    kind = "ROI Size" if description.get("Scan - ROI Enable") == "Enable" else "Size"
    rows, columns = (int(description.get(f"Scan - {kind} {letter}", "0")) for letter in "YX")
    return (rows, columns) if min(rows, columns) > 0 else None


def _scan_axes(description: Mapping[str, str]) -> dict[str, Axis]:
    """The calibrated axes of a scan; the file marks unknown steps by 1 or a negative number."""
    rows, columns = _scan_shape(description) or (2, 2)
    detector = [int(description.get(f"Image Size {letter} (pixels)", "0")) for letter in "YX"]
    sizes = dict(zip(_STEPS, (max(rows, 2), max(columns, 2), *detector), strict=True))
    steps = {dim: float(description.get(key, "-1")) for dim, (key, _) in _STEPS.items()}
    return calibrated({
        dim: axis(dim, sizes[dim], steps[dim], _STEPS[dim][1])
        for dim in _STEPS
        if steps[dim] > 0 and steps[dim] != 1 and sizes[dim] > 0
    })  # fmt: skip


READER = Reader(
    name="mrc",
    extensions=(".mrc",),
    description="MRC stacks, and 4D-STEM of Direct Electron with its .txt",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
    companions=_companions,
)
