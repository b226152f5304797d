"""Figures of predicted spectra: pairs, examples, R² along the axis, scores beside baselines, repetitions."""

import json

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from invae.config import ReportConfig
from invae.report import style
from invae.report.figure import Drawing, LeftOut, Result, Table
from invae.report.pairs.axes import (
    fill,
    fullest_frame,
    places,
    short_ticks,
    spectra,
    sweeps,
    value_label,
)
from invae.report.style import number

QUANTILES = (10, 50, 90)
RANKS = ("best", "median", "worst")


def overview(result: Result, config: ReportConfig) -> Drawing:
    """Measured spectra, and which pairs were held out together."""
    sites = result[""]
    axis, label = places(result)
    figure = style.new_figure(3.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    low, middle, high = np.percentile(spectra(result, "measured"), QUANTILES, axis=0)
    fill(left, axis, low, high, label="10–90 %")
    left.plot(axis, middle, color=style.ACCENT, label="median")
    left.set(xlabel=label, ylabel=value_label(result), title="measured spectra")
    short_ticks(left)
    left.legend()
    folds = sites["fold"].to_numpy()
    by_part = np.unique(folds)
    where = _held_out_parts(right, sites, folds)
    specimens = json.loads(str(sites.attrs["specimens"]))
    return Drawing(
        "pairs",
        "Pairs",
        f"Left: the spectra. Right: {where}; pairs of one colour were held out together, and were predicted by members that had "
        "learned from the others.",
        figure,
        f"{style.count(len(folds), 'pair')} of {style.count(len(specimens), 'specimen')}, held out in "
        f"{style.count(len(by_part), 'part')} by {sites.attrs['held_out_by']}.",
    )


def _held_out_parts(axis: Axes, sites: xr.Dataset, folds: np.ndarray) -> str:
    """Places of the parts in one frame, or their sizes if the frame has one part; returns what is shown."""
    frame, here = fullest_frame(sites)
    parts, count = np.unique(folds, return_counts=True)
    colours = [style.CLASSES[int(part) % len(style.CLASSES)] for part in parts]
    axis.set_title("held-out parts")
    if len(np.unique(folds[here])) == 1:
        axis.bar(parts + 1, count, color=colours)
        axis.set(xlabel="part", ylabel="pairs")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        return "number of pairs of every part"
    for part, colour in zip(parts, colours, strict=True):
        chosen = here[folds[here] == part]
        axis.scatter(sites["x"][chosen], sites["y"][chosen], s=14, color=colour)
    axis.set(aspect="equal", xlabel="x [px]", ylabel="y [px]")
    height, width = (np.ptp(sites[name].to_numpy()[here]) for name in "yx")
    axis.xaxis.set_major_locator(MaxNLocator(1 if width < 0.25 * height else 4, integer=True))
    axis.invert_yaxis()
    return f"places of the pairs of frame {frame}"


def examples(result: Result, config: ReportConfig) -> Drawing:
    """Best, median and worst prediction with patch and interval."""
    shown = result["examples"]
    axis, label = places(result)
    measured, predicted, lower, upper = (
        spectra(result, name) for name in ("measured", "predicted", "lower", "upper")
    )
    figure = style.new_figure(4.6)
    grid = figure.subplots(2, len(RANKS), height_ratios=(1, 1.5))
    patches = shown["patch"].to_numpy()[:, 0]
    low, high = style.limits(patches)
    for index, rank in enumerate(RANKS):
        site = int(shown["site"][index])
        image, curve = grid[0, index], grid[1, index]
        image.imshow(patches[index], cmap="gray", vmin=low, vmax=high)
        image.set_axis_off()
        image.set_title(f"{rank}: relative error {number(float(shown['error'][index]))}")
        fill(curve, axis, lower[site], upper[site])
        curve.plot(axis, predicted[site], color=style.ACCENT, label="predicted")
        curve.plot(axis, measured[site], color=style.INK, lw=1, label="measured")
        curve.set(xlabel=label, ylabel=value_label(result) if index == 0 else "")
        short_ticks(curve)
        if "truth" in result["pairs"]:
            truth = spectra(result, "truth")[site]
            curve.plot(axis, truth, color=style.SECOND, lw=1, ls=":", label="without noise")
    grid[1, 0].legend()
    level = 100 * float(result[""].attrs["coverage"])
    return Drawing(
        "examples",
        "Best, median and worst prediction",
        f"Above: the patch of {shown['channel'].to_numpy()[0]}. Below: the measured spectrum and its prediction by members that have not seen it; the pale band is "
        f"the {level:g} % interval of an observation.",
        figure,
        f"Intervals hold {number(float(result['summary']['coverage']))} of all held-out values.",
    )


def by_place(result: Result, config: ReportConfig) -> Drawing:
    """R² at every place of the axis."""
    axis, label = places(result)
    r2 = result["pairs"]["r2"].to_numpy()
    figure = style.new_figure(2.7)
    curve = figure.subplots()
    curve.axhline(0, color=style.MUTED, lw=0.8)
    parts = sweeps(axis)
    for part in parts:
        rises = axis[part][-1] > axis[part][0]
        colour = style.ACCENT if rises or len(parts) == 1 else style.SECOND
        curve.plot(axis[part], r2[part], color=colour, label="rising" if rises else "falling")
    if len(parts) > 1:
        handles = dict(zip(*reversed(curve.get_legend_handles_labels()), strict=True))
        curve.legend(handles.values(), handles.keys())
    known = r2[np.isfinite(r2)]
    curve.set(xlabel=label, ylabel="R²", ylim=(max(-0.5, float(known.min()) - 0.05), 1.02))
    curve.grid(axis="y")
    best = int(np.nanargmax(r2))
    return Drawing(
        "r2",
        "R² along the axis",
        "1: the value is predicted exactly; 0: no better than the mean spectrum. Where spectra hardly differ, noise is all that is left, and "
        "R² is low.",
        figure,
        f"Largest at {label} {number(float(axis[best]))}: {number(float(r2[best]))}.",
    )


COLUMNS = {
    "r2": "R²",
    "r2_truth": "R² without noise",
    "relative_error": "relative error",
    "peak_error": "peak error",
    "coverage": "coverage",
    "crps": "CRPS",
}


def scores(result: Result, config: ReportConfig) -> Drawing:
    """Scores of the model beside those of baselines."""
    table = result["scores"]
    labels = [str(label) for label in table["label"].to_numpy()]
    r2 = table["r2"].to_numpy()
    figure = style.new_figure(0.6 + 0.3 * len(labels))
    bars = figure.subplots()
    colours = [style.ACCENT, *["#b6c2cb"] * (len(labels) - 1)]
    bars.barh(labels, np.maximum(r2, -0.2), color=colours)
    bars.invert_yaxis()
    bars.axvline(0, color=style.INK, lw=0.8)
    if "r2_ceiling" in result["summary"]:
        ceiling = float(result["summary"]["r2_ceiling"])
        bars.axvline(ceiling, color=style.SECOND, lw=1, ls=":")
        bars.set_title("dotted: R² if only the noise were left", loc="left")
    bars.set(xlabel="R² of held-out spectra", xlim=(-0.2, 1))
    names = [name for name in COLUMNS if name in table]
    heads = ["", *(style.in_units(COLUMNS[n], table[n].attrs.get("units")) for n in names)]
    rows = [
        [label, *(number(float(table[name][index])) for name in names)]
        for index, label in enumerate(labels)
    ]
    leaks = (
        "These scores leak: held-out pairs may overlap with training pairs."
        if int(table.attrs["leaks"])
        else f"Held out by {result[''].attrs['held_out_by']}; training pairs do not overlap with held-out ones."
    )
    return Drawing(
        "scores",
        "Scores beside baselines",
        "All predictors learned from the same pairs and were judged on the same held-out ones. Peak errors are of spectra above the lower "
        "quartile of intensity. CRPS judges prediction and interval together; lower is better. Intervals of baselines have the sd of their "
        "own held-out errors.",
        figure,
        leaks,
        Table(heads, rows),
    )


def repeated(result: Result, config: ReportConfig) -> Drawing:
    """The integral of a spectrum against that of its repetition."""
    group = result["reliability"]
    figure = style.new_figure(3.2)
    axis: Axes = figure.subplots()
    first, second = (group[name].to_numpy() for name in ("first", "second"))
    axis.scatter(first, second, s=10, color=style.ACCENT, alpha=0.6, lw=0)
    unit = group["first"].attrs.get("units")
    axis.set(
        xlabel=style.in_units("first repetition", unit),
        ylabel=style.in_units("second repetition", unit),
        box_aspect=1,
    )
    return Drawing(
        "reliability",
        "Agreement of repetitions",
        f"The integral over the axis of {group.attrs['source']}. No prediction can agree with a measurement better than the measurement "
        "with itself.",
        figure,
        f"r = {number(float(group['r']))}.",
    )


def training(result: Result, config: ReportConfig) -> Drawing:
    """Log-likelihood over epochs of every network."""
    history = result.get("training")
    if history is None or not history.sizes.get("epoch") or not history.sizes.get("member"):
        raise LeftOut("Training", "the model has no networks")
    figure = style.new_figure(2.9)
    left, right = figure.subplots(1, 2)
    epoch = history["epoch"].to_numpy()
    _curves(left, epoch, -history["score_training"].to_numpy(), colour=style.MUTED)
    _curves(right, epoch, history["score_held_out"].to_numpy(), colour=style.ACCENT)
    left.set(ylabel="loss [nat]", title="training pairs")
    right.set(ylabel="log-likelihood of a spectrum [nat]", title="held-out pairs")
    n_folds = int((~history["final"].to_numpy()).sum())
    weight = float(result["summary"]["network_weight"])
    return Drawing(
        "training",
        "Training",
        "One curve per network: the loss that training lowers, and the log-likelihood of held-out pairs. Networks with held-out pairs say how many epochs are enough; those that learn from all pairs are then trained "
        "that long.",
        figure,
        f"{style.count(n_folds, 'network')} with held-out pairs, {style.count(history.sizes['member'] - n_folds, 'network')} with all pairs; "
        f"weight of the networks {number(weight)}, of the Gaussian process {number(1 - weight)}.",
    )


def _curves(axis: Axes, epoch: np.ndarray, values: np.ndarray, *, colour: str) -> None:
    """Curves over epochs, without the first tenth of the epochs in the limits."""
    for curve in values:
        if np.isfinite(curve).any():
            axis.plot(epoch, curve, color=colour, lw=1)
    later = values[:, len(epoch) // 10 :]
    known = later[np.isfinite(later)]
    if len(known) > 2 and np.ptp(known) > 0:
        margin = 0.05 * float(np.ptp(known))
        axis.set_ylim(float(known.min()) - margin, float(known.max()) + margin)
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(axis="y")
