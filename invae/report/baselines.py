"""Methods without invariance, compared with the model."""

from dataclasses import replace

import numpy as np

from invae import dims
from invae.config import ReportConfig
from invae.report import images, latent_plane, style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.ground_truth import LABELLINGS

MOST_COLUMNS = 5
SORTING = ("kmeans", "gmm")
"""Methods that cluster sites and have no latent plane of their own."""


def planes(result: Result, config: ReportConfig) -> Drawing:
    """The latent plane of the model and of each method, coloured by true classes or those of the model."""
    methods = result.get("baselines")
    if methods is None:
        raise LeftOut(
            "Comparison with methods without invariance", "none was selected (analyse.baselines)"
        )
    colouring = _colouring(result)
    names = [str(name) for name in methods["baseline"].to_numpy()]
    x, y, axes_names = latent_plane.place(result)
    keep = images.evenly(len(x), images.MAX_DOTS)
    columns = min(MOST_COLUMNS, 1 + len(names))
    figure, axes = style.panels(1 + len(names), columns=columns, panel_height=2.45)
    own = {"keep": keep, "cmap": config.colormap, "size": 6, "legend": False}
    latent_plane.show(axes[0], x[keep], y[keep], colouring, **own)
    axes[0].set(title=_title("model", result, 0), xlabel=axes_names[0], ylabel=axes_names[1])
    for axis, name in zip(axes[1:], names, strict=True):
        values = methods["content"].sel(baseline=name).to_numpy()[keep]
        second = values[:, 1] if values.shape[1] > 1 else np.zeros(len(values))
        shown = _own_classes(result, name, colouring) if name in SORTING else colouring
        latent_plane.show(axis, values[:, 0], second, shown, **own)
        axis.set(title=_title(LABELLINGS[name], result, name), xlabel="coordinate 1")
        axis.set_ylabel("coordinate 2")
    latent_plane.explain(figure, colouring)
    return Drawing(
        "beside",
        "Comparison with methods without invariance",
        f"The same sites in the latent plane of the model and of other methods, in the same colours ({colouring.title}). A method "
        "without invariance to rotation and position spreads one pattern over its plane, and separates orientations instead of "
        "patterns. k-means and the Gaussian mixture are drawn in the PCA plane, coloured by their own clusters.",
        figure,
        _numbers(result),
    )


def _own_classes(result: Result, name: str, like: latent_plane.Colouring) -> latent_plane.Colouring:
    """The clusters of a method, in the colours of the true classes that they match."""
    label = result["baselines"]["cluster"].sel(baseline=name).to_numpy()
    if "confusion" in result:
        label = result["confusion"]["match"].sel(labelling=name).to_numpy()[label]
    return replace(like, values=label)


def _colouring(result: Result) -> latent_plane.Colouring:
    """The first true class, else the class found by the model."""
    every = latent_plane.colourings(result)
    return next((c for c in every if c.classes and c.is_truth), every[0])


def _title(words: str, result: Result, labelling: str | int) -> str:
    """The method, with its accuracy if there are true classes."""
    if "confusion" not in result:
        return words
    table = result["confusion"]
    place = {"labelling": labelling}
    row = table.isel(place) if isinstance(labelling, int) else table.sel(place)
    return f"{words}\n{style.number(float(row['accuracy']), 2)}"


def errors(result: Result) -> str:
    """Median reconstruction errors of the model and of each method, on held-out sites if there are any."""
    methods, sites = result["baselines"], result[""]
    held_out = sites["held_out"].to_numpy() if "held_out" in sites.coords else np.zeros(0, bool)
    judged = held_out if held_out.any() else np.ones(sites.sizes[dims.SITE], bool)
    own = sites["reconstruction_error"].to_numpy()[judged]
    parts = [f"model {style.number(float(np.median(own)))}"]
    for name in map(str, methods["baseline"].to_numpy()):
        errors_of = methods["reconstruction_error"].sel(baseline=name).to_numpy()[judged]
        if np.isfinite(errors_of).all():
            parts.append(f"{LABELLINGS[name]} {style.number(float(np.median(errors_of)))}")
    where = ""
    if held_out.any():
        where = (
            f" on the {int(judged.sum())} held-out sites (the other methods were fitted to them)"
        )
    return f"Median reconstruction error{where}: {', '.join(parts)}"


def _numbers(result: Result) -> str:
    """The errors, and the meaning of the numbers above the panels."""
    accuracy = "; number above each panel: class accuracy" if "confusion" in result else ""
    return f"{errors(result)}{accuracy}."
