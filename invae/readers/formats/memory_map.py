"""Mapped files for igor2 and gwyfile: values are not copied, and damaged files end in an error.

Both libraries read the whole file when they open it. With views of a mapped file instead of `bytes` they make arrays that stay
in the file: opening costs only the labels, and reading a piece costs only that piece.
"""

from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

CHUNK = 4096
"""Number of bytes searched at a time for the end of a text."""


def _decoded(data: bytes, encoding: str) -> str:
    """Text in an encoding; in latin-1 if it is not, since some programs write their units so."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _truncated(needed: int, available: int) -> ValueError:
    return ValueError(f"{needed} bytes are needed, {available} are available")


class MappedBytes(np.ndarray):
    """Bytes of a file, with the methods of `bytes` that gwyfile uses; slices are views.

    Where `bytes` returns fewer bytes than requested, or -1 for a text without end, this class raises ValueError: gwyfile loops for
    ever on such an answer.
    """

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, slice):
            return super().__getitem__(key)
        start, stop = key.start or 0, len(self) if key.stop is None else key.stop
        if not 0 <= start <= stop <= len(self):
            raise _truncated(stop - start, max(0, len(self) - start))
        part = super().__getitem__(slice(start, stop))
        return MappedByte(part) if stop - start == 1 else part

    def find(self, byte: bytes, start: int = 0) -> int:
        """The next position of a byte.

        Raises:
            ValueError: If it does not occur.
        """
        for begin in range(start, len(self), CHUNK):
            chunk = np.ndarray.__getitem__(self, slice(begin, begin + CHUNK)).tobytes()
            if (position := chunk.find(byte)) >= 0:
                return begin + position
        raise ValueError("a text has no end")

    def decode(self, encoding: str) -> str:
        """The text in these bytes; latin-1 if they are not in the encoding."""
        return _decoded(self.tobytes(), encoding)


class MappedByte(bytes):
    """One byte, which gwyfile uses as a number (`ord` needs real bytes); as strict as `MappedBytes`."""

    def tobytes(self) -> bytes:
        return self

    def find(
        self, byte: Any, start: SupportsIndex | None = 0, stop: SupportsIndex | None = None
    ) -> int:
        return self.index(byte, start, stop)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return _decoded(bytes(self), encoding)


class MappedStream:
    """A file open for reading as igor2 needs it; what it reads are views."""

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
    """The bytes of a file; it is closed when the last view is gone."""
    return np.memmap(path, dtype="u1", mode="r").view(MappedBytes)
