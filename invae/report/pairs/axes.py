"""The axis and the unit of spectra, for figures."""

import numpy as np
import xarray as xr

from invae.report import style
from invae.report.figure import Result


def spectral_axis(result: Result) -> str:
    """Name of the axis of spectra."""
    return str(result[""].attrs["spectrum_axis"])


def places(result: Result) -> tuple[np.ndarray, str]:
    """Values of the axis, and its label."""
    axis = result["pairs"][spectral_axis(result)]
    values, units = style.readable(axis.to_numpy().astype(float), axis.attrs.get("units"))
    return values, style.in_units(spectral_axis(result), units)


def spectra(result: Result, name: str) -> np.ndarray:
    """Spectra (site, energy) in the unit of `value_label`."""
    return result["pairs"][name].to_numpy() / _unit(result)[0]


def value_label(result: Result) -> str:
    """Label of the values of spectra."""
    return style.in_units("spectrum", _unit(result)[1])


def _unit(result: Result) -> tuple[float, str | None]:
    """Factor and name of a readable unit of the values."""
    measured = result["pairs"]["measured"]
    values = measured.to_numpy()
    shown, units = style.readable(values, measured.attrs.get("units"))
    largest = float(np.abs(values).max())
    return (largest / float(np.abs(shown).max()) if largest else 1.0), units


def fullest_frame(sites: xr.Dataset) -> tuple[int, np.ndarray]:
    """The frame with the most sites, and which sites these are."""
    frames, count = np.unique(sites["frame"].to_numpy(), return_counts=True)
    frame = int(frames[count.argmax()])
    return frame, np.flatnonzero(sites["frame"].to_numpy() == frame)
