"""The training set of a model, from one store or from several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.models.likelihoods import Limits
from invae.models.signals import IMAGE
from invae.training.annotations import SiteAnnotations, joined
from invae.training.signal_sources import (
    ANY_VALUE,
    IN_MEMORY_BYTES,
    ArraySource,
    Buffer,
    SignalSource,
    bytes_of,
    open_signals,
)
from invae.training.spectral_axis import SpectralAxis, spectral_axis_of
from invae.training.split import Places, Split, split_blocks, split_sites

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Part:
    """The contribution of one store to a training set."""

    recording: str
    key: str
    """In the store's receipt."""
    n_sites: int


@dataclass(frozen=True)
class TrainingSet:
    """Patches, and their split into training and held-out sites."""

    source: SignalSource
    split: Split
    channels: tuple[str, ...]
    pixel_size_nm: float | None
    """Also none if the stores differ in it."""
    parts: tuple[Part, ...]
    axis: SpectralAxis | None = None
    """Of spectra."""


class PooledSource:
    """Signals of several sources in succession; each is read only when its sites are needed."""

    def __init__(self, parts: Sequence[SignalSource], *, known: SiteAnnotations) -> None:
        """Join sources of equal geometry; `known` has the annotations of all their sites."""
        self.geometries, self.known = parts[0].geometries, known
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def annotated(self, known: SiteAnnotations) -> "PooledSource":
        return PooledSource(self._parts, known=known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        return [group + start for part, start, own in self._of(sites) for group in part.groups(own)]

    def load(self, sites: np.ndarray) -> tuple[ArraySource, np.ndarray]:
        buffers = {name: Buffer(len(sites), g) for name, g in self.geometries.items()}
        # Group by group: apart from the result, memory holds the sites of one group.
        for part, group in self._groups_of(sites):
            loaded, places = part.load(group)
            for name, piece in loaded.take(places).patches.items():
                values, valid = buffers[name].next(len(group))
                values[...] = piece.values.numpy()
                valid[...] = True if piece.valid is None else piece.valid.numpy()
                buffers[name].note_mask(hides=piece.valid is not None)
        filled = {name: buffer.filled() for name, buffer in buffers.items()}
        return ArraySource.from_clean(filled, known=self.known.of(sites)), np.arange(len(sites))

    def _groups_of(self, sites: np.ndarray) -> Iterator[tuple[SignalSource, np.ndarray]]:
        """Parts, with their own numbers of the sites, in groups that are cheap to read together."""
        for part, _, own in self._of(sites):
            yield from ((part, group) for group in part.groups(own))

    def _of(self, sites: np.ndarray) -> list[tuple[SignalSource, int, np.ndarray]]:
        """For parts with some of the ascending sites: the part, its first site, and its own numbers of these sites."""
        cuts = np.searchsorted(sites, self._starts[1:-1])
        parts = zip(self._parts, self._starts[:-1], np.split(sites, cuts), strict=True)
        return [(part, int(start), own - start) for part, start, own in parts if len(own)]


def training_set(
    paths: Sequence[Path],
    *,
    share: float,
    seed: int,
    signals: Sequence[str] = (IMAGE,),
    limits: Mapping[str, Limits | None] = ANY_VALUE,
) -> TrainingSet:
    """Patches of one or several descriptor stores, with held-out blocks of space and time in each.

    Args:
        paths: Finished stores.
        share: Share held out of every store.
        seed: Of the choice of blocks.
        signals: Names of the signals to read.
        limits: Smallest and largest value of the likelihood of each signal.

    Raises:
        InputError: A store has no usable patches, or patches of another kind than the first store.
    """
    from invae.storage import store

    source = open_pool(paths, signals=signals, limits=limits)
    datasets = [store.open_store(path) for path in paths]
    splits = [split_store(dataset, share=share, seed=seed) for dataset in datasets]
    starts = np.cumsum([0, *(dataset.sizes[dims.SITE] for dataset in datasets)])
    pixel_sizes = {dataset.attrs.get("pixel_size_nm") for dataset in datasets}
    receipts = [store.read_receipt(path) for path in paths]
    return TrainingSet(
        source=source,
        split=Split(
            np.concatenate([s.training + n for s, n in zip(splits, starts, strict=False)]),
            np.concatenate([s.held_out + n for s, n in zip(splits, starts, strict=False)]),
        ),
        channels=channels_of(datasets[0]),
        pixel_size_nm=pixel_sizes.pop() if len(pixel_sizes) == 1 else None,
        parts=tuple(
            Part(
                receipt.recording if receipt else path.parent.name,
                receipt.key if receipt else "",
                dataset.sizes[dims.SITE],
            )
            for path, receipt, dataset in zip(paths, receipts, datasets, strict=True)
        ),
        axis=spectral_axis_of(datasets[0]),
    )


def open_pool(
    paths: Sequence[Path],
    *,
    signals: Sequence[str] = (IMAGE,),
    limits: Mapping[str, Limits | None] = ANY_VALUE,
) -> SignalSource:
    """Signals of some stores in succession; in memory if they are small, else streamed.

    Raises:
        InputError: A store has no patches, or patches of another kind than the first store.
    """
    from invae.storage import store

    datasets = [store.open_store(path) for path in paths]
    few = sum(bytes_of(dataset, signals) for dataset in datasets) <= IN_MEMORY_BYTES
    parts = [open_signals(p, signals=signals, limits=limits, in_memory=few) for p in paths]
    for path, dataset in zip(paths[1:], datasets[1:], strict=True):
        refuse_another_kind(path, dataset, paths[0], datasets[0])
    if len(parts) == 1:
        return parts[0]
    known = joined([part.known for part in parts], lengths=[len(part) for part in parts])
    pool = PooledSource(parts, known=known)
    return pool.load(np.arange(len(pool)))[0] if few else pool


def refuse_another_kind(
    path: Path, dataset: "xr.Dataset", first: Path, other: "xr.Dataset"
) -> None:
    """Refuse patches that one model cannot take together with those of the first store.

    Raises:
        InputError: Shape, channels, the axis of spectra or the meaning of labels differ.
    """
    kinds = [
        (_shape_of(one), channels_of(one), _spectral_axis_of(one), _meanings_of(one))
        for one in (dataset, other)
    ]
    names = ("patches", "channels", "spectra over", "labels")
    for name, own, expected in zip(names, *kinds, strict=True):
        if own != expected:
            raise InputError(
                f"{path} has {name} {own}, {first} has {expected}; one model takes one kind: "
                "describe them under one configuration"
            )


def _shape_of(dataset: "xr.Dataset") -> str:
    return " × ".join(str(dataset.sizes.get(name, 0)) for name in dims.PATCH[1:])


def _spectral_axis_of(dataset: "xr.Dataset") -> str:
    """Name, unit and range of the axis of spectra; empty without spectra."""
    axis = spectral_axis_of(dataset)
    if axis is None:
        return ""
    first, last = axis.values[[0, -1]]
    return f"{axis.name}, {len(axis.values)} values from {first:.4g} to {last:.4g} {axis.units}"


def _meanings_of(dataset: "xr.Dataset") -> str:
    return str(dataset["labels"].attrs.get("flag_meanings", "")) if "labels" in dataset else ""


def split_store(dataset: "xr.Dataset", *, share: float, seed: int) -> Split:
    """Held-out blocks of a store whose sites have places; single sites of a store without places, or with independent frames
    of one patch each.
    """
    n_sites = dataset.sizes[dims.SITE]
    if not {"frame", "y", "x"} <= set(dataset.coords) or dataset.attrs.get("independent_frames"):
        return split_sites(n_sites, share=share, seed=seed)
    places = Places(
        frame=dataset["frame"].to_numpy(),
        y=dataset["y"].to_numpy(),
        x=dataset["x"].to_numpy(),
        window=float(
            dataset.attrs.get(
                "footprint", max(dataset.sizes[dims.PATCH_Y], dataset.sizes[dims.PATCH_X])
            )
        ),
        n_frames=_delay_span(channels_of(dataset)),
    )
    return split_blocks(places, share=share, seed=seed)


def channels_of(dataset: "xr.Dataset") -> tuple[str, ...]:
    """Names of the channels; numbers if they have no names."""
    if dims.CHANNEL in dataset.coords:
        return tuple(str(name) for name in dataset[dims.CHANNEL].to_numpy())
    return tuple(str(number) for number in range(dataset.sizes[dims.CHANNEL]))


def _delay_span(channels: tuple[str, ...]) -> int:
    """Frames covered by patches with these channels: `t-1`, `t`, `t+1` are three."""
    if not all(name == "t" or name[:2] in ("t-", "t+") for name in channels):
        return 1
    delays = [int(name[1:] or 0) for name in channels]
    return max(delays) - min(delays) + 1
