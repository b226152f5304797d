"""Quality of the model: training curves, reconstruction errors, examples."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invae import dims
from invae.config import ReportConfig
from invae.latent_table import LATENTS
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.kind import page_of

MOST_COLUMNS = 3
FEW_EPOCHS = 5
"""Fewer are also drawn as points: a line needs two."""
TERMS = {f"kl_{name}": name for name, row in LATENTS.items() if row.head is not None}
RANKS = ("best", "median", "worst")


def training(result: Result, config: ReportConfig) -> Drawing:
    """ELBO and its terms over epochs, for training and held-out sites."""
    history = result.get("training")
    if history is None or not history.sizes.get(dims.EPOCH):
        raise LeftOut("Training", "the model has no training history")
    epoch = history[dims.EPOCH].to_numpy()
    mark = "o" if len(epoch) < FEW_EPOCHS else ""
    figure = style.new_figure(3.0)
    elbo, terms = figure.subplots(1, 2, width_ratios=(1.3, 1))
    for part, colour, words in (
        ("training", "#9aa3ab", "training"),
        ("held_out", style.ACCENT, "held-out"),
    ):
        if f"elbo_{part}" in history:
            elbo.plot(epoch, history[f"elbo_{part}"], marker=mark, color=colour, label=words)
    kept = np.flatnonzero(history["best"].to_numpy())
    elbo.xaxis.get_major_locator().set_params(integer=True)
    terms.xaxis.get_major_locator().set_params(integer=True)
    best = int(epoch[kept[-1]] if len(kept) else epoch[-1])
    elbo.axvline(best, color=style.SECOND, lw=1, ls=":", label=f"best epoch: {best}")
    low = _without_the_start(history)
    elbo.set(xlabel="epoch", ylabel="ELBO [nat per patch]", title="ELBO")
    if low is not None:
        elbo.set_ylim(*low)
    elbo.legend()
    elbo.grid(axis="y")
    part = "held_out" if "elbo_held_out" in history else "training"
    for index, (term, words) in enumerate(TERMS.items()):
        if f"{term}_{part}" in history:
            terms.plot(
                epoch,
                history[f"{term}_{part}"],
                marker=mark,
                color=style.CLASSES[index % len(style.CLASSES)],
                label=words,
            )
    terms.set(
        xlabel="epoch",
        ylabel="KL divergence [nat per patch]",
        title=f"information in latent variables, {part.replace('_', '-')}",
    )
    terms.margins(y=0.25)
    terms.legend(ncols=3, loc="upper right")
    terms.grid(axis="y")
    return Drawing(
        "training",
        "Training",
        "Left: ELBO, a lower bound of the log-likelihood of a patch; higher is better. The model overfits if the held-out "
        "curve falls while the training curve rises. Right: information in each latent variable (KL divergence).",
        figure,
        _training_numbers(history, best),
    )


def _without_the_start(history: xr.Dataset) -> tuple[float, float] | None:
    """Limits of the ELBO axis without the first tenth of the epochs."""
    curves = [
        history[name].to_numpy() for name in ("elbo_training", "elbo_held_out") if name in history
    ]
    known = (
        np.concatenate([curve[len(curve) // 10 :] for curve in curves]) if curves else np.empty(0)
    )
    known = known[np.isfinite(known)]
    if known.size < 3:
        return None
    low, high = np.percentile(known, 2), known.max()
    margin = 0.08 * max(high - low, 1e-6)
    return float(low - margin), float(high + margin)


def _training_numbers(history: xr.Dataset, best: int) -> str:
    at = int(np.flatnonzero(history[dims.EPOCH].to_numpy() == best)[0])
    parts = [f"{history.sizes[dims.EPOCH]} epochs, best epoch {best}"]
    for part, words in (("training", "training"), ("held_out", "held-out")):
        if f"elbo_{part}" in history:
            parts.append(
                f"ELBO {words} {style.number(float(history[f'elbo_{part}'][at]), 4)} nat per patch"
            )
    return "; ".join(parts) + "."


def error(result: Result, config: ReportConfig) -> Drawing:
    """Reconstruction error on the image, if there is one, and its distribution compared with PCA."""
    sites = result[""]
    if images.has_frames(result):
        figure, last = _error_on_image(result, config)
    else:
        figure = style.new_figure(2.9)
        last = figure.subplots(1, 2, width_ratios=(1.6, 1))[0]
        figure.axes[1].set_axis_off()
    numbers = _histogram(last, sites, label=page_of(result).error_label)
    return Drawing(
        "error",
        "Reconstruction error",
        (
            "Image: dark sites are poorly reconstructed: rare structures, noise or artefacts. "
            if images.has_frames(result)
            else ""
        )
        + "Histogram: errors of training and held-out sites, compared with PCA using the same number of latent variables. PCA was "
        "fitted to all sites.",
        figure,
        numbers,
    )


def _error_on_image(result: Result, config: ReportConfig) -> tuple[Figure, Axes]:
    """Draw the error at the sites; returns the figure and empty axes for the histogram."""
    maps = images.frames_of(result)
    values = result[""]["reconstruction_error"].to_numpy()
    bounds = style.limits(values)
    frames = images.with_sites(result, min(config.max_frames, 2))
    figure = style.new_figure(images.panel_height(maps, 3) + 0.1)
    axes = list(figure.subplots(1, len(frames) + 1, squeeze=False)[0])
    for axis, index in zip(axes, frames, strict=False):
        images.prepare(
            axis, maps, title=f"error, {images.frame_title(maps, int(index))}", bar=axis is axes[0]
        )
        images.show_background(axis, result, int(index))
        images.show_sites(axis, result, int(index), values, cmap="inferno_r", bounds=bounds)
    style.colour_bar(
        figure,
        axes[: len(frames)],
        cmap="inferno_r",
        bounds=bounds,
        label=page_of(result).error_label,
    )
    return figure, axes[-1]


def _histogram(axis: Axes, sites: xr.Dataset, *, label: str) -> str:
    errors, linear = sites["reconstruction_error"].to_numpy(), sites["pca_error"].to_numpy()
    held_out = (
        sites["held_out"].to_numpy().astype(bool)
        if "held_out" in sites
        else np.zeros(len(errors), bool)
    )
    n_compared = int(sites["pca_error"].attrs["n_components"])
    both = np.concatenate([errors, linear])
    low, high = np.percentile(both[np.isfinite(both)], (0.5, 99.5))
    bins = np.linspace(low, high, 31)
    parts = []
    for values, colour, words in (
        (errors[~held_out], "#9aa3ab", "training"),
        (errors[held_out], style.ACCENT, "held-out"),
        (linear, style.SECOND, f"PCA with {style.count(n_compared, 'component')}"),
    ):
        if len(values):
            axis.hist(
                values, bins=bins, density=True, histtype="step", lw=1.6, color=colour, label=words
            )
            parts.append(f"{words} {style.number(float(np.median(values)))}")
    axis.set(xlabel=label, ylabel="density", title="distribution")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22))
    return f"Median error: {'; '.join(parts)}."


def examples(result: Result, config: ReportConfig) -> Drawing:
    """Inputs, reconstructions and residuals of the best, median and worst fits."""
    group = result["examples"]
    names = [style.short(str(name)) for name in group[dims.CHANNEL].to_numpy()]
    channel = names.index("t") if "t" in names else 0
    patch, reconstruction = (
        group[name].to_numpy()[:, channel] for name in ("patch", "reconstruction")
    )
    rows = {"input": patch, "reconstruction": reconstruction, "residual": patch - reconstruction}
    cmap, bounds = style.patch_colours(patch)
    figure = style.new_figure(3.6)
    axes = figure.subplots(len(rows), len(patch), squeeze=False)
    for row, (name, pictures) in enumerate(rows.items()):
        for column, picture in enumerate(pictures):
            axis = axes[row, column]
            axis.imshow(picture, cmap=cmap, vmin=bounds[0], vmax=bounds[1])
            axis.set(xticks=[], yticks=[])
            axis.set_facecolor("#c8cdd2")
            if row == 0:
                rank = RANKS[int(group["rank"][column])]
                axis.set_title(
                    f"{rank}\n{style.number(float(group['error'][column]), 2)}", fontsize=8.5
                )
        axes[row, 0].set_ylabel(name)
    label = f"channel {names[channel]}"
    style.colour_bar(figure, list(axes.ravel()), cmap=cmap, bounds=bounds, label=label)
    return Drawing(
        "examples",
        "Reconstructions",
        "Inputs, reconstructions and residuals for the best, median and worst fits. Structure in a residual is not "
        "captured by the latent variables. Grey pixels are masked.",
        figure,
        f"Numbers above the patches: rms error over valid pixels; channel {names[channel]}.",
    )
