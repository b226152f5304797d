"""Arrays larger than memory, piece by piece."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

SLAB_BYTES = 1 << 26
"""Largest piece in memory, if the store's chunks allow it [byte]."""

COMPRESSION: Mapping[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Compression that every HDF5 library has."""

Tell = Callable[[int], None]
"""Called with the bytes of each finished piece."""


def slabs(
    values: xr.DataArray, *, tell: Tell, limit: int = SLAB_BYTES
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """The index of each piece, and the piece; the pieces cover the array once and split no chunk of its store.

    A piece has at most `limit` bytes, or the size of one chunk if that is larger.
    """
    steps = _steps(values.shape, chunks_of(values), limit=limit // values.dtype.itemsize)
    ranges = (range(0, n, step) for n, step in zip(values.shape, steps, strict=True))
    for starts in itertools.product(*ranges):
        place = tuple(
            slice(start, min(start + step, n))
            for start, step, n in zip(starts, steps, values.shape, strict=True)
        )
        piece = values.variable[place].to_numpy()
        yield place, piece
        tell(piece.nbytes)


def chunks_of(values: xr.DataArray) -> tuple[int, ...]:
    """The chunks of an array in its store; the whole array if it has none."""
    chunks = values.encoding.get("chunks") or values.shape
    return tuple(max(1, min(chunk, n)) for chunk, n in zip(chunks, values.shape, strict=True))


def _steps(shape: Sequence[int], chunks: Sequence[int], *, limit: int) -> list[int]:
    """Lengths of a piece of at most `limit` items, cut along the first axes by whole chunks."""
    steps = [max(1, n) for n in shape]
    for axis, chunk in enumerate(chunks):
        if math.prod(steps) <= limit:
            break
        fits = limit // (math.prod(steps) // steps[axis])
        steps[axis] = max(chunk, fits // chunk * chunk)
    return steps
