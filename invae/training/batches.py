"""Batches: a store or an array becomes seeded tensors; unusable values are refused here."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from invae import dims
from invae.errors import InputError
from invae.models.batch import Geometry, Patches
from invae.models.likelihoods import Limits
from invae.training.annotations import SiteAnnotations, of_store

if TYPE_CHECKING:
    import xarray as xr

IN_MEMORY_BYTES = 512 << 20
"""Stores up to this size are read once; larger ones are streamed."""
BUFFER_BYTES = 64 << 20
"""Patches that are shuffled together while streaming. Memory holds two such buffers (one is read while the other is used), and the held-out
patches if they are no larger."""

SHUFFLING = 2
"""Stream of random numbers for the order of sites; `Fit` has others from the same seed."""
NO_ANNOTATIONS = SiteAnnotations()
Source = TypeVar("Source", "ArraySource", "StreamSource")
Item = TypeVar("Item")

Read = Callable[[slice], tuple[np.ndarray, np.ndarray | None]]
"""Patches and their masks (none: all valid) of neighbouring sites."""


@runtime_checkable
class PatchSource(Protocol):
    """Patches by site, in NumPy; finite, and zero under the mask."""

    geometry: Geometry
    known: SiteAnnotations

    def __len__(self) -> int: ...

    def annotated(self, known: SiteAnnotations) -> "PatchSource":
        """The same patches with other annotations."""
        ...

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        """Ascending sites in groups that are efficient to read together."""
        ...

    def load(self, sites: np.ndarray) -> "tuple[ArraySource, np.ndarray]":
        """A source in memory with these ascending sites, and their places in it."""
        ...


class ArraySource:
    """Patches in memory."""

    def __init__(
        self,
        patches: np.ndarray,
        valid: np.ndarray | None = None,
        *,
        known: SiteAnnotations = NO_ANNOTATIONS,
        limits: Limits | None = None,
    ) -> None:
        """Take patches (site, channel, y, x) and a mask of the same shape, True where a pixel counts.

        Args:
            patches: Any real type.
            valid: The mask.
            known: Annotations of the same sites.
            limits: Smallest and largest value of the likelihood.

        Raises:
            InputError: A valid value is not finite or out of the limits.
        """
        self.geometry = geometry_of(patches.shape)
        self._patches, self._valid = clean(patches, valid, limits=limits)
        self.known = known

    @classmethod
    def from_clean(
        cls, patches: np.ndarray, valid: np.ndarray | None, *, known: SiteAnnotations
    ) -> "ArraySource":
        """A source of the result of `clean`; checking a buffer again takes as long as reading it."""
        source = cls.__new__(cls)
        source.geometry, source.known = geometry_of(patches.shape), known
        source._patches, source._valid = patches, valid
        return source

    def __len__(self) -> int:
        return len(self._patches)

    def annotated(self, known: SiteAnnotations) -> "ArraySource":
        return _annotated(self, known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        return [sites] if len(sites) else []

    def load(self, sites: np.ndarray) -> "tuple[ArraySource, np.ndarray]":
        return self, sites

    def take(self, sites: np.ndarray) -> Patches:
        """A batch of patches."""
        valid = None if self._valid is None else torch.from_numpy(self._valid[sites])
        return Patches(torch.from_numpy(self._patches[sites]), valid, self.known.take(sites))


class StreamSource:
    """Patches that are read from a store when they are needed, whole shards at a time."""

    def __init__(
        self,
        read: Read,
        shape: Sequence[int],
        *,
        shard: int,
        known: SiteAnnotations = NO_ANNOTATIONS,
        limits: Limits | None = None,
    ) -> None:
        """Take a function that reads slices of `shape`'s first dimension, most efficiently in multiples of `shard`."""
        self.geometry = geometry_of(shape)
        self._read, self._shape, self._shard, self._limits = read, tuple(shape), shard, limits
        self.known = known

    def __len__(self) -> int:
        return self._shape[0]

    def annotated(self, known: SiteAnnotations) -> "StreamSource":
        return _annotated(self, known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        cuts = np.flatnonzero(np.diff(sites // self._shard)) + 1
        return [piece for piece in np.split(sites, cuts) if len(piece)]

    def load(self, sites: np.ndarray) -> tuple[ArraySource, np.ndarray]:
        shape = (len(sites), *self._shape[1:])
        values, valid, hides, start = np.empty(shape, np.float32), np.empty(shape, bool), False, 0
        for piece in self.groups(sites):
            part = slice(start, start + len(piece))
            self._take(piece, values[part], valid[part])
            _, mask = clean(values[part], valid[part], limits=self._limits, sites=piece, own=True)
            hides, start = hides or mask is not None, part.stop
        known = self.known.of(sites)
        return ArraySource.from_clean(values, valid if hides else None, known=known), np.arange(
            start
        )

    def _take(self, sites: np.ndarray, values: np.ndarray, valid: np.ndarray) -> None:
        """Read sites of one shard into existing memory: allocation takes as long as decompression."""
        first = int(sites[0])
        patches, mask = self._read(slice(first, int(sites[-1]) + 1))
        _refuse_type(patches.dtype)
        patches, chosen = np.asarray(patches, np.float32), sites - first
        np.take(patches, chosen, axis=0, out=values, mode="clip")
        if mask is None:
            valid[...] = True
        else:
            np.take(mask, chosen, axis=0, out=valid, mode="clip")


def bytes_of(dataset: "xr.Dataset") -> int:
    """Memory of the patches of a descriptor store: 4 bytes per value and 1 for its mask."""
    return dataset["patch"].size * 5 if "patch" in dataset else 0


def open_patches(
    path: Path, *, limits: Limits | None = None, in_memory: bool = True
) -> PatchSource:
    """The patches of a descriptor store; in memory if they are small and `in_memory` allows it.

    Raises:
        StoreError: There is no such store.
        InputError: It has no patches, or unusable ones.
    """
    from invae.storage import store

    dataset = store.open_store(path)
    if "patch" not in dataset or dataset["patch"].dims != dims.PATCH:
        raise InputError(f"{path} has no patches (site, channel, patch_y, patch_x)")
    if dataset.sizes[dims.SITE] == 0:
        raise InputError(f"{path} has no sites; nothing to train on or to encode")
    patches, valid, known = dataset["patch"], dataset.get("valid"), of_store(dataset)

    def read(place: slice) -> tuple[np.ndarray, np.ndarray | None]:
        mask = None if valid is None else valid[place].to_numpy()
        return patches[place].to_numpy(), mask

    if in_memory and bytes_of(dataset) <= IN_MEMORY_BYTES:
        return ArraySource(*read(slice(None)), known=known, limits=limits)
    encoding = patches.encoding
    shard = (encoding.get("shards") or encoding.get("chunks") or (1,))[0]
    return StreamSource(read, patches.shape, shard=int(shard), known=known, limits=limits)


def _annotated(source: Source, known: SiteAnnotations) -> Source:
    other = copy(source)
    other.known = known
    return other


def geometry_of(shape: Sequence[int]) -> Geometry:
    """Geometry of patches (site, channel, y, x)."""
    if len(shape) != 4 or min(shape) < 1:
        raise InputError(f"patches have shape {tuple(shape)}; (site, channel, y, x) is needed")
    return Geometry(*(int(n) for n in shape[1:]))


def clean(
    patches: np.ndarray,
    valid: np.ndarray | None,
    *,
    limits: Limits | None = None,
    sites: np.ndarray | None = None,
    own: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Patches as float32 with zeros under the mask; no mask if all values are valid.

    Args:
        patches: Any real type.
        valid: The mask.
        limits: Smallest and largest value of the likelihood.
        sites: Numbers of the sites, where they do not start at 0.
        own: Whether the patches, float32, may be changed in place.

    Raises:
        InputError: A valid value is not finite or out of the limits.
    """
    _refuse_type(patches.dtype)
    if valid is not None and valid.shape != patches.shape:
        raise InputError(f"mask has shape {valid.shape}, patches {patches.shape}; make them equal")
    patches = np.ascontiguousarray(patches, dtype=np.float32)
    valid = None if valid is None or valid.all() else np.asarray(valid, dtype=bool)
    if valid is not None and own:
        np.copyto(patches, np.float32(0), where=~valid)
    elif valid is not None:
        patches = np.where(valid, patches, np.float32(0))
    bad = ~np.isfinite(patches)
    if bad.any():
        site = int(np.argwhere(bad)[0, 0])
        site = site if sites is None else int(sites[site])
        raise InputError(
            f"{int(bad.sum())} values are NaN or infinite, the first in patch {site}; "
            "mask them with `valid`"
        )
    if limits is not None and (trouble := limits.trouble(patches)):
        raise InputError(trouble)
    return patches, valid


def _refuse_type(dtype: np.dtype) -> None:
    if dtype.kind not in "fiub":
        raise InputError(f"patches are of type {dtype}; real numbers are needed")


@dataclass(frozen=True)
class Batches:
    """Batches of some sites of a source, in a new order each epoch or in the order of the source."""

    source: PatchSource
    sites: np.ndarray
    """Ascending."""
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        """Number of batches; a few more while streaming."""
        return -(-len(self.sites) // self.batch_size)

    @property
    def n_items(self) -> int:
        """Number of sites."""
        return len(self.sites)

    def epoch(self, number: int, *, seed: int) -> Iterator[Patches]:
        """Every site once, in an order that follows from the seed and the epoch."""
        return self.shuffled(seed, SHUFFLING, number)

    def annotated(self, annotations: SiteAnnotations) -> "Batches":
        """The same patches with other annotations of all sites of the source."""
        return replace(self, source=self.source.annotated(annotations))

    def shuffled(self, *seed: int) -> Iterator[Patches]:
        """Every site once, in an order that follows from the seed.

        Groups (shards) come in random order; sites are shuffled within the groups that share a buffer.
        """
        rng = np.random.default_rng(seed)
        groups = self.source.groups(self.sites)
        return prefetch(self._batches([groups[k] for k in rng.permutation(len(groups))], rng))

    def in_order(self) -> Iterator[Patches]:
        """Every site once, in the order of the source."""
        return prefetch(self._batches(self.source.groups(self.sites), None))

    def cached(self) -> "Batches":
        """The same batches, read once if they fit into a buffer: for sites that are validated on in every epoch."""
        if not 0 < len(self.sites) * self._item_bytes() <= BUFFER_BYTES:
            return self
        loaded, places = self.source.load(self.sites)
        return replace(self, source=loaded, sites=places)

    def _batches(
        self, groups: Sequence[np.ndarray], rng: np.random.Generator | None
    ) -> Iterator[Patches]:
        buffers = (self.source.load(np.sort(sites)) for sites in self._buffers(groups))
        for loaded, places in prefetch(buffers):
            order = places if rng is None else rng.permutation(places)
            # Of equal size: the step on a last batch of three patches would be as large as on a hundred.
            for batch in np.array_split(order, -(-len(order) // self.batch_size)):
                patches = loaded.take(batch)
                if self.device.type == "cuda":
                    patches = patches.pin()
                yield patches.to(self.device)

    def _buffers(self, groups: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        buffer: list[np.ndarray] = []
        for group in groups:
            buffer.append(group)
            if sum(map(len, buffer)) * self._item_bytes() >= BUFFER_BYTES:
                yield np.concatenate(buffer)
                buffer = []
        if buffer:
            yield np.concatenate(buffer)

    def _item_bytes(self) -> int:
        """Bytes of a patch in memory, with its mask."""
        shape = self.source.geometry
        return 5 * shape.n_channels * shape.height * shape.width


@dataclass(frozen=True)
class HintedBatches:
    """Batches that come with hints in the first epochs of a training."""

    batches: Batches
    """Those of the other epochs."""
    hints: Sequence[tuple[int, SiteAnnotations]]
    """Number of epochs from the first one, and the annotations of the source in these epochs; the hints that end first, first."""

    @property
    def device(self) -> torch.device:
        """Of the batches."""
        return self.batches.device

    @property
    def n_items(self) -> int:
        """Number of sites."""
        return self.batches.n_items

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.batches)

    def epoch(self, number: int, *, seed: int) -> Iterator[Patches]:
        """Every site once, with the hints of this epoch."""
        for n_epochs, annotations in self.hints:
            if number < n_epochs:
                return self.batches.annotated(annotations).epoch(number, seed=seed)
        return self.batches.epoch(number, seed=seed)


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; while one is used, a thread computes the next."""
    with ThreadPoolExecutor(max_workers=1) as worker:
        upcoming = worker.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = worker.submit(next, items, None)
            yield item
