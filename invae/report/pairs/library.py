"""A picture of the pairs that a search has found: patches over their spectra."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invae import dims
from invae.report import as_bytes, style
from invae.report.pairs.axes import short_ticks
from invae.report.style import number
from invae.storage import store

COLUMNS = 4
DPI = 120
WORDS = {"peak": "maximum", "band": "integral", "like": "relative error"}


def write_picture(found: xr.Dataset, target: Path) -> None:
    """Write `draw(found)` as PNG."""
    with style.applied(DPI), store.writing(target):
        target.write_bytes(as_bytes(draw(found), "png"))


def draw(found: xr.Dataset) -> Figure:
    """Patches over their measured and predicted spectra, the nearest first; the wanted value or spectrum is marked.

    Args:
        found: What `invae.results.library.find` has found.
    """
    n_sites = found.sizes[dims.SITE]
    n_columns = min(n_sites, COLUMNS)
    n_rows = -(-n_sites // n_columns)
    figure = style.new_figure(4.1 * n_rows)
    grid = figure.subplots(2 * n_rows, n_columns, squeeze=False, height_ratios=(1.25, 1) * n_rows)
    bounds = style.limits(found["patch"].to_numpy()[:, 0])
    curves = grid[1::2].ravel()
    for site in range(n_sites):
        row, column = divmod(site, n_columns)
        _patch(grid[2 * row, column], found.isel({dims.SITE: site}), bounds)
        _spectrum(grid[2 * row + 1, column], found.isel({dims.SITE: site}), axis_of(found))
    low, high = _limits(found)
    for curve in curves[:n_sites]:
        curve.set_ylim(low, high)
        short_ticks(curve)
    for empty in (*grid[::2].ravel()[n_sites:], *curves[n_sites:]):
        empty.set_axis_off()
    curves[0].legend(fontsize=7)
    return figure


def axis_of(found: xr.Dataset) -> str:
    """Name of the axis of the spectra."""
    return str(found["measured"].dims[-1])


def _limits(found: xr.Dataset) -> tuple[float, float]:
    names = [name for name in ("measured", "predicted", "wanted") if name in found]
    values = np.concatenate([found[name].to_numpy().ravel() for name in names])
    margin = 0.05 * float(np.ptp(values))
    return float(values.min()) - margin, float(values.max()) + margin


def _patch(axis: Axes, one: xr.Dataset, bounds: tuple[float, float]) -> None:
    patch = one["patch"].to_numpy()[0]
    axis.imshow(patch, cmap="gray", vmin=bounds[0], vmax=bounds[1])
    axis.set_axis_off()
    style.scale_bar(axis, width=patch.shape[1], pixel_nm=one.attrs.get("pixel_size_nm"))
    name = style.short(str(one["recording"].item()))
    unit = one["value"].attrs.get("units", "1")
    value = style.in_units(number(float(one["value"])), unit)
    axis.set_title(f"{name}, site {int(one['number'])}\n{WORDS[one.attrs['by']]} {value}")


def _spectrum(axis: Axes, one: xr.Dataset, name: str) -> None:
    places = one[name].to_numpy()
    axis.plot(places, one["measured"], color=style.INK, lw=1, label="measured")
    axis.plot(places, one["predicted"], color=style.ACCENT, label="predicted")
    if "wanted" in one:
        axis.plot(places, one["wanted"], color=style.SECOND, ls="--", lw=1.2, label="wanted")
    elif one.attrs["by"] == "peak":
        axis.axvline(one.attrs["wanted_value"], color=style.SECOND, ls="--", lw=1.2, label="wanted")
    else:
        text = f"wanted integral {number(one.attrs['wanted_value'])}"
        axis.plot([], [], " ", label=text)
        axis.fill_between(places, one["measured"], color=style.MUTED, alpha=0.15, lw=0)
    axis.set(xlabel=style.in_units(name, one[name].attrs.get("units")))
