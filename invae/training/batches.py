"""Batches: a store or an array becomes seeded tensors; what cannot be trained on is refused here."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from invae import dims
from invae.errors import InputError
from invae.models.likelihoods import Limits
from invae.models.patches import Geometry, Patches
from invae.training.known import SiteKnown, of_store

if TYPE_CHECKING:
    import xarray as xr

IN_MEMORY_BYTES = 512 << 20
"""Stores up to this size are read once; larger ones are streamed."""
BUFFER_BYTES = 128 << 20
"""Patches shuffled among each other while streaming."""

NOTHING = SiteKnown()
Source = TypeVar("Source", "ArraySource", "StreamSource")

Read = Callable[[slice], tuple[np.ndarray, np.ndarray | None]]
"""Patches and their masks (none: all valid) of neighbouring sites."""


@runtime_checkable
class PatchSource(Protocol):
    """Patches by site, in NumPy; finite, and zero under the mask."""

    geometry: Geometry
    known: SiteKnown

    def __len__(self) -> int: ...

    def telling(self, known: SiteKnown) -> "PatchSource":
        """The same patches with something else known beside them."""
        ...

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        """Ascending sites in groups that are cheap to read together."""
        ...

    def load(self, sites: np.ndarray) -> "tuple[ArraySource, np.ndarray]":
        """A source in memory that holds these ascending sites, and where they are in it."""
        ...


class ArraySource:
    """Patches in memory."""

    def __init__(
        self,
        patches: np.ndarray,
        valid: np.ndarray | None = None,
        *,
        known: SiteKnown = NOTHING,
        limits: Limits | None = None,
    ) -> None:
        """Take patches (site, channel, y, x) and a mask of the same shape, True where a pixel counts.

        Args:
            patches: Any real type.
            valid: The mask.
            known: Labels and variables of the same sites.
            limits: Smallest and largest value that the likelihood can take.

        Raises:
            InputError: A value is not finite where it counts, or out of the limits.
        """
        self.geometry = geometry_of(patches.shape)
        self._patches, self._valid = clean(patches, valid, limits=limits)
        self.known = known

    def __len__(self) -> int:
        return len(self._patches)

    def telling(self, known: SiteKnown) -> "ArraySource":
        return _with_known(self, known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        return [sites] if len(sites) else []

    def load(self, sites: np.ndarray) -> "tuple[ArraySource, np.ndarray]":
        return self, sites

    def take(self, sites: np.ndarray) -> Patches:
        """A batch of patches."""
        valid = None if self._valid is None else torch.from_numpy(self._valid[sites])
        return Patches(torch.from_numpy(self._patches[sites]), valid, self.known.take(sites))


class StreamSource:
    """Patches read from a store when they are needed, whole shards at a time."""

    def __init__(
        self,
        read: Read,
        shape: Sequence[int],
        *,
        shard: int,
        known: SiteKnown = NOTHING,
        limits: Limits | None = None,
    ) -> None:
        """Take a function that reads slices of `shape`'s first dimension, cheapest in multiples of `shard`."""
        self.geometry = geometry_of(shape)
        self._read, self._length, self._shard, self._limits = read, shape[0], shard, limits
        self.known = known

    def __len__(self) -> int:
        return self._length

    def telling(self, known: SiteKnown) -> "StreamSource":
        return _with_known(self, known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        cuts = np.flatnonzero(np.diff(sites // self._shard)) + 1
        return [piece for piece in np.split(sites, cuts) if len(piece)]

    def load(self, sites: np.ndarray) -> tuple[ArraySource, np.ndarray]:
        pieces = [self._piece(piece) for piece in self.groups(sites)]
        patches = np.concatenate([patches for patches, _ in pieces])
        masks = [np.ones(p.shape, bool) if v is None else v for p, v in pieces]
        source = ArraySource(
            patches, np.concatenate(masks), known=self.known.of(sites), limits=self._limits
        )
        return source, np.arange(len(sites))

    def _piece(self, sites: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        first = int(sites[0])
        patches, valid = self._read(slice(first, int(sites[-1]) + 1))
        chosen = sites - first
        return patches[chosen], None if valid is None else valid[chosen]


def bytes_of(dataset: "xr.Dataset") -> int:
    """Memory that the patches of a descriptor store take: 4 bytes of a value and 1 of its mask."""
    return dataset["patch"].size * 5 if "patch" in dataset else 0


def open_patches(
    path: Path, *, limits: Limits | None = None, in_memory: bool = True
) -> PatchSource:
    """The patches of a descriptor store; in memory if they are few, and it is not said that they shall not be.

    Raises:
        StoreError: There is no such store.
        InputError: It holds no patches, or some that cannot be used.
    """
    from invae import store  # brings zarr, which a bare GPU machine lacks

    dataset = store.open_store(path)
    if "patch" not in dataset or dataset["patch"].dims != dims.PATCH:
        raise InputError(f"{path} holds no patches (site, channel, patch_y, patch_x)")
    if dataset.sizes[dims.SITE] == 0:
        raise InputError(f"{path} holds no sites; nothing to train on or to encode")
    patches, valid, known = dataset["patch"], dataset.get("valid"), of_store(dataset)

    def read(place: slice) -> tuple[np.ndarray, np.ndarray | None]:
        mask = None if valid is None else valid[place].to_numpy()
        return patches[place].to_numpy(), mask

    if in_memory and bytes_of(dataset) <= IN_MEMORY_BYTES:
        return ArraySource(*read(slice(None)), known=known, limits=limits)
    encoding = patches.encoding
    shard = (encoding.get("shards") or encoding.get("chunks") or (1,))[0]
    return StreamSource(read, patches.shape, shard=int(shard), known=known, limits=limits)


def _with_known(source: Source, known: SiteKnown) -> Source:
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
) -> tuple[np.ndarray, np.ndarray | None]:
    """Patches as float32 with zeros under the mask; no mask if it hides nothing.

    Raises:
        InputError: A value that counts is not finite or out of the limits.
    """
    if patches.dtype.kind not in "fiub":
        raise InputError(f"patches are of type {patches.dtype}; real numbers are needed")
    if valid is not None and valid.shape != patches.shape:
        raise InputError(f"mask has shape {valid.shape}, patches {patches.shape}; make them equal")
    patches = np.ascontiguousarray(patches, dtype=np.float32)
    valid = None if valid is None or valid.all() else np.asarray(valid, dtype=bool)
    if valid is not None:
        patches = np.where(valid, patches, np.float32(0))
    bad = ~np.isfinite(patches)
    if bad.any():
        site = int(np.argwhere(bad)[0, 0])
        raise InputError(
            f"{int(bad.sum())} values are NaN or infinite, the first in patch {site}; "
            "mask them with `valid`"
        )
    if limits is not None and (trouble := limits.trouble(patches)):
        raise InputError(trouble)
    return patches, valid


@dataclass(frozen=True)
class Batches:
    """Batches of some sites of a source, in another order each epoch or as they come."""

    source: PatchSource
    sites: np.ndarray
    """Ascending."""
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        """Number of batches; a few more while streaming."""
        return -(-len(self.sites) // self.batch_size)

    def shuffled(self, *seed: int) -> Iterator[Patches]:
        """Every site once, in an order that follows from the seed.

        Groups (shards) come in random order; sites are shuffled among the groups that share a buffer.
        """
        rng = np.random.default_rng(seed)
        groups = self.source.groups(self.sites)
        return self._ahead([groups[k] for k in rng.permutation(len(groups))], rng)

    def in_order(self) -> Iterator[Patches]:
        """Every site once, in the order of the source."""
        return self._ahead(self.source.groups(self.sites), None)

    def _ahead(
        self, groups: Sequence[np.ndarray], rng: np.random.Generator | None
    ) -> Iterator[Patches]:
        """Batches on the device; the next one is made while this one is used."""
        made = self._batches(groups, rng)
        with ThreadPoolExecutor(max_workers=1) as worker:
            coming = worker.submit(next, made, None)
            while (batch := coming.result()) is not None:
                coming = worker.submit(next, made, None)
                yield batch

    def _batches(
        self, groups: Sequence[np.ndarray], rng: np.random.Generator | None
    ) -> Iterator[Patches]:
        for sites in self._buffers(groups):
            held, places = self.source.load(np.sort(sites))
            places = places if rng is None else rng.permutation(places)
            # Of equal size: a last batch of three patches would step as far as one of a hundred.
            for batch in np.array_split(places, -(-len(places) // self.batch_size)):
                patches = held.take(batch)
                if self.device.type == "cuda":
                    patches = patches.pin()
                yield patches.to(self.device)

    def _buffers(self, groups: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        shape = self.source.geometry
        item = 5 * shape.n_channels * shape.height * shape.width
        held: list[np.ndarray] = []
        for group in groups:
            held.append(group)
            if sum(map(len, held)) * item >= BUFFER_BYTES:
                yield np.concatenate(held)
                held = []
        if held:
            yield np.concatenate(held)
