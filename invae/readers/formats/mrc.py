"""MRC: frames behind a header of 1,024 bytes; 4D-STEM where Direct Electron's program describes it in a text beside it.

Source: the MRC2014 format, J. Struct. Biol. 192, 146 (2015), doi:10.1016/j.jsb.2015.04.002, table 1; of the extended header of
Thermo Fisher's programs the size of a pixel alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.calibration import axis
from invae.readers.formats.raw_frames import Frames, Part, expect_bytes
from invae.readers.raw import Axis, Channel, Raw, Reader
from invae.readers.scan_shape import IMAGES, IN_A_ROW, labelled

HEADER_BYTES, MARK = 1024, b"MAP"
TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
"""By the mode in the header."""
BIG_ENDIAN = 0x11
"""First byte of the machine's stamp."""
NM_PER_ANGSTROM = 0.1
FEI_BYTES, FEI_PIXEL = 128 * 1024, 11
"""Length of their extended header, and the place of the pixel's size [m] among its numbers."""
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
        """Length of the header that follows [bytes]."""
        return int(self.words[23])

    def step(self, place: int) -> float:
        """Size of a pixel along x, y or z (0, 1, 2) [nm]; 0 if it is not told."""
        n = int(self.words[7 + place])
        return float(self.lengths[10 + place]) / n * NM_PER_ANGSTROM if n > 0 else 0.0


def _recognises(path: Path, head: bytes) -> bool:
    marked = head[208:211] == MARK
    named = path.suffix.lower() == ".mrc" and len(head) > 212 and Header(head[:512]).mode in TYPES
    return marked or named


def _beside(path: Path) -> tuple[Path, ...]:
    """The text that Direct Electron's program writes beside a movie."""
    found = _MOVIE.fullmatch(path.name)
    return (
        () if found is None else tuple(sorted(path.parent.glob(f"{found['scan']}_*info.txt")))[:1]
    )


def _read(path: Path) -> Raw:
    with path.open("rb") as file:
        header = Header(file.read(HEADER_BYTES))
        if len(header.head) < HEADER_BYTES:
            raise InputError(
                f"{path}: has {len(header.head)} bytes, less than its header; copy it again"
            )
        extended = file.read(header.extended) if header.extended == FEI_BYTES else b""
    frames = _frames(path, header)
    told = _described(path)
    scanned = told.get("Scan - Enable") == "Enable"
    names = IN_A_ROW if scanned else IMAGES
    shape = _scan_shape(told) if scanned else None
    axes = _scan_axes(told) if scanned else _image_axes(header, extended, frames.shape)
    channel = Channel("pattern" if scanned else "image", frames.pixels(path, ERRORS), names)
    return Raw(
        labelled([channel]),
        axes,
        told,
        scan_shape=shape,
        scan_remark="" if shape else "its .txt tells no size of the scan",
    )


def _frames(path: Path, header: Header) -> Frames:
    """Where the frames lie, all of which must be there."""
    n_frames, rows, columns = header.shape
    shape = f"{n_frames} × {rows} × {columns}"
    if header.mode not in TYPES or min(header.shape) < 1 or header.extended < 0:
        raise InputError(
            f"{path}: its header promises {shape} pixels of mode {header.mode}: there is none that "
            "can be read; export it again as real numbers"
        )
    dtype = np.dtype(f"{header.order}{TYPES[header.mode]}")
    start, stride = HEADER_BYTES + header.extended, rows * columns * dtype.itemsize
    expect_bytes(path, start + n_frames * stride, told_by=f"its header ({shape})")
    return Frames((Part(path, n_frames, start),), (rows, columns), dtype, stride)


def _image_axes(header: Header, extended: bytes, shape: tuple[int, int]) -> dict[str, Axis]:
    """The axes of images, if their pixels have a size."""
    steps = [header.step(1), header.step(0)]
    if extended:
        steps = [float(np.frombuffer(extended[:52], f"{header.order}f4")[FEI_PIXEL]) * 1e9] * 2
    named = zip((dims.Y, dims.X), shape, steps, strict=True)
    found = {dim: axis(dim, n, step, "nm") for dim, n, step in named}
    return {dim: one for dim, one in found.items() if one is not None}


def _described(path: Path) -> dict[str, str]:
    """What the text beside a movie says: lines of `key = value`."""
    lines = [
        line.partition("=")
        for text in _beside(path)
        for line in text.read_text("latin-1").splitlines()
    ]
    told = {key.strip(): value.strip() for key, equals, value in lines if equals}
    if told.get("Scan - Type", "Raster") != "Raster":
        raise InputError(
            f"{path}: its scan is of the type {told['Scan - Type']}, and only Raster is read; export "
            "the patterns in the order of the image"
        )
    return told


def _scan_shape(told: Mapping[str, str]) -> tuple[int, int] | None:
    kind = "ROI Size" if told.get("Scan - ROI Enable") == "Enable" else "Size"
    rows, columns = (int(told.get(f"Scan - {kind} {letter}", "0")) for letter in "YX")
    return (rows, columns) if min(rows, columns) > 0 else None


def _scan_axes(told: Mapping[str, str]) -> dict[str, Axis]:
    """The calibrated axes of a scan; steps that are not known are told as 1 or below 0."""
    rows, columns = _scan_shape(told) or (2, 2)
    detector = [int(told.get(f"Image Size {letter} (pixels)", "0")) for letter in "YX"]
    sizes = dict(zip(_STEPS, (max(rows, 2), max(columns, 2), *detector), strict=True))
    steps = {dim: float(told.get(key, "-1")) for dim, (key, _) in _STEPS.items()}
    found = {
        dim: axis(dim, sizes[dim], steps[dim], _STEPS[dim][1])
        for dim in _STEPS
        if steps[dim] > 0 and steps[dim] != 1 and sizes[dim] > 0
    }
    return {dim: one for dim, one in found.items() if one is not None}


READER = Reader(
    name="mrc",
    extensions=(".mrc",),
    description="MRC stacks, and 4D-STEM of Direct Electron with its .txt",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
    beside=_beside,
)
