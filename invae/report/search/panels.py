"""Figures of an active measurement: path, map with its uncertainty, best value beside random, calibration."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from invae.active.history import ACQUISITION, CHECK, INITIAL, STAGNATION
from invae.config import ReportConfig
from invae.report import style
from invae.report.figure import Drawing, LeftOut, Result

MARKS = {INITIAL: ("s", "initial"), ACQUISITION: ("o", "proposed"), CHECK: ("^", "random check"), STAGNATION: ("D", "far from all others")}  # fmt: skip
SIZE = 18


def path(result: Result, config: ReportConfig) -> Drawing:
    """Where was measured, in order."""
    figure = style.new_figure(4.2)
    axis = figure.subplots()
    draw_path(axis, result)
    figure.legend(loc="outside right upper", fontsize=8)
    return Drawing(
        "path",
        "Measured sites",
        "Grey: the image. The line joins the sites in the order of their measurement; later ones are brighter. Crosses: measurements that could "
        "not be used. Star: the best value.",
        figure,
        numbers=f"{result['measured'].sizes['observation']} measurements",
    )


def draw_path(axis: Axes, result: Result) -> None:
    """The path on the image of the frame with most measurements."""
    sites, measured = result[""], result["measured"]
    chosen = measured["candidate"].to_numpy()
    frame = int(np.bincount(sites["frame"].to_numpy()[chosen]).argmax())
    here = sites["frame"].to_numpy() == frame
    y, x = sites["y"].to_numpy(), sites["x"].to_numpy()
    low, high = style.limits(sites["pixel"].to_numpy()[here])
    axis.scatter(x[here], y[here], c=sites["pixel"][here], cmap="Greys_r", vmin=low, vmax=high, s=SIZE, marker="s", lw=0)  # fmt: skip
    order = np.flatnonzero(here[chosen])
    axis.plot(x[chosen[order]], y[chosen[order]], lw=0.5, color=style.MUTED)
    reasons = measured["reason"].to_numpy().astype(str)
    for reason in dict.fromkeys(reasons[order]):
        mark, words = MARKS.get(reason, ("o", reason))
        of = order[reasons[order] == reason]
        axis.scatter(x[chosen[of]], y[chosen[of]], c=of, cmap="plasma", vmin=0, vmax=max(len(chosen) - 1, 1), s=SIZE, marker=mark, lw=0, label=words)  # fmt: skip
    failed = order[~measured["valid"].to_numpy()[order].astype(bool)]
    if len(failed):
        axis.scatter(x[chosen[failed]], y[chosen[failed]], c=style.INK, marker="x", s=SIZE, label="not usable")  # fmt: skip
    best = _best(result)
    axis.plot(x[chosen[best]], y[chosen[best]], "*", ms=13, mfc="none", mec=style.SECOND, label="best")  # fmt: skip
    _square(axis)


def predicted_map(result: Result, config: ReportConfig) -> Drawing:
    """The predicted target at every candidate, and its sd."""
    sites = result[""]
    if "mean" not in sites:
        raise LeftOut("Predicted map", "the surrogate predicts nothing, or too little was measured")
    figure = style.new_figure(3.4)
    units = str(sites.attrs["units"])
    for axis, name, cmap, words in zip(
        figure.subplots(1, 2),
        ("mean", "sd"),
        (config.colormap, "cividis"),
        (str(sites.attrs["target"]), "sd of a measurement"),
        strict=True,
    ):
        values = sites[name].to_numpy()
        bounds = style.limits(values)
        axis.scatter(sites["x"], sites["y"], c=values, cmap=cmap, vmin=bounds[0], vmax=bounds[1], s=SIZE, marker="s", lw=0)  # fmt: skip
        style.colour_bar(figure, axis, cmap=cmap, bounds=bounds, label=style.in_units(words, units))
        _square(axis)
    return Drawing(
        "map",
        "Predicted map",
        "Left: the target as it is predicted everywhere. Right: the standard deviation of a measurement there. A search for large values measures "
        "where they are, so that the map is uncertain elsewhere; a map is best with acquisition variance.",
        figure,
    )


def best_value(result: Result, config: ReportConfig) -> Drawing:
    """The best value so far, beside random orders."""
    figure = style.new_figure(2.8)
    axis = figure.subplots()
    draw_best(axis, result)
    axis.legend(fontsize=8)
    measured = result["measured"]
    return Drawing(
        "best",
        "Best value so far",
        "The best measured value after every measurement. Dashed: what random sites would have reached on average, if the predicted map is right.",
        figure,
        numbers=f"{style.number(float(measured['best'][-1]))} {result[''].attrs['units']}".strip(),
    )


def draw_best(axis: Axes, result: Result) -> None:
    """Best value against the number of measurements."""
    measured = result["measured"]
    number = np.arange(1, measured.sizes["observation"] + 1)
    axis.plot(number, measured["measured"], ".", ms=3, color=style.MUTED, label="measured")
    axis.step(number, measured["best"], where="post", color=style.ACCENT, label="best so far")
    if "random_best" in measured:
        axis.plot(number, measured["random_best"], "--", color=style.SECOND, label="random sites")
    words = style.in_units(str(result[""].attrs["target"]), str(result[""].attrs["units"]))
    axis.set(xlabel="measurements", ylabel=words)


def calibration(result: Result, config: ReportConfig) -> Drawing:
    """Values as they were predicted before the measurement, and as they were measured."""
    measured = result["measured"]
    shown = _predicted(measured)
    if not shown.any():
        raise LeftOut("Predicted and measured", "nothing was predicted before it was measured")
    figure = style.new_figure(3.6)
    axis = figure.subplots()
    draw_calibration(axis, result)
    axis.legend(fontsize=8)
    value, low, high = (measured[n].to_numpy() for n in ("measured", "lower", "upper"))
    inside = ((low <= value) & (value <= high))[shown].mean()
    return Drawing(
        "calibration",
        "Predicted and measured",
        "Every site as it was predicted before it was measured, with its 90 % interval. Triangles: random sites, an honest test. Intervals hold "
        "nine of ten values if they are right.",
        figure,
        numbers=f"{100 * inside:.0f} % of {shown.sum()} values inside",
    )


def draw_calibration(axis: Axes, result: Result) -> None:
    """Measured against predicted values."""
    measured = result["measured"]
    shown = _predicted(measured)
    value, mean, low, high = (
        measured[n].to_numpy()[shown] for n in ("measured", "predicted", "lower", "upper")
    )
    checks = measured["reason"].to_numpy().astype(str)[shown] == CHECK
    for which, mark, words, colour in (
        (~checks, "o", "chosen", style.ACCENT),
        (checks, "^", "random check", style.SECOND),
    ):
        if which.any():
            bars = np.abs(np.stack([mean - low, high - mean])[:, which])
            axis.errorbar(mean[which], value[which], xerr=bars, fmt=mark, ms=3, lw=0.6, color=colour, label=words)  # fmt: skip
    ends = [float(min(mean.min(), value.min())), float(max(mean.max(), value.max()))]
    axis.plot(ends, ends, ":", color=style.INK, lw=1)
    axis.set(xlabel="predicted before the measurement", ylabel="measured")


def has_predictions(result: Result) -> bool:
    """Whether anything was predicted before it was measured."""
    return bool(_predicted(result["measured"]).any())


def _predicted(measured: xr.Dataset) -> np.ndarray:
    names = ("measured", "predicted", "lower", "upper")
    return np.logical_and.reduce([np.isfinite(measured[name].to_numpy()) for name in names])


def _best(result: Result) -> int:
    values = result["measured"]["measured"].to_numpy()
    sign = 1.0 if result[""].attrs["direction"] == "largest" else -1.0
    return int(np.where(np.isfinite(values), sign * values, -np.inf).argmax())


def _square(axis: Axes) -> None:
    axis.set_aspect("equal")
    axis.invert_yaxis()
    axis.set(xticks=[], yticks=[])


FIGURES = {
    "Search": (path, best_value),
    "Map": (predicted_map,),
    "Reliability": (calibration,),
}
"""Section of the page and its figures."""
