"""Spectra as curves: all of them, the manifold, reconstructions, classes and components."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invae import dims
from invae.config import ReportConfig
from invae.report import style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.fit_quality import RANKS
from invae.report.latent_plane import shown_dimensions
from invae.report.latents import class_titles
from invae.results.reading import kind_of

MOST_CURVES = 8
"""Classes or clusters drawn in one figure."""
MOST_COMPONENTS = 6
MARGIN = 0.06
"""Space between curves of a mosaic, as share of a cell."""
PALE = "#9aa3ab"


def axis_of(result: Result) -> tuple[np.ndarray, str]:
    """Values of the axis of the spectra, and its label."""
    axis = result["examples"][dims.PATCH_X]
    name = str(axis.attrs.get("long_name", result[""].attrs["spectrum_axis"]))
    return axis.to_numpy(), style.in_units(style.short(name), axis.attrs.get("units"))


def value_label(result: Result) -> str:
    """Label of the values of the spectra."""
    told = result[""].attrs
    return style.in_units(
        style.short(str(told["spectrum"]).replace("_", " ")), str(told["spectrum_units"])
    )


def is_sweep(axis: np.ndarray) -> bool:
    """Whether the axis runs forth and back, so that a curve is a loop."""
    steps = np.diff(axis)
    return bool((steps > 0).any() and (steps < 0).any())


def overview(result: Result, config: ReportConfig) -> Drawing:
    """Median and spread of all spectra, and the mean spectrum of each cluster."""
    places, label = axis_of(result)
    figure = style.new_figure(3.1)
    left, right = figure.subplots(1, 2, sharey=True)
    group = result["spectra"]["quantile_spectrum"].to_numpy()[:, 0, 0]
    if is_sweep(places):
        for values in group[[0, 1, 3, 4]]:
            left.plot(places, values, color=PALE, lw=0.8)
    else:
        left.fill_between(places, group[0], group[4], color="#dfe5ea", lw=0, label="5 to 95 %")
        left.fill_between(places, group[1], group[3], color="#b9c6d2", lw=0, label="25 to 75 %")
    left.plot(places, group[2], color=style.INK, label="median")
    left.set(xlabel=label, ylabel=value_label(result), title=f"all {kind_of(result).sites}")
    left.legend()
    means, counts = (result["clusters"][name].to_numpy() for name in ("mean_patch", "n_sites"))
    for number in range(min(len(means), MOST_CURVES)):
        words = f"cluster {number + 1} ({style.number(float(counts[number]))})"
        colour = style.CLASSES[number % len(style.CLASSES)]
        right.plot(places, means[number, 0, 0], color=colour, label=words)
    right.set(xlabel=label, title="mean of the most typical spectra of each cluster")
    right.legend()
    return Drawing(
        "spectra",
        "Spectra",
        "Left: median of all spectra that can be used, with the ranges that hold half and 90 % of the values. Right: mean of the most "
        "typical spectra of each cluster; a shift that the model infers is undone first.",
        figure,
        _noise(result),
    )


def _noise(result: Result) -> str:
    sd = result[""]["spectrum_sd"].to_numpy()
    known = sd[np.isfinite(sd)]
    if not known.size:
        return f"{style.count(len(sd), 'spectrum')}."
    noise = f"median sd of the noise of one value {style.number(float(np.median(known)))}"
    units = str(result[""].attrs["spectrum_units"])
    return f"{style.count(len(sd), 'spectrum')}; {noise} {'' if units == '1' else units}".rstrip() + "."  # fmt: skip


def manifold(result: Result, config: ReportConfig) -> Drawing:
    """Decoded spectra over the latent plane, and along each of its axes."""
    curves = result["traversal"]["manifold"].isel({dims.CHANNEL: 0, dims.PATCH_Y: 0})
    values = curves.transpose(dims.CLASS, "latent_1", "latent_2", dims.PATCH_X).to_numpy()
    titles, places = class_titles(result), axis_of(result)[0]
    shown = values[:MOST_CURVES]
    if len(values) == 1:
        figure = _one_class(result, values[0], config)
    else:
        figure, axes = style.panels(len(shown), columns=min(4, len(shown)), panel_height=2.6)
        for axis, sheet, title in zip(axes, shown, titles, strict=False):
            _mosaic(axis, places, sheet)
            axis.set_title(title)
    counts = result["traversal"]["n_sites"].to_numpy()
    return Drawing(
        "manifold",
        "Latent manifold",
        "Decoded spectra on a grid in the latent plane, all on the same scale; a shift is undone. Grid steps are quantiles: every row and "
        "column covers equally many sites. Cells without sites are empty. Beside it: decoded spectra along one latent variable, from low "
        "(dark) to high (bright), with the other one where most spectra are.",
        figure,
        f"{int((counts > 0).sum())} of {counts.size} cells contain sites.",
    )


def _one_class(result: Result, sheet: np.ndarray, config: ReportConfig) -> Figure:
    """The mosaic, and the curves along every axis of the plane."""
    places, label = axis_of(result)
    dimensions = shown_dimensions(result)
    figure = style.new_figure(3.4)
    axes = figure.subplots(1, 1 + len(dimensions), squeeze=False)[0]
    _mosaic(axes[0], places, sheet)
    axes[0].set(xlabel=f"content {dimensions[0] + 1} →", title="over the plane")
    if len(dimensions) > 1:
        axes[0].set_ylabel(f"content {dimensions[1] + 1} →")
    counts = result["traversal"]["n_sites"].to_numpy()[0]
    lines = [sheet[:, _fullest(counts)], sheet[_fullest(counts.T)]]
    for axis, dimension, curves in zip(axes[1:], dimensions, lines, strict=False):
        for curve, colour in zip(curves, style.shades(config.colormap, len(curves)), strict=True):
            axis.plot(places, curve, color=colour, lw=1.3)
        axis.set(xlabel=label, title=f"along content {dimension + 1}")
    axes[1].set_ylabel(value_label(result))
    return figure


def _fullest(counts: np.ndarray) -> int:
    """The column of a grid of nodes with the fewest empty nodes; of several, that with the most sites."""
    return int(np.lexsort((counts.sum(axis=0), (counts > 0).sum(axis=0)))[-1])


def _mosaic(axis: Axes, places: np.ndarray, sheet: np.ndarray) -> None:
    """Curves (latent 1, latent 2, step) in cells; latent 2 increases upwards."""
    known = sheet[np.isfinite(sheet)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    along = (places - places.min()) / max(float(np.ptp(places)), 1e-30)
    inside = 1 - 2 * MARGIN
    for row, column in np.ndindex(sheet.shape[:2]):
        up = (sheet[row, column] - low) / max(high - low, 1e-30)
        axis.plot(
            row + MARGIN + inside * along,
            column + MARGIN + inside * up,
            color=style.ACCENT,
            lw=0.9,
        )
    axis.set(xlim=(0, sheet.shape[0]), ylim=(0, sheet.shape[1]), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.set_facecolor("#eef0f2")
    axis.set_box_aspect(sheet.shape[1] / sheet.shape[0] if sheet.shape[1] > 1 else 0.3)


def examples(result: Result, config: ReportConfig) -> Drawing:
    """Spectra with their reconstructions: the best, median and worst fits."""
    group, (places, label) = result["examples"], axis_of(result)
    patch, fitted = (group[name].to_numpy()[:, 0, 0] for name in ("patch", "reconstruction"))
    figure, axes = style.panels(len(patch), columns=max(1, len(patch) // len(RANKS)), panel_height=1.75)  # fmt: skip
    for number, axis in enumerate(axes):
        residual = patch[number] - fitted[number]
        axis.axhline(0, color="#e4e8eb", lw=0.8)
        axis.plot(places, patch[number], color=PALE, lw=1.2, label="measured")
        axis.plot(places, fitted[number], color=style.ACCENT, lw=1.4, label="reconstruction")
        axis.plot(places, residual, color=style.SECOND, lw=0.8, label="residual")
        rank = RANKS[int(group["rank"][number])]
        axis.set_title(f"{rank}, {style.number(float(group['error'][number]), 2)}", fontsize=8.5)
    for axis in axes[-max(1, len(patch) // len(RANKS)) :]:
        axis.set_xlabel(label)
    axes[0].legend(fontsize=7.5)
    return Drawing(
        "examples",
        "Reconstructions",
        "Spectra, reconstructions and residuals of the best, median and worst fits. Structure in a residual is not captured by the latent "
        "variables.",
        figure,
        f"Numbers above the curves: rms error, {value_label(result)}.",
    )


def clusters(result: Result, config: ReportConfig) -> Drawing:
    """Mean spectrum of each cluster, and the decoded mean content."""
    group = result["clusters"]
    titles = [f"cluster {number + 1}" for number in range(group.sizes["cluster_name"])]
    counts = ", ".join(
        f"{number + 1}: {style.number(float(n))}"
        for number, n in enumerate(group["n_sites"].to_numpy())
    )
    return Drawing(
        "class_patches",
        "Mean and decoded spectrum of each cluster",
        "Mean: average of the most typical spectra of the cluster, with their shifts undone. Decoded: the model's spectrum for the mean "
        "content of the cluster. The model describes the data well where the two agree.",
        _pairs_of_curves(result, "clusters", titles),
        f"Number of {kind_of(result).sites} by cluster: {counts}.",
    )


def classes(result: Result, config: ReportConfig) -> Drawing:
    """Mean spectrum of each model class, and the decoded class."""
    if "classes" not in result:
        raise LeftOut("Model classes", "the model has no classes")
    counts = result["classes"]["n_sites"].to_numpy()
    return Drawing(
        "model_classes",
        "Model classes",
        "Mean of the most typical spectra of each class, and the decoded class.",
        _pairs_of_curves(result, "classes", class_titles(result)),
        f"{style.count(len(counts), 'class')}, {int((counts == 0).sum())} without sites.",
    )


def _pairs_of_curves(result: Result, name: str, titles: Sequence[str]) -> Figure:
    """A panel per class: the mean and the decoded curve."""
    group, (places, label) = result[name], axis_of(result)
    mean, decoded = (group[part].to_numpy()[:, 0, 0] for part in ("mean_patch", "decoded"))
    n_shown = min(len(mean), MOST_CURVES)
    figure, axes = style.panels(n_shown, columns=min(4, max(2, n_shown)), panel_height=2.1)
    for number, axis in enumerate(axes):
        colour = style.CLASSES[number % len(style.CLASSES)]
        axis.plot(places, mean[number], color=PALE, lw=2.4, label="mean")
        axis.plot(places, decoded[number], color=colour, lw=1.3, label="decoded")
        axis.set_title(titles[number], color=colour, fontweight="bold")
        axis.set_xlabel(label)
    axes[0].set_ylabel(value_label(result))
    axes[0].legend(fontsize=7.5)
    return figure


def components(result: Result, config: ReportConfig) -> Drawing:
    """Principal components as curves, and the variance that they explain."""
    baseline, (places, label) = result["baseline"], axis_of(result)
    curves = baseline["component"].to_numpy()[:MOST_COMPONENTS, 0, 0]
    ratio = baseline["explained_variance_ratio"].to_numpy()
    figure = style.new_figure(3.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    spread = 1.1 * float(np.abs(curves).max())
    for number, curve in enumerate(curves):
        colour = style.CLASSES[number % len(style.CLASSES)]
        left.axhline(-number * spread, color="#e4e8eb", lw=0.7)
        left.plot(places, curve - number * spread, color=colour, lw=1.2)
    left.set_yticks([-n * spread for n in range(len(curves))], labels=[f"{n + 1}" for n in range(len(curves))])  # fmt: skip
    left.set(xlabel=label, ylabel="component", title="principal components")
    order = np.arange(1, len(ratio) + 1)
    right.bar(order, 100 * ratio, color=style.ACCENT, width=0.7, label="single")
    right.plot(order, 100 * ratio.cumsum(), color=style.SECOND, marker="o", ms=3.5, label="sum")
    right.set(xlabel="component", ylabel="variance [%]", ylim=(0, 102), xticks=order)
    right.legend(loc="center right")
    n_compared, summary = int(result[""]["pca_error"].attrs["n_components"]), result["summary"]
    share = style.number(100 * float(summary["pca_share"]))
    return Drawing(
        "components",
        "Principal component analysis",
        "Linear baseline: spectra are sums of components, drawn one below the other. A peak that shifts needs several components, each "
        "like a derivative of the peak.",
        figure,
        f"Explained variance of {style.count(n_compared, 'component')} {share} %; median error of PCA "
        f"{style.number(float(summary['pca_error']))}, of the model {style.number(float(summary['reconstruction_error']))}.",
    )
