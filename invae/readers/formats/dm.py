"""Gatan's Digital Micrograph (.dm3, .dm4): patterns, images, stacks and spectrum images, by rosettasciio."""

from pathlib import Path

from invae.readers.formats import rosettasciio
from invae.readers.formats.raw_frames import expect_bytes
from invae.readers.raw import Raw, Reader

_HEADERS = {3: (4, 12), 4: (8, 16)}
"""By version: length of the field that holds the size [bytes], and bytes that this size does not count."""


def _recognises(path: Path, head: bytes) -> bool:
    """Whether it begins with version 3 or 4, the size of the content, and the byte order."""
    version = int.from_bytes(head[:4], "big")
    if version not in _HEADERS or len(head) < 16:
        return False
    start = 4 + _HEADERS[version][0]
    return int.from_bytes(head[start : start + 4], "big") in (0, 1)


def _read(path: Path) -> Raw:
    with path.open("rb") as file:
        head = file.read(16)
    width, uncounted = _HEADERS[int.from_bytes(head[:4], "big")]
    expect_bytes(path, int.from_bytes(head[4 : 4 + width], "big") + uncounted, source="its header")
    return rosettasciio.read_raw(path, plugin=rosettasciio.Plugin("digitalmicrograph"))


READER = Reader(
    name="dm",
    extensions=(".dm3", ".dm4"),
    description="Gatan: patterns, images, stacks, spectrum images (needs invae[em])",
    recognises=_recognises,
    read=_read,
    errors=rosettasciio.ERRORS,
)
