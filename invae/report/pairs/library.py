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
DPI = 100
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
    n_rows = -(-n_sites // COLUMNS)
    figure = style.new_figure(4.3 * n_rows + 0.3)
    grid = figure.subplots(2 * n_rows, COLUMNS, squeeze=False, height_ratios=(1.25, 1) * n_rows)
    bounds = style.limits(found["patch"].to_numpy()[:, 0])
    limits = _limits(found)
    for place in range(n_rows * COLUMNS):
        row, column = divmod(place, COLUMNS)
        patch, curve = grid[2 * row : 2 * row + 2, column]
        if place >= n_sites:
            patch.set_axis_off()
            curve.set_axis_off()
            continue
        one = found.isel({dims.SITE: place})
        _patch(patch, one, bounds)
        _spectrum(curve, one, axis_of(found))
        curve.set_ylim(limits)
        short_ticks(curve)
        if column:
            curve.set_yticklabels([])
        else:
            curve.set_ylabel(style.in_units("spectrum", found["measured"].attrs.get("units")))
    shown = grid[1, 0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside lower center", ncols=len(shown[0]))
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
    value = number(float(one["value"])) + ("" if unit == "1" else f" {style.short(unit)}")
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
