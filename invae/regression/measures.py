"""Numbers of a spectrum: the integral over its axis, and the position of its maximum."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae import dims
from invae.regression import scores


@dataclass(frozen=True)
class Axis:
    """Axis of spectra and the unit of their values."""

    name: str
    values: np.ndarray
    units: str
    value_units: str

    @property
    def band_units(self) -> str:
        """Unit of an integral over the axis."""
        if self.value_units == f"1/{self.units}":
            return "1"
        factors = [unit for unit in (self.value_units, self.units) if unit != "1"]
        return "*".join(factors) or "1"

    def coords(self) -> dict[str, xr.Variable]:
        """The axis as a coordinate."""
        return {self.name: xr.Variable(self.name, self.values, dims.attrs(self.name, self.units))}


def band(spectra: np.ndarray, axis: Axis) -> np.ndarray:
    """Integral over the axis (site,); where the axis goes forth and back, the area of the loop."""
    return np.trapezoid(spectra, axis.values, axis=1)


def is_monotonic(axis: Axis) -> bool:
    """Whether the axis rises or falls throughout; else a spectrum is a loop, which has no single maximum."""
    steps = np.diff(axis.values)
    return bool((steps > 0).all() or (steps < 0).all())


def has_peaks(spectra: np.ndarray, axis: Axis) -> bool:
    """Whether most spectra have their maximum inside the axis, not in the first or last twentieth of it.

    A current rises to the end of the bias, and the background of a core loss falls from its beginning: these maxima say nothing.
    """
    if not is_monotonic(axis):
        return False
    place = np.argmax(spectra, axis=1)
    n = len(axis.values)
    ends = max(1, n // 20)
    return bool(((place >= ends) & (place < n - ends)).mean() > 0.5)


def peak(spectra: np.ndarray, axis: Axis) -> np.ndarray:
    """Position of the maximum (site,), between values by a parabola."""
    return scores.peak_position(spectra, axis.values)
