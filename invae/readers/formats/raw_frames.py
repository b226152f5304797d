"""Raw formats of detectors: frames of one size at equal distances in one or several files, mapped and never read whole."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from invae.errors import InputError
from invae.readers.raw import Key, Pixels

INCOMPLETE = "it is incomplete or still being written: copy it again when it is finished"
"""End of a message on a file with fewer frames than expected."""
STOPPED = (
    f"{INCOMPLETE}, or, if the scan was stopped, set ingest.scan_shape to the rows and columns of the scan, and its whole rows are "
    "read"
)
"""End of a message on a scan with fewer patterns than expected."""


@dataclass(frozen=True)
class Part:
    """Frames in one file."""

    path: Path
    n_frames: int
    offset: int
    """Position of the first pixel of the first frame [bytes]."""


@dataclass(frozen=True)
class Frames:
    """Frames of one size at equal distances."""

    parts: tuple[Part, ...]
    shape: tuple[int, int]
    """Shape of a frame (y, x)."""
    dtype: np.dtype[Any]
    """Type of the values, with the byte order of the file."""
    stride: int
    """Distance between the starts of two frames [bytes]."""
    upwards: bool = False
    """Whether the lowest row of a frame comes first."""

    @property
    def n_frames(self) -> int:
        """Number of frames in all parts."""
        return sum(part.n_frames for part in self.parts)

    def pixels(self, path: Path, errors: tuple[type[Exception], ...]) -> Pixels:
        """All frames (frame, y, x), which stay in the files until they are read."""
        shape = (self.n_frames, *self.shape)
        return Pixels(path, shape, self.dtype, partial(read_frames, self), errors)


def read_frames(frames: Frames, key: Key) -> np.ndarray:
    """The values under a key (frame, y, x); no other pages of the files are touched."""
    numbers = range(frames.n_frames)[key[0]]
    pieces, start = [], 0
    for part in frames.parts:
        end = start + part.n_frames
        inside = numbers[bisect_left(numbers, start) : bisect_left(numbers, end)]
        if inside:
            rows = slice(inside[0] - start, inside[-1] - start + 1, inside.step)
            pieces.append(np.array(_mapped(frames, part)[(rows, *key[1:])]))
        start = end
    if not pieces:
        return np.empty((0, *frames.shape), frames.dtype)[(slice(None), *key[1:])]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _mapped(frames: Frames, part: Part) -> np.ndarray:
    """The frames of one file as an array that stays in the file."""
    height, width = frames.shape
    size = frames.dtype.itemsize
    row = width * size
    offset = part.offset + (height - 1) * row * frames.upwards
    strides = (frames.stride, -row if frames.upwards else row, size)
    data = np.memmap(part.path, dtype="u1", mode="r")
    return np.ndarray((part.n_frames, height, width), frames.dtype, data, offset, strides)


@dataclass(frozen=True)
class Present:
    """What a file holds after its first bytes."""

    n_frames: int
    """Number of whole frames."""
    rest: int
    """Bytes of an incomplete frame behind them."""
    message: str
    """What is wrong with the end of the file; empty if it ends with a frame."""
    notes: tuple[str, ...]
    """A line on the incomplete frame, if the whole ones are read."""


def present_frames(path: Path, *, head: int, stride: int, remedy: str = STOPPED) -> Present:
    """The whole frames after the first bytes of a file, and what is behind them.

    Raises:
        InputError: If there is no whole frame.
    """
    size = path.stat().st_size
    if size < head + stride:
        raise InputError(
            f"{path}: has {size} bytes, but one frame needs {head + stride}; "
            "wait until it is written, or copy it again"
        )
    n_frames, rest = divmod(size - head, stride)
    if not rest:
        return Present(n_frames, 0, "", ())
    return Present(
        n_frames,
        rest,
        f"{path}: has {size} bytes: {n_frames} frames of {stride} bytes and {rest} more; {remedy}",
        (f"the last frame is incomplete ({rest} of {stride} bytes) and left out",),
    )


def whole_frames(path: Path, *, head: int, stride: int) -> int:
    """Number of frames after the first bytes of a file.

    Raises:
        InputError: If there is none, or the last one is incomplete.
    """
    present = present_frames(path, head=head, stride=stride, remedy=INCOMPLETE)
    if present.message:
        raise InputError(present.message)
    return present.n_frames


def declared_frames(path: Path, n_frames: int, *, head: int, stride: int, source: str) -> Present:
    """The whole frames of a file whose description declares `n_frames`; more are not counted. `source` names the description.

    Raises:
        InputError: If there is no whole frame.
    """
    present = present_frames(path, head=head, stride=stride)
    if present.n_frames >= n_frames:
        return Present(n_frames, 0, "", ())
    needed = head + n_frames * stride
    return Present(
        present.n_frames,
        present.rest,
        f"{path}: has {path.stat().st_size} bytes, but {source} requires {needed}; {STOPPED}",
        present.notes,
    )


def expect_bytes(path: Path, needed: int, *, source: str) -> None:
    """Refuse a file that is shorter than its description requires; `source` names the description.

    Raises:
        InputError: With both sizes.
    """
    size = path.stat().st_size
    if size < needed:
        raise InputError(
            f"{path}: has {size} bytes, but {source} requires {needed}; it is incomplete or still "
            "being written: copy it again when it is finished"
        )


def product(shape: Sequence[int], path: Path) -> int:
    """Number of frames that a header declares.

    Raises:
        InputError: If it is zero.
    """
    if min(shape, default=0) < 1:
        sizes = " × ".join(map(str, shape))
        raise InputError(f"{path}: its header declares {sizes} frames, which is none; record again")
    return math.prod(shape)
