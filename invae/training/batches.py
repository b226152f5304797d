"""Batches: sources of signals become seeded tensors, epoch by epoch."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from invae.models.signals import Signals
from invae.training.annotations import SiteAnnotations
from invae.training.signal_sources import SignalSource

BUFFER_BYTES = 64 << 20
"""Patches that are shuffled together while streaming. Memory holds two such buffers (one is read while the other is used), and the held-out
patches if they are no larger."""

SHUFFLING = 2
"""Stream of random numbers for the order of sites; `Fit` has others from the same seed."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Batches:
    """Batches of some sites of a source, in a new order each epoch or in the order of the source."""

    source: SignalSource
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

    def epoch(self, number: int, *, seed: int) -> Iterator[Signals]:
        """Every site once, in an order that follows from the seed and the epoch."""
        return self.shuffled(seed, SHUFFLING, number)

    def annotated(self, annotations: SiteAnnotations) -> "Batches":
        """The same patches with other annotations of all sites of the source."""
        return replace(self, source=self.source.annotated(annotations))

    def shuffled(self, *seed: int) -> Iterator[Signals]:
        """Every site once, in an order that follows from the seed.

        Groups (shards) come in random order; sites are shuffled within the groups that share a buffer.
        """
        rng = np.random.default_rng(seed)
        groups = self.source.groups(self.sites)
        return prefetch(self._batches([groups[k] for k in rng.permutation(len(groups))], rng))

    def in_order(self) -> Iterator[Signals]:
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
    ) -> Iterator[Signals]:
        buffers = (self.source.load(np.sort(sites)) for sites in self._buffers(groups))
        for loaded, places in prefetch(buffers):
            order = places if rng is None else rng.permutation(places)
            # Of equal size: the step on a last batch of three patches would be as large as on a hundred.
            for batch in np.array_split(order, -(-len(order) // self.batch_size)):
                signals = loaded.take(batch)
                if self.device.type == "cuda":
                    signals = signals.pin()
                yield signals.to(self.device)

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
        """Bytes of a site in memory, with its masks."""
        return 5 * sum(geometry.n_values for geometry in self.source.geometries.values())


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

    def epoch(self, number: int, *, seed: int) -> Iterator[Signals]:
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
