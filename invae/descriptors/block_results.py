"""Results of blocks that have no fixed size, stored in small files until all blocks are done.

A file is complete or absent, so a resumed run knows which blocks are finished.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from invae.storage import store

FOLDER = "pieces"
"""A group of the unfinished store; removed before the store is published."""


def begin(partial: Path) -> None:
    """Make the folder for pieces; it is a group, because Zarr warns of unknown folders when it lists the store."""
    store.open_group(partial, mode="a").require_group(FOLDER)


def path_of(partial: Path, stage: str, start: int) -> Path:
    """File with the results of the block of `stage` that begins at `start`."""
    return partial / FOLDER / f"{stage}-{start:09d}.npz"


def save(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays; the file is complete or absent."""
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
    """A range of items of the result of `gather`; reads only the pieces that contain them.

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
