"""Offsets of channels: float32 has seven digits, so that a large constant under the values is taken off before they are stored."""

import numpy as np
import xarray as xr

FAR = 1e3
"""Distance of the values from 0, in units of their range, above which it is an offset. Below it, float32 errs by at most
3e-5 of the range."""


def offset_of(channel: xr.DataArray) -> float:
    """The middle of the range of a stored channel if its values are far from 0, else 0.

    It is the range of all values, or that of all but the extreme ones: a few outliers do not hide an offset.
    """
    for name in ("actual_range", "typical_range"):
        low, high = channel.attrs.get(name, (0.0, 0.0))
        if abs(low + high) / 2 > FAR * (high - low) > 0:
            return float(low + high) / 2
    return 0.0


def without_offset(values: np.ndarray, offset: float) -> np.ndarray:
    """The values less an offset, in double precision; unchanged, in their own type, without one."""
    return values.astype(np.float64) - offset if offset else values


def remarks_on_offsets(recording: xr.Dataset, names: list[str]) -> list[str]:
    """A line on each channel whose offset was taken off."""
    known = {name: offset_of(recording[name]) for name in names if name in recording.data_vars}
    return [
        f"{name} has an offset of {offset:.10g}, which is taken off, since the values are stored with seven digits"
        for name, offset in known.items()
        if offset
    ]
