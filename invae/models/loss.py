"""The loss of a batch, and its terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Tally:
    """Sum of a term over the items of a batch for which it is known, and their number."""

    total: Tensor | float
    count: Tensor | int

    @classmethod
    def of(cls, values: Float[Tensor, " batch"]) -> "Tally":
        """A term that is known for every item."""
        return cls(values.sum(), len(values))

    @property
    def mean(self) -> Tensor:
        """Mean over those items; 0 if there is none."""
        return torch.as_tensor(self.total / torch.as_tensor(self.count).clamp(min=1))


@dataclass(frozen=True)
class Loss:
    """The loss of a batch, and its terms."""

    value: Float[Tensor, ""]
    """The minimised value, a mean over the batch."""
    terms: Mapping[str, Tally]
    """By the names that the history has, without their weights."""
    histograms: Mapping[str, Float[Tensor, " bin"]] = field(default_factory=dict)
    """Counts of items by a property, summed over an epoch."""
