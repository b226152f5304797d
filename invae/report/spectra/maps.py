"""Where spectra were recorded: latents, other methods and excluded spectra at their places."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.baselines import errors
from invae.report.classes import classes_of
from invae.report.figure import Drawing, LeftOut, Result, Table
from invae.report.latent_plane import ANGLE_TICKS
from invae.report.spectra.curves import axis_of, value_label

COLUMNS = 2
MOST_DIMENSIONS = 4
NO_SITE = "#d9dde1"
METHODS = {"pca": "PCA", "nmf": "NMF"}


@dataclass(frozen=True, eq=False)
class Panel:
    """Values of the sites and their colours."""

    title: str
    values: np.ndarray
    """(site,)."""
    cmap: str | Colormap
    bounds: tuple[float, float]
    ticks: dict[float, str] | None = None
    label: str = ""


def panels(result: Result, config: ReportConfig) -> Drawing:
    """Latent variables, classes and errors at the places of their spectra, and the images of the grid."""
    shown = [*_latents(result, config), *_noise(result)]
    pictures = list(_images(result))
    n_panels = len(pictures) + len(shown)
    figure, axes = style.panels(n_panels, columns=COLUMNS, panel_height=_height(result))
    for axis, (name, image) in zip(axes, pictures, strict=False):
        images.prepare(axis, result["map"], title=name, bar=axis is axes[0])
        images.show_map(axis, image, cmap="gray", bounds=style.limits(image))
    for axis, panel in zip(axes[len(pictures) :], shown, strict=True):
        show(axis, result, panel, bar=axis is axes[0])
    return Drawing(
        "maps",
        "Latent variables at the places of the spectra",
        "Every value is drawn where its spectrum was recorded. Content is what a spectrum looks like, apart from its shift; shift is its "
        "displacement along the axis; error is the reconstruction error. Places without a spectrum that can be used are grey.",
        figure,
        _size(result),
    )


def _latents(result: Result, config: ReportConfig) -> Iterator[Panel]:
    sites = result[""]
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    for number in range(min(content.shape[1], MOST_DIMENSIONS)):
        values = content[:, number]
        yield Panel(f"content {number + 1}", values, config.colormap, style.limits(values))
    if "shift" in sites:
        values = sites["shift"].sel({dims.AXIS: "x"}).to_numpy() * _step(result)[0]
        bounds = style.limits(values, symmetric=True)
        yield Panel(f"shift [{_step(result)[1]}]", values, "coolwarm", bounds)
    if "angle" in sites:
        values = np.angle(np.exp(1j * sites["angle"].to_numpy()))
        yield Panel("angle [°]", values, style.cyclic(), (-np.pi, np.pi), dict(ANGLE_TICKS))
    label, names = classes_of(result)
    ticks = {float(number): name for number, name in enumerate(names)}
    word = "class" if "classes" in result else "cluster"
    colours = style.class_colours(len(names))
    yield Panel(word, label.astype(float), colours, (-0.5, len(names) - 0.5), ticks)
    error = sites["reconstruction_error"].to_numpy()
    yield Panel("error", error, "magma", style.limits(error))


def _noise(result: Result) -> Iterator[Panel]:
    sd = result[""]["spectrum_sd"].to_numpy()
    if np.isfinite(sd).any():
        yield Panel("sd of the noise", sd, "magma", style.limits(sd))


def _step(result: Result) -> tuple[float, str]:
    """Length of one step of an even axis and its unit; 1 step of another axis."""
    places = axis_of(result)[0].astype(float)
    steps = np.diff(places)
    units = str(result["examples"][dims.PATCH_X].attrs.get("units", "1"))
    if np.ptp(steps) > 1e-3 * abs(steps.mean()) or units == "1":
        return 1.0, "step"
    return float(steps.mean()), units


def _images(result: Result) -> Iterator[tuple[str, np.ndarray]]:
    """The images of the grid, at most three."""
    if "map" not in result:
        return
    maps = result["map"]
    names = [n for n in maps.data_vars if not str(n).endswith("_map") and maps[n].ndim == 2]
    for name in names[:3]:
        yield style.short(str(name).replace("_", " ")), maps[name].to_numpy()


def _height(result: Result) -> float:
    if "map" in result:
        return 0.82 * images.panel_height(result["map"], COLUMNS) + 0.15
    return 2.0


def show(axis: Axes, result: Result, panel: Panel, *, bar: bool) -> None:
    """Draw values of the sites on their grid, or as dots."""
    if "map" in result:
        maps, sites = result["map"], result[""]
        image = np.full((maps.sizes[dims.Y], maps.sizes[dims.X]), np.nan)
        row, column = (sites[name].to_numpy() for name in ("grid_row", "grid_column"))
        image[row, column] = panel.values
        images.prepare(axis, maps, title=panel.title, bar=bar)
        axis.set_facecolor(NO_SITE)
        images.show_map(axis, image, cmap=panel.cmap, bounds=panel.bounds)
    else:
        _show_dots(axis, result, panel)
    figure = axis.get_figure(root=True)
    assert figure is not None
    style.colour_bar(
        figure, axis, cmap=panel.cmap, bounds=panel.bounds, label=panel.label, ticks=panel.ticks
    )


def _show_dots(axis: Axes, result: Result, panel: Panel) -> None:
    """Values at the points of the frame with most of them."""
    here, y, x, unit = _busiest(result[""])
    margin = 0.05 * max(float(np.ptp(x)), float(np.ptp(y)), 1e-9)
    axis.set(
        xlim=(x.min() - margin, x.max() + margin),
        ylim=(y.max() + margin, y.min() - margin),
        title=panel.title,
        xlabel=f"x [{unit}]",
    )
    axis.set_aspect("equal")
    axis.set_facecolor(NO_SITE)
    images.show_dots(
        axis, np.column_stack((x, y)), panel.values[here], cmap=panel.cmap, bounds=panel.bounds
    )


def _busiest(sites: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Sites of the frame with most of them, their places, and the unit."""
    frame = sites[dims.FRAME].to_numpy()
    numbers, n_sites = np.unique(frame, return_counts=True)
    here = np.flatnonzero(frame == numbers[n_sites.argmax()])
    in_nm = bool(np.isfinite(sites["y_nm"].to_numpy()[here]).all())
    end, unit = ("_nm", "nm") if in_nm else ("", "px")
    y, x = (sites[f"{name}{end}"].to_numpy()[here] for name in (dims.Y, dims.X))
    return here, y, x, unit


def _size(result: Result) -> str:
    summary = result["summary"]
    used = style.count(float(summary["n_sites"]), "spectrum")
    recorded = style.number(float(summary["n_recorded"]))
    if "map" not in result:
        here, *_ = _busiest(result[""])
        return (
            f"{used} of {recorded}; {style.number(len(here))} of them in the frame that is drawn."
        )
    maps = result["map"]
    return f"Grid of {maps.sizes[dims.Y]} × {maps.sizes[dims.X]}; {used} of {recorded} can be used."


def comparison(result: Result, config: ReportConfig) -> Drawing:
    """Content of the model beside the coordinates of PCA and NMF, at the places of the spectra."""
    methods = result.get("baselines")
    there = [] if methods is None else [str(name) for name in methods["baseline"].to_numpy()]
    names = [name for name in METHODS if name in there]
    if methods is None or not names:
        raise LeftOut("Comparison with PCA and NMF", "neither was selected (analyse.baselines)")
    content = result[""]["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    columns = {"content": content}
    columns |= {METHODS[name]: methods["content"].sel(baseline=name).to_numpy() for name in names}
    width = min(MOST_DIMENSIONS, max(values.shape[1] for values in columns.values()))
    figure, axes = style.panels(
        len(columns) * width,
        columns=width,
        panel_height=min(_height(result) * COLUMNS / width, 2.6),
    )
    for row, (name, values) in enumerate(columns.items()):
        for column in range(width):
            axis = axes[row * width + column]
            if column >= values.shape[1] or not np.isfinite(values[:, column]).any():
                axis.set_axis_off()
                continue
            shown = values[:, column]
            panel = Panel(f"{name} {column + 1}", shown, config.colormap, style.limits(shown))
            show(axis, result, panel, bar=False)
    return Drawing(
        "linear_maps",
        "Comparison with PCA and NMF",
        "Top: content of the model. Below: coordinates of linear methods with as many components as the model has latent variables. NMF "
        "describes spectra as sums of non-negative parts; where spectra are negative, their smallest value is subtracted first.",
        figure,
        f"{errors(result)}.",
    )


def excluded(result: Result, config: ReportConfig) -> Drawing:
    """The spectra that cannot be used: where, why, and some of them."""
    group = result["excluded"]
    codes = group["reason"].to_numpy()
    if not len(codes):
        raise LeftOut("Excluded spectra", "all spectra can be used")
    names = [word.replace("_", " ") for word in dims.meanings(group["reason"].attrs)]
    there = [int(code) for code in np.unique(codes)]
    figure = style.new_figure(3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    _reason_map(left, result, there)
    _example_curves(right, result, there, names)
    counts = {names[code]: int((codes == code).sum()) for code in there}
    total = float(result["summary"]["n_recorded"])
    rows = [
        [name, style.number(n), f"{style.number(100 * n / total)} %"] for name, n in counts.items()
    ]
    return Drawing(
        "excluded",
        "Excluded spectra",
        "Spectra that cannot be used, by the first reason that applies. Left: their places. Right: up to three of each reason as recorded, "
        "scaled to their largest magnitude and drawn one group below the other. describe.gate sets the limits.",
        figure,
        f"{style.count(len(codes), 'spectrum')} of {style.number(total)}.",
        Table(["reason", "spectra", "share"], rows),
    )


def _reason_map(axis: Axes, result: Result, there: list[int]) -> None:
    colours = {code: style.CLASSES[n % len(style.CLASSES)] for n, code in enumerate(there)}
    group = result["excluded"]
    if "map" in result:
        reasons = result["map"]["reason_map"].to_numpy()
        order = np.zeros(reasons.shape, int)
        for number, code in enumerate(there, 1):
            order[reasons == code] = number
        images.prepare(axis, result["map"], title="places", bar=True)
        shades = ListedColormap(["#f2f4f5", *colours.values()])
        images.show_map(axis, order, cmap=shades, bounds=(-0.5, len(there) + 0.5))
        return
    for code, colour in colours.items():
        here = group["reason"].to_numpy() == code
        axis.plot(group["x"].to_numpy()[here], group["y"].to_numpy()[here], "o", ms=3, color=colour)
    axis.invert_yaxis()
    axis.set(title="places", xlabel="x [px]", ylabel="y [px]")


def _example_curves(axis: Axes, result: Result, there: list[int], names: list[str]) -> None:
    group, (places, label) = result["excluded"], axis_of(result)
    codes = group["example_reason"].to_numpy()
    for number, code in enumerate(there):
        for values in group["example"].to_numpy()[codes == code]:
            known = np.abs(values[np.isfinite(values)])
            scale = float(known.max()) if known.size else 1.0
            colour = style.CLASSES[number % len(style.CLASSES)]
            axis.plot(places, values / (2.2 * (scale or 1.0)) - number, color=colour, lw=0.9)
    axis.set_yticks([-float(n) for n in range(len(there))], labels=[names[code] for code in there])
    axis.set(xlabel=label, title=f"examples, {value_label(result)} (scaled)")
