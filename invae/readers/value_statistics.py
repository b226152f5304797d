"""Range and gaps of the values of a channel, combined block by block."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ValueStatistics:
    """Range and gaps of some values."""

    n_nan: int
    n_infinite: int
    minimum: float
    """Smallest finite value; infinite if there is none."""
    maximum: float

    @classmethod
    def of(cls, values: np.ndarray) -> "ValueStatistics":
        """The statistics of some values."""
        if values.dtype.kind != "f":
            return cls(0, 0, float(values.min()), float(values.max()))
        finite = np.isfinite(values)
        n_nan = int(np.isnan(values).sum()) if not finite.all() else 0
        lowest = float(np.min(values, initial=np.inf, where=finite))
        highest = float(np.max(values, initial=-np.inf, where=finite))
        return cls(n_nan, int(values.size - finite.sum()) - n_nan, lowest, highest)

    def joined(self, other: "ValueStatistics") -> "ValueStatistics":
        """The statistics of both parts together."""
        return ValueStatistics(
            self.n_nan + other.n_nan,
            self.n_infinite + other.n_infinite,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )

    def remark(self, name: str) -> str:
        """One line if the channel is constant or has gaps; otherwise empty."""
        if self.minimum > self.maximum:
            return f"channel {name} holds no finite number"
        if self.minimum == self.maximum:
            return f"channel {name} is constant ({self.minimum:g})"
        if self.n_nan or self.n_infinite:
            return f"channel {name} has {self.n_nan} NaN and {self.n_infinite} infinite values"
        return ""

    @property
    def is_constant(self) -> bool:
        """Whether all finite values are equal."""
        return self.minimum >= self.maximum
