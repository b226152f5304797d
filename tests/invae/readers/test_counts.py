"""A count that cannot fit into the file is refused at once, before a library reads as many values as it says."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from invae.errors import InputError
from invae.readers import open_recording
from invae.readers.formats.dm_tags import MOST_CHARACTERS, MOST_FIELDS
from tests.invae.readers.spectra.conftest import write_3ds

HUGE = 2**31 - 1
SECONDS = 10.0
"""Longest time until a file is refused, with imports [s]."""
STRUCTURE, TEXT, ARRAY, UINT16 = 15, 18, 20, 4


def write_tag(path: Path, *words: int, content: bytes = bytes(400)) -> Path:
    """A file of Digital Micrograph with one tag, whose value is described by these words."""
    width = {".dm3": "I", ".dm4": "Q"}[path.suffix]
    skipped = bytes(8) if width == "Q" else b""
    described = struct.pack(f">{len(words) + 1}{width}", len(words), *words)
    tag = struct.pack(">BH", 21, 4) + b"Note" + skipped + b"%%%%" + described + content
    body = struct.pack(f">BB{width}", 1, 0, 1) + tag
    head = struct.pack(f">I{width}I", int(path.suffix[-1]), len(body), 1)
    path.write_bytes(head + body + bytes(8))
    return path


def refusal(path: Path) -> str:
    """The line with which a file is refused in time."""
    began = time.monotonic()
    with pytest.raises(InputError) as refused:
        open_recording(path)
    assert time.monotonic() - began < SECONDS
    line = str(refused.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("suffix", [".dm3", ".dm4"])
@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((STRUCTURE, 0, HUGE, 0, UINT16), "2,147,483,647 fields"),
        ((TEXT, HUGE), "2,147,483,647 characters"),
        ((ARRAY, UINT16, HUGE), "2,147,483,647 elements"),
        ((ARRAY, STRUCTURE, 0, 0, HUGE), "2,147,483,647 elements"),
        ((ARRAY, STRUCTURE, 0, 1, 0, UINT16, HUGE), "2,147,483,647 elements"),
        ((ARRAY, TEXT, 0, HUGE), "2,147,483,647 elements"),
        ((ARRAY, ARRAY, UINT16, 0, HUGE), "2,147,483,647 elements"),
    ],
    ids=["fields", "text", "numbers", "empty structures", "structures", "empty texts", "arrays"],
)
def test_a_tag_of_digital_micrograph_declares_no_more_than_the_file_holds(
    tmp_path: Path, suffix: str, words: tuple[int, ...], what: str
) -> None:
    line = refusal(write_tag(tmp_path / f"scan{suffix}", *words))
    assert f"declares {what}, but has " in line


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ((STRUCTURE, 0, MOST_FIELDS + 1, 0), MOST_FIELDS),
        ((TEXT, MOST_CHARACTERS + 1), MOST_CHARACTERS),
    ],
)
def test_a_structure_or_a_text_that_would_take_minutes_is_refused(
    tmp_path: Path, words: tuple[int, ...], most: int
) -> None:
    line = refusal(write_tag(tmp_path / "scan.dm4", *words, content=bytes(1_000_000)))
    assert f"{most + 1:,} " in line
    assert f"which has {most:,} at most" in line


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda content: content[:16] + b"\1\0" + HUGE.to_bytes(8, "big") + content[26:], "tags in a group"),
        (lambda content: content.replace(b"%%%%", b"%%%$"), "has no tag where one is declared"),
        (lambda content: content.replace(b"\x15\0\4Note", b"\x16\0\4Note"), "has no tag where"),
    ],
    ids=["number of tags", "mark", "kind"],
)  # fmt: skip
def test_a_damaged_tag_is_named(tmp_path: Path, harm: Callable[[bytes], bytes], words: str) -> None:
    path = write_tag(tmp_path / "scan.dm4", UINT16)
    path.write_bytes(harm(path.read_bytes()))
    assert words in refusal(path)


def test_a_grid_of_spectra_is_no_larger_than_an_aborted_one_can_be(tmp_path: Path) -> None:
    path = tmp_path / "grid.3ds"
    write_3ds(path)
    open_recording(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'Grid dim="4 x 3"', b'Grid dim="4 x 99999999"'))
    assert "declares 4 × 99999999 spectra, but the file holds 12" in refusal(path)
