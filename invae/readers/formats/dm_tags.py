"""The tags of a Digital Micrograph file: every count must fit into the file before a library believes it.

rosettasciio reads the values of tags one by one, as many as the file declares: a changed byte keeps it busy for hours, or fills the
memory. Here no value is read. The layout of the tags is the one that rosettasciio reads (rsciio/digitalmicrograph/_api.py).
"""

import struct
from pathlib import Path
from typing import BinaryIO

from invae.errors import InputError

GROUP, VALUES = 20, 21
STRUCTURE, TEXT, ARRAY = 15, 18, 20
SIZES = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 8: 1, 9: 1, 10: 1, 11: 8, 12: 8}
"""Length of a number by its type [bytes]."""
TAG_BYTES = 3
"""Shortest tag: its kind, and the length of its name [bytes]."""
MARK = b"%%%%"
MOST_FIELDS, MOST_CHARACTERS = 10_000, 300_000
"""Longest structures and texts: the time that rosettasciio needs for them grows with the square of their length."""


def check_counts(path: Path, *, width: int, start: int) -> None:
    """Refuse a file with a tag that declares more than the file holds.

    Args:
        path: The file.
        width: Length of a count: 4 in version 3, 8 in version 4 [bytes].
        start: Position of the first group of tags.

    Raises:
        InputError: If a count does not fit into the file, or what follows a value is no tag.
        KeyError: If a value has an unknown type.
    """
    with path.open("rb") as file:
        walk = _Walk(path, file, width)
        file.seek(start)
        n_left = walk.group(has_size=False)
        while n_left:  # groups lie one in the other, and their tags one after the other
            n_left += walk.tag() - 1


class _Walk:
    """A position in the file that moves from tag to tag."""

    def __init__(self, path: Path, file: BinaryIO, width: int) -> None:
        self._path, self._file, self._width = path, file, width
        self._n_bytes = path.stat().st_size

    def group(self, *, has_size: bool) -> int:
        """Pass the head of a group; returns its number of tags."""
        self._file.seek(2 + (8 if has_size and self._width == 8 else 0), 1)
        return self._count("tags in a group", n_bytes=TAG_BYTES)

    def tag(self) -> int:
        """Pass a tag; returns how many tags it holds."""
        kind, length = struct.unpack(">Bh", self._read(3))
        self._file.seek(max(length, 0), 1)
        if kind == GROUP:
            return self.group(has_size=True)
        self._file.seek(8 if self._width == 8 else 0, 1)
        if kind != VALUES or self._read(4) != MARK:
            raise self._damaged(f"has no tag where one is declared, at byte {self._file.tell()}")
        self._file.seek(self._value(self._number()), 1)
        return 0

    def _value(self, n_words: int) -> int:
        """Length of a tag's value, whose description has this number of words [bytes]."""
        kind = self._number()
        if n_words == 1:
            return SIZES[kind]
        if n_words == 2:
            return self._count("characters", most=MOST_CHARACTERS)
        if n_words == 3:
            kind = self._number()
            return self._elements(SIZES[kind])
        return self._elements(self._element()) if kind == ARRAY else self._structure()

    def _element(self) -> int:
        """Length of an element of an array that is no number [bytes]."""
        kind = self._number()
        if kind == STRUCTURE:
            return self._structure()
        if kind == TEXT:
            return self._count("characters", most=MOST_CHARACTERS)
        kind = self._number()
        return self._elements(SIZES[kind])

    def _structure(self) -> int:
        """Length of a structure, whose fields are described here [bytes]."""
        self._number()  # the length of its name, which is not there
        n_fields = self._count("fields", n_bytes=2 * self._width, most=MOST_FIELDS)
        return sum(SIZES[self._field()] for _ in range(n_fields))

    def _field(self) -> int:
        """The type of a field."""
        self._number()
        return self._number()

    def _elements(self, n_bytes: int) -> int:
        """Length of an array of elements of this length [bytes]; empty ones count, each is made."""
        return n_bytes * self._count("elements", n_bytes=max(n_bytes, 1))

    def _count(self, what: str, *, n_bytes: int = 1, most: int | None = None) -> int:
        """A count of things of at least this length, which must be in the rest of the file."""
        count = self._number()
        rest = max(self._n_bytes - self._file.tell(), 0)
        if not 0 <= count <= rest // n_bytes:
            raise self._damaged(f"declares {count:,} {what}, but has {rest:,} bytes for them")
        if most is not None and count > most:
            raise self._damaged(
                f"declares {count:,} {what} of one value, which has {most:,} at most"
            )
        return count

    def _number(self) -> int:
        return int.from_bytes(self._read(self._width), "big", signed=True)

    def _read(self, n_bytes: int) -> bytes:
        content = self._file.read(n_bytes)
        if len(content) < n_bytes:
            raise self._damaged(f"ends at byte {self._n_bytes:,} within a tag")
        return content

    def _damaged(self, what: str) -> InputError:
        return InputError(f"{self._path}: {what}; it is damaged: copy it again, or export it anew")
