"""Batches that are drawn at random: epochs have a number of steps, not every item once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias

import numpy as np
import torch

from invae.training.learner import Batch

DRAWS = 5
"""Stream of random numbers for batches; `Fit` has others from the same seed."""
CPU = torch.device("cpu")
Draw: TypeAlias = Callable[[np.random.Generator, int], Batch]
"""From random numbers and a number of items to a batch; equal numbers give equal batches."""


@dataclass(frozen=True)
class RandomBatches(Generic[Batch]):
    """Batches on the CPU that follow from the seed and the epoch."""

    draw: Draw[Batch]
    batch_size: int
    n_steps: int
    """Batches in an epoch."""
    device: torch.device = CPU

    @property
    def n_items(self) -> int:
        """Items in an epoch."""
        return self.n_steps * self.batch_size

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.n_steps

    def epoch(self, number: int, *, seed: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        rng = np.random.default_rng((seed, DRAWS, number))
        return (self.draw(rng, self.batch_size) for _ in range(self.n_steps))


class NothingHeldOut:
    """No batches to validate on."""

    def in_order(self) -> Iterator[Any]:
        """No batch."""
        return iter(())
