"""Scans in chunks that span many rows: every chunk is read once, whatever its shape.

Reading such a file row by row would decompress every chunk again for each of its rows. A small scan is read into memory; a large one
is copied, chunk by chunk, into a scratch file that holds it row by row, and is read from there.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends.common import BackendArray
from xarray.core import indexing

from invae.readers.lazy import CHUNKS, as_slice, lazy_variable
from invae.storage import store
from invae.storage.location import ObjectPath

SLABS = 2
"""Size of a scan that is read into memory as a whole, in slabs."""
SCRATCH = "source-by-rows"
"""Name of the scratch file."""
Box = tuple[slice, slice]
"""Rows and columns of the detector."""


@contextmanager
def by_rows(
    patterns: xr.Variable, folder: Path, *, most_bytes: float, rows_at_once: float
) -> Iterator[xr.Variable]:
    """Patterns that can be read row by row at no more cost than once through the file.

    Args:
        patterns: (scan_y, scan_x, k_y, k_x), lazy.
        folder: The unfinished store; the scratch file lies beside it while it is needed.
        most_bytes: Memory for whole chunks, the size of a slab [bytes].
        rows_at_once: Scan rows that ingest reads at once.
    """
    chunks = patterns.encoding.get(CHUNKS)
    if chunks is None or chunks[0] == 1:
        yield patterns
    elif patterns.nbytes <= SLABS * most_bytes:
        yield xr.Variable(patterns.dims, np.asarray(patterns.values), patterns.attrs)
    elif chunks[0] <= rows_at_once:
        yield patterns
    else:
        with _scratch(folder) as scratch:
            with store.writing(folder):
                copy = _copied(patterns, scratch / SCRATCH, chunks, most_bytes)
            yield lazy_variable(tuple(map(str, patterns.dims)), copy, patterns.attrs)


@contextmanager
def _scratch(partial: Path) -> Iterator[Path]:
    """A folder beside an unfinished store, under a name that the next run clears; a temporary one for a store in the cloud."""
    if isinstance(partial, ObjectPath):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    folder = partial.with_name(f"{partial.name.removesuffix('.partial')}.{SCRATCH}.partial")
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True, eq=False)
class ByRows(BackendArray):
    """A scratch file: scan row after scan row, each of them detector box after detector box."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    boxes: tuple[Box, ...]

    @cached_property
    def starts(self) -> list[int]:
        """Where each box starts within a row [values]."""
        sizes = [self.shape[1] * _area(box) for box in self.boxes]
        return [sum(sizes[:n]) for n in range(len(sizes))]

    def part(self, file: np.ndarray, row: int, number: int) -> np.ndarray:
        """A box of one row (scan_x, k_y, k_x), as a view of the mapped file."""
        box, first = self.boxes[number], row * math.prod(self.shape[1:]) + self.starts[number]
        ky, kx = (part.stop - part.start for part in box)
        return file[first : first + self.shape[1] * ky * kx].reshape(self.shape[1], ky, kx)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self.values
        )

    def values(self, key: tuple[int | slice, ...]) -> np.ndarray:
        """The values under one index or slice for each axis."""
        rows = range(self.shape[0])[as_slice(key[0], self.shape[0])]
        columns = as_slice(key[1], self.shape[1])
        n_columns = len(range(self.shape[1])[columns])
        file = np.memmap(self.path, self.dtype, "r")
        values = np.empty((len(rows), n_columns, *self.shape[2:]), self.dtype)
        for place, row in enumerate(rows):
            for number, (ky, kx) in enumerate(self.boxes):
                values[place, :, ky, kx] = self.part(file, row, number)[columns]
        whole = slice(None)
        scan = tuple(whole if isinstance(part, slice) else 0 for part in key[:2])
        return values[(*scan, *key[2:])]


def _copied(
    patterns: xr.Variable, path: Path, chunks: tuple[int, ...], most_bytes: float
) -> ByRows:
    """The scratch file of all patterns, written in boxes of whole chunks."""
    shape, dtype = patterns.shape, patterns.dtype
    steps = _steps(shape, chunks, most_bytes / dtype.itemsize)
    rows, columns, ky, kx = (_pieces(n, step) for n, step in zip(shape, steps, strict=True))
    boxes = tuple(product(ky, kx))
    copy = ByRows(path, shape, dtype, boxes)
    _reserve(path, math.prod(shape) * dtype.itemsize)
    file = np.memmap(path, dtype, "r+", shape=(math.prod(shape),))
    for part, along in product(rows, columns):
        for number, box in enumerate(boxes):
            values = np.asarray(patterns[(part, along, *box)].values)
            for row in range(part.start, part.stop):
                copy.part(file, row, number)[along] = values[row - part.start]
    return copy


def _reserve(path: Path, n_bytes: int) -> None:
    """Make a file with all of its space on the disk: a mapped file that meets a full disk ends the process without a message."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:
            file.truncate(n_bytes)


def _steps(shape: tuple[int, ...], chunks: tuple[int, ...], most_values: float) -> list[int]:
    """Sides of a box of whole chunks that fits into memory: as many scan columns, then as much of the detector as possible."""
    steps = [min(n, chunk) for n, chunk in zip(shape, chunks, strict=True)]
    for axis in (1, 3, 2, 0):
        room = most_values // math.prod(steps)
        steps[axis] = min(shape[axis], steps[axis] * max(1, int(room)))
    return steps


def _pieces(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _area(box: Box) -> int:
    return math.prod(part.stop - part.start for part in box)
