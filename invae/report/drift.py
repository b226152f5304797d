"""The drift between frames."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result


def drift(result: Result, config: ReportConfig) -> Drawing:
    """Drift against the frame with its standard deviation, and the path of the scan window."""
    frames = result["frames"]
    if frames.sizes[dims.FRAME] < 2:
        raise LeftOut("Drift", "only one frame; drift needs two")
    if "drift" not in frames:
        raise LeftOut("Drift", "frames were not registered (describe.registration)")
    values = frames["drift"].transpose(dims.AXIS, dims.FRAME).to_numpy()
    sd = (
        frames["drift_sd"].transpose(dims.AXIS, dims.FRAME).to_numpy()
        if "drift_sd" in frames
        else values * np.nan
    )
    scale, unit = images.length_scale(images.frames_of(result))
    values, sd = scale * values, scale * sd
    figure = style.new_figure(3.3)
    over, path = figure.subplots(1, 2, width_ratios=(1.7, 1))
    number = frames[dims.FRAME].to_numpy()
    for row, (name, colour) in enumerate((("y", style.ACCENT), ("x", style.SECOND))):
        low, high = values[row] - sd[row], values[row] + sd[row]
        bars = {"marker": "o", "ms": 3.5, "lw": 1.4, "capsize": 2, "label": name}
        over.fill_between(number, low, high, color=colour, alpha=0.18, lw=0)
        over.errorbar(number, values[row], np.nan_to_num(sd[row]), color=colour, **bars)
    over.axhline(0, color="#c8cdd2", lw=0.8, zorder=0)
    over.set(xlabel="frame", ylabel=f"drift [{unit}]", title="drift relative to frame 0, ± 1 sd")
    over.xaxis.get_major_locator().set_params(integer=True)
    over.legend(ncols=2)
    _path(path, number, values, unit=unit, cmap=config.colormap)
    return Drawing(
        "drift",
        "Drift",
        "Position of the scan window on the sample relative to frame 0; positive y is down, positive x is right. Error "
        "bars are the standard deviation among channels and image regions. Drift is removed before frames are compared.",
        figure,
        _drift_numbers(frames, values, sd, unit),
    )


def _path(axis: Axes, number: np.ndarray, values: np.ndarray, *, unit: str, cmap: str) -> None:
    """Drift in x against drift in y, y down, coloured by frame."""
    axis.plot(values[1], values[0], color="#c8cdd2", lw=1)
    dots = axis.scatter(values[1], values[0], c=number, cmap=cmap, s=22, zorder=3)
    figure = axis.get_figure()
    assert figure is not None
    bar = figure.colorbar(dots, ax=axis, label="frame", fraction=0.05, pad=0.02)
    bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()
    axis.set(
        xlabel=f"drift in x [{unit}]",
        ylabel=f"drift in y [{unit}]",
        title="path of the scan window",
    )
    axis.set_aspect("equal", adjustable="datalim")
    axis.invert_yaxis()


def _drift_numbers(frames: xr.Dataset, values: np.ndarray, sd: np.ndarray, unit: str) -> str:
    shown = images.evenly(frames.sizes[dims.FRAME], 6)[1:]
    parts = [
        f"frame {int(frames[dims.FRAME][i])}: ({values[0, i]:.2f} ± {sd[0, i]:.2f}, {values[1, i]:.2f} ± {sd[1, i]:.2f})"
        for i in shown
    ]
    return f"Drift (y, x) in {unit}: {'; '.join(parts)}.".replace("-", "−")
