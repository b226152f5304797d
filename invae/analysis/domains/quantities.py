"""Quantities of a series with their intervals, or the reason why the data do not carry one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae import dims

QUANTITY = "quantity"


@dataclass(frozen=True)
class Quantity:
    """One quantity; without a value, `reason` says why."""

    name: str
    words: str
    units: str = "1"
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    reason: str = ""

    def without(self, reason: str) -> "Quantity":
        """The quantity without a value."""
        return Quantity(self.name, self.words, self.units, reason=reason)

    def having(self, value: float, resampled: Sequence[float] | np.ndarray) -> "Quantity":
        """The quantity with a value, and the interval of 95 % of resampled values."""
        low, high = np.nanpercentile(np.asarray(resampled, float), (2.5, 97.5))
        return Quantity(self.name, self.words, self.units, float(value), float(low), float(high))


def table(quantities: Sequence[Quantity]) -> xr.Dataset:
    """The quantities as a table over `quantity`."""

    def column(name: str, words: str) -> tuple:
        return QUANTITY, [getattr(one, name) for one in quantities], dims.attrs(words)

    return xr.Dataset(
        {
            "value": column("value", "estimate; NaN where the data do not carry it"),
            "low": column("low", "lower end of the interval of 95 %"),
            "high": column("high", "upper end of the interval of 95 %"),
            "unit": column("units", "unit of the quantity"),
            "description": column("words", "the quantity in words"),
            "reason": column("reason", "why there is no value"),
        },
        coords={QUANTITY: [one.name for one in quantities]},
    )
