"""Gatan's Digital Micrograph (.dm3, .dm4): patterns, images, stacks and spectrum images, by rosettasciio."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from invae.readers.formats import rosettasciio
from invae.readers.formats.dm_tags import check_counts
from invae.readers.formats.raw_frames import expect_bytes
from invae.readers.raw import OnSurvey, Raw, Reader

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
    check_counts(path, width=width, start=4 + width + 4)
    plugin = rosettasciio.Plugin("digitalmicrograph", flags_by_position=True)
    raw = rosettasciio.read_raw(path, plugin=plugin)
    return replace(raw, on_survey=_on_survey(raw.metadata))


def _on_survey(metadata: Mapping[str, Any]) -> OnSurvey | None:
    """The survey image of a spectrum image or of an image recorded with it, and their rectangle on it; or which survey this is.

    The rectangle is (top, left, bottom, right), pixel edges of the survey. All files name the survey by the same four numbers.
    """
    images = _at(metadata, "original_metadata", "ImageList")
    for image in images.values() if isinstance(images, Mapping) else ():
        acquired = _at(image, "ImageTags", "SI", "Acquisition", "Survey Image")
        own = _at(image, "ImageTags", "Survey Image")
        number = _at(acquired or own, "UID")
        if not isinstance(number, Mapping) or not number:
            continue
        survey = "-".join(str(value) for value in number.values())
        edges = _at(acquired, "Spectrum Image Rect")
        if acquired is None:
            return OnSurvey(survey)
        if (
            isinstance(edges, list | tuple)
            and len(edges) == 4
            and edges[0] < edges[2]
            and edges[1] < edges[3]
        ):
            top, left, bottom, right = (float(edge) for edge in edges)
            return OnSurvey(survey, (top, left, bottom, right))
    return None


def _at(values: Any, *names: str) -> Any:
    """The entry under successive names; none if there is none."""
    for name in names:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


READER = Reader(
    name="dm",
    extensions=(".dm3", ".dm4"),
    description="Gatan: patterns, images, stacks, spectrum images (needs invae[em])",
    recognises=_recognises,
    read=_read,
    errors=rosettasciio.ERRORS,
)
