"""The axis and the unit of spectra, for figures."""

import itertools

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

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
    """Label of the values of spectra: the measured quantity and its unit."""
    name = str(result[""].attrs.get("spectrum", "spectrum")).replace("_", " ")
    return style.in_units(style.short(name), _unit(result)[1])


def short_unit(values: np.ndarray, units: str) -> tuple[float, str]:
    """Factor and name of a unit with a prefix, also of a product such as A*V: values over the factor are in pA·V."""
    first, star, rest = units.partition("*")
    shown, prefixed = style.readable(values, first)
    largest = float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 0.0
    factor = float(np.nanmax(np.abs(values))) / largest if largest else 1.0
    return factor, f"{prefixed}·{rest}" if star else str(prefixed)


def sweeps(axis: np.ndarray) -> list[slice]:
    """Parts of an axis that rise or fall throughout: one, or the two sides of every loop."""
    rises = np.diff(axis) > 0
    turns = [0, *(np.flatnonzero(rises[1:] != rises[:-1]) + 1), len(axis) - 1]
    return [slice(int(a), int(b) + 1) for a, b in itertools.pairwise(turns)]


def fill(
    axes: Axes, axis: np.ndarray, low: np.ndarray, high: np.ndarray, label: str | None = None
) -> None:
    """A pale band between two curves, sweep by sweep: across a loop it would join both sides."""
    for number, part in enumerate(sweeps(axis)):
        axes.fill_between(
            axis[part],
            low[part],
            high[part],
            color=style.ACCENT,
            alpha=0.2,
            lw=0,
            label=label if number == 0 else None,
        )


def short_ticks(axes: Axes) -> None:
    """Values of spectra with a common power of ten where they are small or large."""
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 5))


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
