"""A writer of .ser and .emi, as FEI's TIA writes them (Boothroyd's description of the format)."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

CODES = {"u1": 1, "u2": 2, "u4": 3, "i1": 4, "i2": 5, "i4": 6, "f4": 7, "f8": 8, "c8": 9}
Dimension = tuple[int, float, float, str]
"""Size, position of the first element, step, unit."""


def write_ser(
    path: Path,
    elements: np.ndarray,
    *,
    scales: Sequence[tuple[float, float, int]],
    dimensions: Sequence[Dimension] | None = None,
    places: Sequence[tuple[float, float]] | None = None,
    new: bool = True,
    n_planned: int | None = None,
) -> Path:
    """Elements (element, row, column), the highest row first, or (element, channel); dimensions with the fastest first.

    Args:
        path: The file.
        elements: Values.
        scales: Position, step and number of the pixel at this position: of x and y, or of the energy.
        dimensions: Those along which the elements were recorded; one of their number if None.
        places: Place (x, y) of every element [m].
        new: Whether positions in the file have 64 bits.
        n_planned: Number of elements, if not all were recorded.
    """
    pictures = elements.ndim == 3
    n_planned = n_planned or len(elements)
    dimensions = [(n_planned, 0.0, 1.0, "")] if dimensions is None else dimensions
    place = "<Q" if new else "<I"
    tag_kind = 0x4152 if places is None else 0x4142
    head = struct.pack("<HHH", 0x4949, 0x0197, 0x0220 if new else 0x0210)
    head += struct.pack("<4I", 0x4122 if pictures else 0x4120, tag_kind, n_planned, len(elements))
    body = b"".join(_dimension(*dimension) for dimension in dimensions)
    start = len(head) + struct.calcsize(place) + 4 + len(body)
    blocks, starts, tag_starts = b"", [], []
    for number, element in enumerate(elements):
        starts.append(start + len(blocks))
        blocks += b"".join(struct.pack("<ddi", *scale) for scale in scales)
        blocks += struct.pack("<H", CODES[elements.dtype.str[1:]])
        blocks += struct.pack(f"<{element.ndim}I", *element.shape[::-1])
        blocks += np.ascontiguousarray(element[::-1] if pictures else element).tobytes()
        tag_starts.append(start + len(blocks))
        blocks += struct.pack("<HHI", tag_kind, 0, 1360000000 + number)
        blocks += b"" if places is None else struct.pack("<dd", *places[number])
    unused = [0] * (n_planned - len(elements))
    table = [*starts, *unused, *tag_starts, *unused]
    head += struct.pack(place, start + len(blocks)) + struct.pack("<I", len(dimensions)) + body
    path.write_bytes(head + blocks + b"".join(struct.pack(place, n) for n in table))
    return path


def _dimension(size: int, first: float, step: float, units: str) -> bytes:
    name = b"Position" if units else b"Number"
    numbers = struct.pack("<IddII", size, first, step, 0, len(name))
    return numbers + name + struct.pack("<I", len(units)) + units.encode()


def write_emi(path: Path, *settings: dict[str, str]) -> Path:
    """Settings of every .ser in the order of their numbers, between bytes of other things."""
    data = b"JK\0\2" + bytes(range(256))
    for own in settings:
        entries = "".join(
            f"<Data><Label>{label}</Label><Value>{value}</Value><Unit>{unit}</Unit></Data>"
            for label, value, unit in (
                ("Mode", own.get("mode", "STEM nP SA Zoom Image"), ""),
                ("High tension", own.get("energy", "200"), "kV"),
                ("Magnification", "225000", "x"),
            )
        )
        data += (
            f"<ObjectInfo><Uuid>7</Uuid><AcquireDate>{own.get('date', '')}</AcquireDate>"
            f"<ExperimentalDescription><Root>{entries}</Root></ExperimentalDescription>"
            "<AcquireInfo><DwellTimePath>1e-6</DwellTimePath></AcquireInfo></ObjectInfo>"
        ).encode() + b"\0\xff"
    path.write_bytes(data)
    return path
