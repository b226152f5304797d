"""What a block found that has no fixed size, kept in small files until all blocks are done.

A file is there whole or not at all; so a resumed run knows which blocks are finished.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from invae.storage import store

FOLDER = "pieces"
"""A group inside the store while it grows; removed before it is published."""


def begin(partial: Path) -> None:
    """Make the place for pieces; as a group, or Zarr would wonder at it when it lists the store."""
    store.open_group(partial, mode="a").require_group(FOLDER)


def path_of(partial: Path, stage: str, start: int) -> Path:
    """Where the block of `stage` that begins at `start` keeps what it found."""
    return partial / FOLDER / f"{stage}-{start:09d}.npz"


def save(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays, whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    unfinished.write_bytes(stream.getbuffer())
    unfinished.replace(path)


def load(path: Path, *names: str) -> list[np.ndarray]:
    """Some arrays of a piece."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as piece:
        return [piece[name] for name in names]


def gather(paths: Sequence[Path], name: str) -> np.ndarray:
    """One array of all pieces, joined along its first axis."""
    return np.concatenate([load(path, name)[0] for path in paths])


def gather_range(paths: Sequence[Path], name: str, starts: np.ndarray, wanted: slice) -> np.ndarray:
    """Items `wanted` of what `gather` would return, reading only the pieces that hold them.

    Args:
        paths: pieces, in order.
        name: of the array.
        starts: index of each piece's first item, and the total at the end (piece + 1).
        wanted: start and stop.
    """
    parts = []
    for path, start, stop in zip(paths, starts[:-1], starts[1:], strict=True):
        if start < wanted.stop and stop > wanted.start:
            (values,) = load(path, name)
            parts.append(values[max(wanted.start - start, 0) : wanted.stop - start])
    return np.concatenate(parts)
