"""Arrays whose values stay in the file until they are used, in invae's order of axes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends.common import BackendArray
from xarray.core import indexing

from invae.readers.raw import Pixels

CHUNKS = "source_chunks"
"""Entry in the encoding of a variable: sizes of the file's chunks along its axes."""


@dataclass(frozen=True, eq=False)
class View(BackendArray):
    """A channel with its axes in another order: axis `i` is the file's axis `axes[i]`, or a new axis of length one."""

    pixels: Pixels
    axes: tuple[int | None, ...]
    flipped: frozenset[int] = frozenset()
    """Axes of the file that run backwards."""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(1 if axis is None else self.pixels.shape[axis] for axis in self.axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.pixels.dtype.newbyteorder("=")

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Sizes of the file's chunks along the axes; none if it has none."""
        chunks = self.pixels.chunks
        return None if chunks is None else tuple(1 if a is None else chunks[a] for a in self.axes)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self.values
        )

    def values(self, key: tuple[int | slice, ...]) -> np.ndarray:
        """The values under one index or slice for each axis."""
        slices = [as_slice(index, n) for index, n in zip(key, self.shape, strict=True)]
        stored = [slice(None)] * len(self.pixels.shape)
        directions = [slice(None)] * len(self.pixels.shape)
        for axis, part in zip(self.axes, slices, strict=True):
            if axis is not None and axis in self.flipped:
                stored[axis] = _mirrored(part, self.pixels.shape[axis])
                directions[axis] = slice(None, None, -1)
            elif axis is not None:
                stored[axis] = part
        values = self.pixels.load(tuple(stored))[tuple(directions)]
        values = values.transpose([axis for axis in self.axes if axis is not None])
        new_axes = tuple(position for position, axis in enumerate(self.axes) if axis is None)
        values = np.expand_dims(values, new_axes)
        # a new axis has length one: an empty or full slice of it is applied here
        last = tuple(
            0 if isinstance(index, (int, np.integer)) else (index if axis is None else slice(None))
            for index, axis in zip(key, self.axes, strict=True)
        )
        return values[last]


@dataclass(frozen=True, eq=False)
class Stack(BackendArray):
    """Arrays in sequence along the first axis."""

    parts: tuple[xr.Variable, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(len(part) for part in self.parts), *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._values
        )

    def _values(self, key: tuple[int | slice, ...]) -> np.ndarray:
        first = as_slice(key[0], self.shape[0])
        numbers = np.arange(self.shape[0])[first]
        pieces, start = [], 0
        for part in self.parts:
            inside = numbers[(numbers >= start) & (numbers < start + len(part))] - start
            if len(inside):
                rows = slice(int(inside[0]), int(inside[-1]) + 1, first.step)
                pieces.append(np.asarray(part[(rows, *key[1:])].values))
            start += len(part)
        if not pieces:
            return np.asarray(self.parts[0][(slice(0, 0), *key[1:])].values)
        values = np.concatenate(pieces)
        return values if isinstance(key[0], slice) else values[0]


def lazy_variable(dims: tuple[str, ...], array: BackendArray, attrs: dict[str, Any]) -> xr.Variable:
    """A variable of an array in a file."""
    return xr.Variable(dims, indexing.LazilyIndexedArray(array), attrs)


def as_slice(index: int | slice, n: int) -> slice:
    """An index or slice as a slice with a start, a stop and a step."""
    if isinstance(index, slice):
        start, stop, step = index.indices(n)
        return slice(start, max(start, stop), step)
    position = int(index) % n
    return slice(position, position + 1, 1)


def _mirrored(part: slice, n: int) -> slice:
    """The slice of the stored axis with the same items as `part` of the mirrored axis."""
    items = range(n)[part]
    if not len(items):
        return slice(0, 0, 1)
    return slice(n - 1 - items[-1], n - items[0], part.step)
