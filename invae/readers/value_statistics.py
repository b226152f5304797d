"""Range and gaps of the values of a channel, combined block by block."""

from dataclasses import dataclass

import numpy as np

SAMPLED = 4096
"""Number of values of a block that are kept to estimate the range of typical values."""
LARGEST_SAMPLE = 1 << 17
"""Largest number of values that are kept of all blocks; above it every second one is dropped."""
TYPICAL = (0.01, 0.99)
"""Quantiles between which values are typical."""


@dataclass(frozen=True, eq=False)
class ValueStatistics:
    """Range and gaps of some values."""

    n_nan: int
    n_infinite: int
    minimum: float
    """Smallest finite value; infinite if there is none."""
    maximum: float
    sample: np.ndarray
    """Some of the finite values, from all over the block."""

    @classmethod
    def of(cls, values: np.ndarray) -> "ValueStatistics":
        """The statistics of some values."""
        sample = _sample(values)
        if values.dtype.kind != "f":
            return cls(0, 0, float(values.min()), float(values.max()), sample)
        finite = np.isfinite(values)
        n_nan = int(np.isnan(values).sum()) if not finite.all() else 0
        lowest = float(np.min(values, initial=np.inf, where=finite))
        highest = float(np.max(values, initial=-np.inf, where=finite))
        return cls(n_nan, int(values.size - finite.sum()) - n_nan, lowest, highest, sample)

    def joined(self, other: "ValueStatistics") -> "ValueStatistics":
        """The statistics of both parts together."""
        sample = np.concatenate([self.sample, other.sample])
        return ValueStatistics(
            self.n_nan + other.n_nan,
            self.n_infinite + other.n_infinite,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            sample[::2] if sample.size > LARGEST_SAMPLE else sample,
        )

    @property
    def typical_range(self) -> tuple[float, float]:
        """Between these values lie all but the extreme ones, by the sample; the range of all values without a sample."""
        if not self.sample.size:
            return self.minimum, self.maximum
        low, high = np.quantile(self.sample, TYPICAL)
        return float(low), float(high)

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


def _sample(values: np.ndarray) -> np.ndarray:
    """Finite values at equal distances, in double precision; the distance is odd, so that it does not follow rows of even length."""
    step = max(1, values.size // SAMPLED) | 1
    chosen = values.reshape(-1)[::step].astype(np.float64)
    return chosen[np.isfinite(chosen)]
