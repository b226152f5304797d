"""Tags of the first page of a TIFF file, by which the makers of instruments are told apart."""

import struct
from pathlib import Path

PARK = frozenset({50432, 50434, 50435})
"""Tags of Park Systems: magic number, values, header."""
JPK = frozenset({32848, 32850, 32896})
"""Tags of a channel of JPK: its key, its name, number of its scales."""
JPK_GRID = frozenset({32834, 32835})
"""Tags of the first page of JPK, which is a preview: width and height of the scan."""
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ENTRY_BYTES = 12


def first_tags(path: Path) -> frozenset[int]:
    """Codes of the tags of the first page; none if the file is no TIFF, or damaged."""
    with path.open("rb") as file:
        head = file.read(8)
        order = _ORDERS.get(head[:4])
        if order is None or len(head) < 8:
            return frozenset()
        file.seek(struct.unpack(f"{order}I", head[4:])[0])
        count = file.read(2)
        n_entries = struct.unpack(f"{order}H", count)[0] if len(count) == 2 else 0
        entries = file.read(n_entries * _ENTRY_BYTES)
    whole = range(0, len(entries) - _ENTRY_BYTES + 1, _ENTRY_BYTES)
    return frozenset(struct.unpack_from(f"{order}H", entries, start)[0] for start in whole)


def is_park(tags: frozenset[int]) -> bool:
    """Whether a page with these tags is of Park Systems."""
    return bool(tags & PARK)


def is_jpk(tags: frozenset[int]) -> bool:
    """Whether a page with these tags is of JPK."""
    return bool(tags & JPK) or tags >= JPK_GRID
