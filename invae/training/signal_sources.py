"""Sources of signals: arrays in memory or a store that is read when needed; unusable values are refused here."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from invae import dims
from invae.errors import InputError
from invae.models.batch import Geometry, Patches
from invae.models.likelihoods import Limits
from invae.models.signals import IMAGE, Signals
from invae.training.annotations import SiteAnnotations, of_store

if TYPE_CHECKING:
    import xarray as xr

IN_MEMORY_BYTES = 512 << 20
"""Stores up to this size are read once; larger ones are streamed."""

NO_ANNOTATIONS = SiteAnnotations()
ANY_VALUE: Mapping[str, Limits | None] = {}
Source = TypeVar("Source", "ArraySource", "StreamSource")

Read = Callable[[slice], tuple[np.ndarray, np.ndarray | None]]
"""Values of one signal and their mask (none: all valid) at neighbouring sites."""


@dataclass(frozen=True)
class SignalArray:
    """One signal in memory."""

    values: np.ndarray
    """(site, channel, y, x); a spectrum has one row."""
    valid: np.ndarray | None = None
    """Mask of the same shape, True where a value counts; all count when empty."""


@dataclass(frozen=True)
class SignalStream:
    """One signal that is read when it is needed."""

    read: Read
    shape: tuple[int, ...]
    """(site, channel, y, x)."""
    limits: Limits | None = None
    """Smallest and largest value that the likelihood can take."""


@runtime_checkable
class SignalSource(Protocol):
    """Signals by site, in NumPy; finite, and zero under the mask."""

    geometries: dict[str, Geometry]
    """Of every signal, by its name."""
    known: SiteAnnotations

    def __len__(self) -> int: ...

    def annotated(self, known: SiteAnnotations) -> "SignalSource":
        """The same signals with other annotations."""
        ...

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        """Ascending sites in groups that are efficient to read together."""
        ...

    def load(self, sites: np.ndarray) -> "tuple[ArraySource, np.ndarray]":
        """A source in memory with these ascending sites, and their places in it."""
        ...


class ArraySource:
    """Signals in memory."""

    def __init__(
        self,
        patches: np.ndarray,
        valid: np.ndarray | None = None,
        *,
        known: SiteAnnotations = NO_ANNOTATIONS,
        limits: Limits | None = None,
    ) -> None:
        """Take patches, the signal `image`: (site, channel, y, x), and a mask of the same shape, True where a pixel counts.

        Args:
            patches: Any real type.
            valid: The mask.
            known: Annotations of the same sites.
            limits: Smallest and largest value of the likelihood.

        Raises:
            InputError: A valid value is not finite or out of the limits.
        """
        image = SignalArray(*clean(patches, valid, limits=limits))
        self._begin({IMAGE: image}, known)

    @classmethod
    def of_signals(
        cls,
        signals: Mapping[str, SignalArray],
        *,
        known: SiteAnnotations = NO_ANNOTATIONS,
        limits: Mapping[str, Limits | None] = ANY_VALUE,
    ) -> "ArraySource":
        """A source of several signals of the same sites.

        Args:
            signals: By name.
            known: Annotations of the sites.
            limits: Values that the likelihood of each signal can take.

        Raises:
            InputError: A valid value is not finite or out of the limits, or the numbers of sites differ.
        """
        lengths = {name: len(signal.values) for name, signal in signals.items()}
        if len(set(lengths.values())) != 1:
            counts = ", ".join(f"{n} of {name}" for name, n in lengths.items())
            raise InputError(f"the signals have {counts or 'no'} sites; give equal numbers")
        cleaned = {
            name: SignalArray(
                *clean(signal.values, signal.valid, limits=limits.get(name), signal=name)
            )
            for name, signal in signals.items()
        }
        return cls.from_clean(cleaned, known=known)

    @classmethod
    def from_clean(
        cls, signals: Mapping[str, SignalArray], *, known: SiteAnnotations
    ) -> "ArraySource":
        """A source of arrays that `clean` has returned; checking a buffer again takes as long as reading it."""
        source = cls.__new__(cls)
        source._begin(signals, known)
        return source

    def _begin(self, signals: Mapping[str, SignalArray], known: SiteAnnotations) -> None:
        self._signals, self.known = dict(signals), known
        self.geometries = {name: geometry_of(s.values.shape) for name, s in signals.items()}

    def __len__(self) -> int:
        return len(next(iter(self._signals.values())).values)

    def annotated(self, known: SiteAnnotations) -> "ArraySource":
        return _annotated(self, known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        return [sites] if len(sites) else []

    def load(self, sites: np.ndarray) -> "tuple[ArraySource, np.ndarray]":
        return self, sites

    def take(self, sites: np.ndarray) -> Signals:
        """A batch."""
        patches = {
            name: Patches(
                torch.from_numpy(signal.values[sites]),
                None if signal.valid is None else torch.from_numpy(signal.valid[sites]),
            )
            for name, signal in self._signals.items()
        }
        return Signals(patches, self.known.take(sites))


class Buffer:
    """Memory for some sites of one signal, filled piece by piece."""

    def __init__(self, n_sites: int, geometry: Geometry) -> None:
        shape = (n_sites, geometry.n_channels, geometry.height, geometry.width)
        self.values, self.valid = np.empty(shape, np.float32), np.empty(shape, bool)
        self._hides, self._n_filled = False, 0

    def next(self, n_sites: int) -> tuple[np.ndarray, np.ndarray]:
        """Values and mask of the next sites, to be filled."""
        part = slice(self._n_filled, self._n_filled + n_sites)
        self._n_filled = part.stop
        return self.values[part], self.valid[part]

    def note_mask(self, *, hides: bool) -> None:
        """Remember whether the mask of a piece hides a value."""
        self._hides = self._hides or hides

    def filled(self) -> SignalArray:
        """The signal; without a mask if none has hidden anything."""
        return SignalArray(self.values, self.valid if self._hides else None)


class StreamSource:
    """Signals that are read from a store when they are needed, whole shards at a time."""

    def __init__(
        self,
        signals: Mapping[str, SignalStream],
        *,
        shard: int,
        known: SiteAnnotations = NO_ANNOTATIONS,
    ) -> None:
        """Take signals of the same sites, cheapest to read in multiples of `shard` sites."""
        self.geometries = {name: geometry_of(signal.shape) for name, signal in signals.items()}
        self._signals, self._shard, self.known = dict(signals), shard, known

    def __len__(self) -> int:
        return next(iter(self._signals.values())).shape[0]

    def annotated(self, known: SiteAnnotations) -> "StreamSource":
        return _annotated(self, known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        cuts = np.flatnonzero(np.diff(sites // self._shard)) + 1
        return [piece for piece in np.split(sites, cuts) if len(piece)]

    def load(self, sites: np.ndarray) -> tuple[ArraySource, np.ndarray]:
        buffers = {name: Buffer(len(sites), g) for name, g in self.geometries.items()}
        for piece in self.groups(sites):
            for name, signal in self._signals.items():
                values, valid = buffers[name].next(len(piece))
                _read_into(values, valid, signal.read, piece)
                _, mask = clean(
                    values, valid, limits=signal.limits, sites=piece, own=True, signal=name
                )
                buffers[name].note_mask(hides=mask is not None)
        held = {name: buffer.filled() for name, buffer in buffers.items()}
        return ArraySource.from_clean(held, known=self.known.of(sites)), np.arange(len(sites))


def _read_into(values: np.ndarray, valid: np.ndarray, read: Read, sites: np.ndarray) -> None:
    """Read sites of one shard into existing memory: allocation takes as long as decompression."""
    first = int(sites[0])
    patches, mask = read(slice(first, int(sites[-1]) + 1))
    _refuse_type(patches.dtype)
    patches, chosen = np.asarray(patches, np.float32), sites - first
    np.take(patches, chosen, axis=0, out=values, mode="clip")
    if mask is None:
        valid[...] = True
    else:
        np.take(mask, chosen, axis=0, out=valid, mode="clip")


def bytes_of(dataset: "xr.Dataset", signals: Sequence[str] = (IMAGE,)) -> int:
    """Memory that signals of a descriptor store take: 4 bytes of a value and 1 of its mask."""
    names = [variable_of(signal) for signal in signals]
    return sum(dataset[name].size * 5 for name in names if name in dataset)


def variable_of(signal: str) -> str:
    """The variable of a descriptor store that holds a signal; `<name>_valid` is its mask, of patches `valid`."""
    return "patch" if signal == IMAGE else signal


def open_signals(
    path: Path,
    *,
    signals: Sequence[str] = (IMAGE,),
    limits: Mapping[str, Limits | None] = ANY_VALUE,
    in_memory: bool = True,
) -> SignalSource:
    """Signals of a descriptor store; in memory if they are few and may be.

    Args:
        path: The store.
        signals: Names of the signals. `image` is the variable `patch` (site, channel, patch_y, patch_x); any other is the variable
            of its name, (site, channel, …) or (site, …) with one axis of a spectrum or two of an image.
        limits: Values that the likelihood of each signal can take.
        in_memory: Whether a small store may be read at once.

    Raises:
        StoreError: There is no such store.
        InputError: It lacks a signal, or holds values that cannot be used.
    """
    from invae.storage import store

    dataset = store.open_store(path)
    streams = {name: _stream_of(dataset, name, path, limits.get(name)) for name in signals}
    if dataset.sizes[dims.SITE] == 0:
        raise InputError(f"{path} has no sites; nothing to train on or to encode")
    known = of_store(dataset)
    if in_memory and bytes_of(dataset, signals) <= IN_MEMORY_BYTES:
        held = {name: SignalArray(*stream.read(slice(None))) for name, stream in streams.items()}
        return ArraySource.of_signals(held, known=known, limits=limits)
    encoding = dataset[variable_of(signals[0])].encoding
    shard = (encoding.get("shards") or encoding.get("chunks") or (1,))[0]
    return StreamSource(streams, shard=int(shard), known=known)


def _stream_of(
    dataset: "xr.Dataset", signal: str, path: Path, limits: Limits | None
) -> SignalStream:
    """One signal of a store, read as (site, channel, y, x).

    Raises:
        InputError: The store lacks it.
    """
    name = variable_of(signal)
    if signal == IMAGE and (name not in dataset or dataset[name].dims != dims.PATCH):
        raise InputError(f"{path} has no patches (site, channel, patch_y, patch_x)")
    if name not in dataset or dataset[name].dims[:1] != (dims.SITE,):
        raise InputError(f"{path} has no signal {name} (site, …)")
    values = dataset[name]
    valid = dataset.get("valid" if signal == IMAGE else f"{name}_valid")
    n_sites, *shape = values.shape
    if dims.CHANNEL not in values.dims:
        shape = [1, *shape]
    shape = (shape[0], 1, shape[1]) if len(shape) == 2 else tuple(shape)

    def read(place: slice) -> tuple[np.ndarray, np.ndarray | None]:
        part = values[place].to_numpy()
        mask = None if valid is None else valid[place].to_numpy().reshape(-1, *shape)
        return part.reshape(-1, *shape), mask

    return SignalStream(read, (n_sites, *shape), limits)


def _annotated(source: Source, known: SiteAnnotations) -> Source:
    other = copy(source)
    other.known = known
    return other


def geometry_of(shape: Sequence[int]) -> Geometry:
    """Geometry of a signal (site, channel, y, x)."""
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
    signal: str = IMAGE,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Patches as float32 with zeros under the mask; no mask if all values are valid.

    Args:
        patches: Any real type.
        valid: The mask.
        limits: Smallest and largest value of the likelihood.
        sites: Numbers of the sites, where they do not start at 0.
        own: Whether the patches, float32, may be changed in place.
        signal: Name, for messages.

    Raises:
        InputError: A valid value is not finite or out of the limits.
    """
    _refuse_type(patches.dtype)
    if valid is not None and valid.shape != patches.shape:
        raise InputError(
            f"mask{_of(signal)} has shape {valid.shape}, patches {patches.shape}; make them equal"
        )
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
            f"{int(bad.sum())} values{_of(signal)} are NaN or infinite, the first in patch {site}; "
            "mask them with `valid`"
        )
    if limits is not None and (trouble := limits.trouble(patches)):
        raise InputError(trouble)
    return patches, valid


def _of(signal: str) -> str:
    """The name of a signal in a message; none for patches."""
    return "" if signal == IMAGE else f" of {signal}"


def _refuse_type(dtype: np.dtype) -> None:
    if dtype.kind not in "fiub":
        raise InputError(f"patches are of type {dtype}; real numbers are needed")
