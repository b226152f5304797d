"""The latent plane, coloured by each quantity of the sites."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from invae import dims
from invae.config import ReportConfig
from invae.latent_table import LATENTS
from invae.report import images, style
from invae.report.figure import Drawing, Result
from invae.report.kind import Descriptor, page_of
from invae.results.reading import kind_of

INFERRED = {name: name for name, row in LATENTS.items() if row.colours == "linear"}
"""Latent variables that are plain numbers, and their names in figures."""
MOST_NUMBERS = 8
ANGLE_TICKS = {
    np.radians(degrees): f"{degrees}".replace("-", "−") for degrees in (-180, -90, 0, 90, 180)
}
"""Places of ticks on an axis of angles [rad], and their labels [degree]."""


@dataclass(frozen=True)
class Colouring:
    """A quantity of the sites as colours."""

    title: str
    values: np.ndarray
    """(site); for classes their number, −1 if unknown."""
    classes: tuple[str, ...] = ()
    """Names of the classes, if the quantity is a class."""
    units: str | None = None
    cyclic: bool = False
    """Whether it is an angle [rad]."""
    signed: bool = False
    is_truth: bool = False
    """Whether it is ground truth, which the model did not see."""


def colourings(result: Result) -> list[Colouring]:
    """All quantities by which sites can be coloured: found and true classes, angles, numbers, descriptors."""
    sites = result[""]
    shown = [_found_class(result)]
    known = [name for name in map(str, sites.variables) if name.startswith("truth_")]
    shown += [_of_truth(sites[name]) for name in sorted(known, key=_classes_first(sites))]
    if "angle" in sites.variables:
        values = np.angle(np.exp(1j * sites["angle"].to_numpy()))
        shown.append(Colouring("inferred angle", values, units="rad", cyclic=True))
    shown += list(_numbers(result))
    return [c for c in shown if c.classes or np.isfinite(c.values).any()]


def _found_class(result: Result) -> Colouring:
    sites = result[""]
    if "classes" in result:
        names = tuple(style.short(str(n)) for n in result["classes"]["class_name"].to_numpy())
        return Colouring("model class", sites["joint_class"].to_numpy(), classes=names)
    names = tuple(str(number + 1) for number in range(sites.sizes["cluster_name"]))
    return Colouring("cluster", sites["cluster"].to_numpy(), classes=names)


def _classes_first(sites: xr.Dataset) -> Callable[[str], tuple[bool, str]]:
    return lambda name: ("flag_meanings" not in sites[name].attrs, name)


def _of_truth(variable: xr.DataArray) -> Colouring:
    name = str(variable.name).removeprefix("truth_").replace("_", " ")
    title = f"true {style.short(name)}"
    if "flag_meanings" in variable.attrs:
        names = tuple(style.short(word) for word in dims.meanings(variable.attrs))
        return Colouring(title, variable.to_numpy().astype(np.int64), classes=names, is_truth=True)
    units = variable.attrs.get("units")
    cyclic = name == "angle" and units == "rad"
    values = variable.to_numpy().astype(float)
    values = np.angle(np.exp(1j * values)) if cyclic else values
    signed = bool(values.min() < 0)
    return Colouring(title, values, (), units, cyclic, signed, is_truth=True)


def _numbers(result: Result) -> Iterator[Colouring]:
    """Further latent variables, and the descriptors of the kind of recording."""
    known = {name: Descriptor(f"inferred {words}") for name, words in INFERRED.items()}
    for name, shown in {**known, **page_of(result).descriptors}.items():
        if name not in result[""].variables:
            continue
        variable = result[""][name]
        columns = variable.to_numpy().reshape(variable.shape[0], -1).T.astype(float)
        for number, values in enumerate(columns):
            title = shown.label + (f" {number + 1}" if len(columns) > 1 else "")
            yield Colouring(title, values, units=variable.attrs.get("units"), signed=shown.signed)


def place(result: Result) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """X and y of every site in the plane of the two most variable content dimensions, and names of the axes."""
    sites = result[""]
    chosen = shown_dimensions(result)
    values = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    names = [f"content {dimension + 1}" for dimension in chosen]
    if len(chosen) > 1:
        return values[:, chosen[0]], values[:, chosen[1]], names
    return (
        values[:, chosen[0]],
        _found_class(result).values + 0.0,
        [*names, _found_class(result).title],
    )


def shown_dimensions(result: Result) -> list[int]:
    """The two content dimensions that scatter plots and the manifold show (one if there is one)."""
    axes = (
        result["traversal"][name].attrs.get("content_dimension")
        for name in ("latent_1", "latent_2")
    )
    return [int(axis) for axis in axes if axis is not None]


def scatter(result: Result, config: ReportConfig) -> Drawing:
    """The latent plane, coloured by each quantity."""
    x, y, names = place(result)
    keep = images.evenly(len(x), images.MAX_DOTS)
    shown = colourings(result)[: 1 + MOST_NUMBERS]
    figure, axes = style.panels(len(shown), columns=3, panel_height=2.85)
    for axis, colouring in zip(axes, shown, strict=True):
        show(axis, x[keep], y[keep], colouring, keep=keep, cmap=config.colormap)
        axis.set(xlabel=names[0], ylabel=names[1])
    return Drawing(
        "scatter",
        "Latent plane",
        f"Each dot is one {kind_of(result).site}; every panel shows another quantity as colour. A smooth gradient means that the "
        "content depends on the quantity, mixed colours mean that it does not. True and measured quantities are independent of the "
        "model.",
        figure,
        f"{style.number(len(keep))} of {style.number(len(x))} {kind_of(result).sites} shown.",
    )


def show(
    axis: Axes,
    x: np.ndarray,
    y: np.ndarray,
    colouring: Colouring,
    *,
    keep: np.ndarray,
    cmap: str,
    size: float = 8,
    legend: bool = True,
) -> None:
    """Draw dots coloured by a quantity, with legend or colour bar; pale grey where it is unknown.

    Args:
        axis: axes of the plane.
        x: positions of the dots.
        y: positions of the dots.
        colouring: quantity of all sites.
        keep: indices of the drawn sites.
        cmap: colour map of numbers.
        size: of a dot [point²].
        legend: whether to draw a legend or colour bar.
    """
    values = colouring.values[keep]
    axis.set_title(colouring.title)
    # The class drawn last would hide the others: dots are drawn in random order.
    order = np.random.default_rng(0).permutation(len(x))
    x, y, values = x[order], y[order], values[order]
    known = values >= 0 if colouring.classes else np.isfinite(values)
    plain = {"lw": 0, "rasterized": True}
    axis.scatter(x[~known], y[~known], c="#d5d9dd", s=size * 0.75, **plain)
    if colouring.classes:
        colours = style.class_colours(len(colouring.classes))
        axis.scatter(x[known], y[known], c=colours(values[known]), s=size, alpha=0.75, **plain)
        if legend:
            _class_legend(axis, colouring)
        return
    shades, bounds = style.cyclic() if colouring.cyclic else cmap, (-np.pi, np.pi)
    if not colouring.cyclic:
        bounds = style.limits(values, symmetric=colouring.signed)
        shades = "coolwarm" if colouring.signed else cmap
    low, high = bounds
    axis.scatter(
        x[known], y[known], c=values[known], s=size, cmap=shades, vmin=low, vmax=high, **plain
    )
    if legend:
        figure = axis.get_figure()
        assert isinstance(figure, Figure)
        style.colour_bar(
            figure,
            axis,
            cmap=shades,
            bounds=bounds,
            label=style.in_units(
                colouring.title, "degree" if colouring.cyclic else colouring.units
            ),
            ticks=ANGLE_TICKS if colouring.cyclic else None,
        )


def explain(figure: Figure, colouring: Colouring) -> None:
    """Draw the legend of the classes beside the whole figure."""
    colours = style.class_colours(len(colouring.classes))
    handles = [
        Line2D([], [], marker="o", ls="", ms=5, color=colours(number), label=name)
        for number, name in enumerate(colouring.classes[: len(style.CLASSES)])
    ]
    figure.legend(handles=handles, loc="outside right upper", handletextpad=0.1)


def _class_legend(axis: Axes, colouring: Colouring) -> None:
    """Draw the legend of the classes beside the axes."""
    colours = style.class_colours(len(colouring.classes))
    for number, name in enumerate(colouring.classes[: len(style.CLASSES)]):
        axis.scatter([], [], color=colours(number), s=18, label=name)
    long = max(map(len, colouring.classes)) > 3
    axis.legend(
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        handletextpad=0.1,
        borderaxespad=0.2,
        fontsize=8 if long else 8.5,
    )
