"""What the values of a channel are like, found block by block."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Survey:
    """What the values of a channel are like."""

    n_nan: int
    n_infinite: int
    minimum: float
    """Of the finite values; infinite if there is none."""
    maximum: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Survey":
        """The survey of some values."""
        if values.dtype.kind != "f":
            return cls(0, 0, float(values.min()), float(values.max()))
        finite = np.isfinite(values)
        n_nan = int(np.isnan(values).sum()) if not finite.all() else 0
        lowest = float(np.min(values, initial=np.inf, where=finite))
        highest = float(np.max(values, initial=-np.inf, where=finite))
        return cls(n_nan, int(values.size - finite.sum()) - n_nan, lowest, highest)

    def joined(self, other: "Survey") -> "Survey":
        """The survey of both parts."""
        return Survey(
            self.n_nan + other.n_nan,
            self.n_infinite + other.n_infinite,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )

    def remark(self, name: str) -> str:
        """One line if the channel says nothing, or has gaps."""
        if self.minimum > self.maximum:
            return f"channel {name} holds no finite number"
        if self.minimum == self.maximum:
            return f"channel {name} is constant ({self.minimum:g})"
        if self.n_nan or self.n_infinite:
            return f"channel {name} has {self.n_nan} NaN and {self.n_infinite} infinite values"
        return ""

    @property
    def is_constant(self) -> bool:
        """Whether there are no two different numbers."""
        return self.minimum >= self.maximum
