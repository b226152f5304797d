"""Arrays of a store larger than memory, piece by piece."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

SLAB_BYTES = 1 << 26
"""Largest piece held in memory, where the store's chunks allow it."""

COMPRESSION: Mapping[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Of what HDF5 has everywhere."""

Tell = Callable[[int], None]
"""Told the bytes of each piece when it is done."""


def slabs(
    values: xr.DataArray, *, tell: Tell, limit: int = SLAB_BYTES
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Where each piece lies, and the piece; the pieces cover the array once and split no chunk of its store.

    A piece has at most `limit` bytes, or those of one chunk where that is larger.
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
    """The chunks in which the store keeps an array; the whole array where it does not say."""
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
