"""Detectors' own formats: frames of one size at even distances in one or several files, mapped and never read whole."""

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


@dataclass(frozen=True)
class Part:
    """Frames in one file."""

    path: Path
    n_frames: int
    offset: int
    """Of the first pixel of the first frame [bytes]."""


@dataclass(frozen=True)
class Frames:
    """Frames of one size, a fixed distance apart."""

    parts: tuple[Part, ...]
    shape: tuple[int, int]
    """Of one frame (y, x)."""
    dtype: np.dtype[Any]
    """With the file's byte order."""
    stride: int
    """From one frame to the next [bytes]."""
    upwards: bool = False
    """Whether the lowest row of a frame comes first."""

    @property
    def n_frames(self) -> int:
        """In all parts."""
        return sum(part.n_frames for part in self.parts)

    def pixels(self, path: Path, errors: tuple[type[Exception], ...]) -> Pixels:
        """All frames (frame, y, x), in the files until they are asked for."""
        shape = (self.n_frames, *self.shape)
        return Pixels(path, shape, self.dtype, partial(read_frames, self), errors)


def read_frames(frames: Frames, key: Key) -> np.ndarray:
    """The values under a key (frame, y, x); no other pages of the files are touched."""
    wanted = range(frames.n_frames)[key[0]]
    pieces, start = [], 0
    for part in frames.parts:
        end = start + part.n_frames
        inside = wanted[bisect_left(wanted, start) : bisect_left(wanted, end)]
        if inside:
            rows = slice(inside[0] - start, inside[-1] - start + 1, inside.step)
            pieces.append(np.array(_mapped(frames, part)[(rows, *key[1:])]))
        start = end
    if not pieces:
        return np.empty((0, *frames.shape), frames.dtype)[(slice(None), *key[1:])]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _mapped(frames: Frames, part: Part) -> np.ndarray:
    """The frames of one file as an array that lies in it."""
    height, width = frames.shape
    size = frames.dtype.itemsize
    row = width * size
    offset = part.offset + (height - 1) * row * frames.upwards
    strides = (frames.stride, -row if frames.upwards else row, size)
    data = np.memmap(part.path, dtype="u1", mode="r")
    return np.ndarray((part.n_frames, height, width), frames.dtype, data, offset, strides)


def whole_frames(path: Path, *, head: int, stride: int) -> int:
    """How many frames there are behind the first bytes of a file.

    Raises:
        InputError: If there is none, or the last one is not whole.
    """
    size = path.stat().st_size
    n_frames, rest = divmod(size - head, stride)
    if size < head + stride:
        raise InputError(
            f"{path}: has {size} bytes, and {head + stride} would hold one frame: there is none; "
            "wait until it is written, or copy it again"
        )
    if rest:
        raise InputError(
            f"{path}: has {size} bytes, {n_frames} frames of {stride} bytes and {rest} more; it is "
            "incomplete or still being written: copy it again when it is finished"
        )
    return n_frames


def expect_bytes(path: Path, needed: int, *, told_by: str) -> None:
    """Refuse a file that is shorter than a header promises.

    Raises:
        InputError: If it is.
    """
    size = path.stat().st_size
    if size < needed:
        raise InputError(
            f"{path}: has {size} bytes, {told_by} promises {needed}; it is incomplete or still "
            "being written: copy it again when it is finished"
        )


def product(shape: Sequence[int], path: Path) -> int:
    """How many frames a header promises.

    Raises:
        InputError: If there are none.
    """
    if min(shape, default=0) < 1:
        sizes = " × ".join(map(str, shape))
        raise InputError(f"{path}: its header promises {sizes} frames: there is none; record again")
    return math.prod(shape)
