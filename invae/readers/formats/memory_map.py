"""A file as igor2 and gwyfile can read it without copying its values, and without running on where it is damaged.

Both libraries read the whole file when they open it. Handed views of a mapped file in the place of `bytes`, they make arrays
that lie in the file, so that opening costs the labels alone, and reading a piece costs that piece.
"""

from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

CHUNK = 4096
"""How much is searched at a time for the end of a text [bytes]."""


def _cut_short(promised: int, left: int) -> ValueError:
    return ValueError(f"{promised} bytes are promised, {left} are left")


class MappedBytes(np.ndarray):
    """Bytes of a file, with the methods of `bytes` that gwyfile uses; slices are views.

    Where `bytes` would give less than was asked for, or -1 for a text without end, this raises ValueError: from such an answer
    gwyfile goes round in circles for ever.
    """

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, slice):
            return super().__getitem__(key)
        start, stop = key.start or 0, len(self) if key.stop is None else key.stop
        if not 0 <= start <= stop <= len(self):
            raise _cut_short(stop - start, max(0, len(self) - start))
        part = super().__getitem__(slice(start, stop))
        return MappedByte(part) if stop - start == 1 else part

    def find(self, wanted: bytes, start: int = 0) -> int:
        """Where a byte comes next.

        Raises:
            ValueError: If it does not come any more.
        """
        for begin in range(start, len(self), CHUNK):
            chunk = np.ndarray.__getitem__(self, slice(begin, begin + CHUNK)).tobytes()
            if (found := chunk.find(wanted)) >= 0:
                return begin + found
        raise ValueError("a text has no end")

    def decode(self, encoding: str) -> str:
        """The text in these bytes; what does not belong in it is replaced."""
        return self.tobytes().decode(encoding, "replace")


class MappedByte(bytes):
    """One byte, which gwyfile takes for a number (`ord` wants true bytes); as strict as the others."""

    def tobytes(self) -> bytes:
        return self

    def find(
        self, wanted: Any, start: SupportsIndex | None = 0, stop: SupportsIndex | None = None
    ) -> int:
        return self.index(wanted, start, stop)

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class MappedStream:
    """A file open for reading, as igor2 wants it: what is read is a view."""

    def __init__(self, data: MappedBytes) -> None:
        self.data, self.position = data, 0

    def read(self, n: int) -> MappedBytes | MappedByte:
        """The next `n` bytes.

        Raises:
            ValueError: If there are fewer.
        """
        start, self.position = self.position, self.position + n
        return self.data[start : self.position]


def mapped(path: Path) -> MappedBytes:
    """The bytes of a file; it is closed when the last view of them is gone."""
    return np.memmap(path, dtype="u1", mode="r").view(MappedBytes)
