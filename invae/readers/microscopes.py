"""Formats that rosettasciio reads whole: Gatan's and Velox."""

from functools import partial
from pathlib import Path

from invae.readers import hdf5, rosetta
from invae.readers.frames import expect_bytes
from invae.readers.raw import Raw, Reader

ERRORS = (*rosetta.ERRORS, *hdf5.ERRORS)
_DM_HEADERS = {3: (4, 12), 4: (8, 16)}
"""By version: bytes of the size that the header tells, and bytes that it does not count."""


def _is_dm(path: Path, head: bytes) -> bool:
    """Version 3 or 4, then the size of what follows, then the byte order."""
    version = int.from_bytes(head[:4], "big")
    if version not in _DM_HEADERS or len(head) < 16:
        return False
    place = 4 + _DM_HEADERS[version][0]
    return int.from_bytes(head[place : place + 4], "big") in (0, 1)


def _read_dm(path: Path) -> Raw:
    with path.open("rb") as file:
        head = file.read(16)
    width, uncounted = _DM_HEADERS[int.from_bytes(head[:4], "big")]
    expect_bytes(path, int.from_bytes(head[4 : 4 + width], "big") + uncounted, told_by="its header")
    return rosetta.read_raw(path, plugin=rosetta.Plugin("digitalmicrograph"))


def _is_velox(path: Path, head: bytes) -> bool:
    return head.startswith(hdf5.SIGNATURE) and {"Data", "Version"} <= hdf5.top_names(path)


DM = Reader(
    name="dm",
    extensions=(".dm3", ".dm4"),
    description="Gatan: patterns, images, stacks, spectrum images (needs invae[em])",
    recognises=_is_dm,
    read=_read_dm,
    errors=ERRORS,
)
VELOX = Reader(
    name="velox",
    extensions=(".emd",),
    description="Velox images and stacks (needs invae[em])",
    recognises=_is_velox,
    read=partial(rosetta.read_raw, plugin=rosetta.Plugin("emd", (("select_type", "images"),))),
    errors=ERRORS,
)
