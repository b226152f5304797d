"""Sites on plain images: the frames, an overview of the results, and the outliers."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.patheffects import withStroke

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.classes import classes_of
from invae.report.figure import Drawing, LeftOut, Result, Table
from invae.report.latent_plane import ANGLE_TICKS
from invae.results.reading import kind_of

NAMED = 20
"""Number of outliers that are numbered in the image and listed in the table."""


def overview(result: Result, config: ReportConfig) -> Drawing:
    """Some frames as recorded, without and with their sites."""
    frames = result["images"]
    shown = images.with_sites(result, min(config.max_frames, 2))
    figure, axes = style.panels(
        2 * len(shown), columns=2, panel_height=images.panel_height(frames, 2)
    )
    bounds = style.limits(frames["image"][shown].to_numpy())
    for row, index in enumerate(shown):
        for column, axis in enumerate(axes[2 * row : 2 * row + 2]):
            title = images.frame_title(frames, int(index))
            images.prepare(axis, frames, title=title, bar=row == column == 0)
            images.show_map(axis, frames["image"][index].to_numpy(), cmap="Greys_r", bounds=bounds)
        _dots(axes[2 * row + 1], result, int(index))
        axes[2 * row + 1].set_title(
            f"{kind_of(result).sites}, {images.frame_title(frames, int(index))}"
        )
    count = result["frames"]["n_sites"].to_numpy()
    return Drawing(
        "images",
        "Images and sites",
        "Left: recorded image; the colour range excludes the lowest and highest 1 % of values. Right: "
        f"{kind_of(result).sites} on which patches are centred, coloured by class. The border is left out where a patch would "
        "not fit.",
        figure,
        f"{style.count(float(count.sum()), kind_of(result).site)} in {style.count(len(count), 'frame')}, "
        f"{style.number(float(count.min()))} to {style.number(float(count.max()))} per frame.",
    )


def _dots(axis: Axes, result: Result, index: int) -> None:
    """Draw the sites of a frame as small dots, coloured by class."""
    label, names = classes_of(result)
    here = _of_frame(result, index)
    centres = images.places(result, here)
    cmap, bounds = style.class_colours(len(names)), (-0.5, len(names) - 0.5)
    images.show_dots(axis, centres, label[here].astype(float), cmap=cmap, bounds=bounds)


def _of_frame(result: Result, index: int) -> np.ndarray:
    frame = int(result["images"][dims.FRAME][index])
    return np.flatnonzero(result[""][dims.FRAME].to_numpy() == frame)


def glance(result: Result, config: ReportConfig) -> Drawing:
    """Image, class, pose, content and error of the last shown frame."""
    frames, sites = result["images"], result[""]
    index = int(images.with_sites(result, 2)[-1])
    panels = _panels(sites, result, cmap=config.colormap)
    figure, axes = style.panels(
        1 + len(panels), columns=2, panel_height=images.panel_height(frames, 2) - 0.25
    )
    images.prepare(axes[0], frames, title="image", bar=True)
    image = frames["image"][index].to_numpy()
    images.show_map(axes[0], image, cmap="Greys_r", bounds=style.limits(image))
    for axis, (name, values, cmap, bounds, ticks) in zip(axes[1:], panels, strict=True):
        images.prepare(axis, frames, title=name, bar=False)
        images.show_background(axis, result, index)
        images.show_sites(axis, result, index, values, cmap=cmap, bounds=bounds)
        style.colour_bar(axis.figure, axis, cmap=cmap, bounds=bounds, label="", ticks=ticks)  # type: ignore[arg-type]
    return Drawing(
        "glance",
        "Overview",
        f"Results for every {kind_of(result).site}, drawn at its position. "
        + " ".join(dict.fromkeys(PANEL_WORDS[title.split()[0]] for title, *_ in panels)),
        figure,
        f"{images.frame_title(frames, index).capitalize()}.",
    )


PANEL_WORDS = {
    "class": "Class: sites that look alike in any orientation.",
    "cluster": "Cluster: sites with similar content.",
    "angle": "Angle: orientation of the pattern, in cyclic colours.",
    "shift": "Shift: offset of the pattern from the middle of its patch.",
    "content": "Content: what a patch shows, apart from its pose.",
    "error": "Error: how poorly a patch is reconstructed.",
}
"""Explanation of a panel, by the first word of its title."""
Panel = tuple[str, np.ndarray, str | Colormap, tuple[float, float], dict[float, str] | None]
"""Title, values of the sites, colours, limits, and ticks with names."""


def _panels(sites: xr.Dataset, result: Result, *, cmap: str) -> list[Panel]:
    """All panels that the family of the model allows."""
    label, names = classes_of(result)
    ticks = {float(number): name for number, name in enumerate(names)}
    count, word = len(names), "class" if "classes" in result else "cluster"
    panels: list[Panel] = [
        (word, label.astype(float), style.class_colours(count), (-0.5, count - 0.5), ticks)
    ]
    if "angle" in sites:
        wrapped = np.angle(np.exp(1j * sites["angle"].to_numpy()))
        panels.append(("angle [°]", wrapped, style.cyclic(), (-np.pi, np.pi), ANGLE_TICKS))
    if "shift" in sites:
        shift = sites["shift"].transpose(dims.SITE, dims.AXIS).to_numpy()
        bounds = style.limits(shift, symmetric=True)
        panels += [
            (f"shift in {name} [px]", shift[:, column], "coolwarm", bounds, None)
            for column, name in enumerate(("y", "x"))
        ]
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    for dimension in range(min(content.shape[1], 2)):
        values = content[:, dimension]
        panels.append((f"content {dimension + 1}", values, cmap, style.limits(values), None))
    error = sites["reconstruction_error"].to_numpy()
    panels.append(("error", error, "inferno_r", style.limits(error), None))
    return panels


def outliers(result: Result, config: ReportConfig) -> Drawing:
    """Outliers among the sites, circled and numbered."""
    group, frames = result["outliers"], result["images"]
    if not group.sizes["outlier"]:
        raise LeftOut("Outliers", "no site deviates from its class by more than the threshold")
    shown = images.with_sites(result, 1)
    busiest = group[dims.FRAME].to_numpy()
    here = [
        int(np.sum(busiest == int(frames[dims.FRAME][index])))
        for index in range(frames.sizes[dims.FRAME])
    ]
    index = int(np.argmax(here)) if max(here) else int(shown[0])
    figure = style.new_figure(
        min(6.0, 0.58 * style.WIDTH * frames.sizes[dims.Y] / frames.sizes[dims.X])
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    score = result[""]["outlier_score"].to_numpy()
    bounds = (0.0, max(float(np.percentile(score, 99.5)), 1.0))
    for axis in (left, right):
        images.prepare(axis, frames, title=images.frame_title(frames, index), bar=axis is left)
    image = frames["image"][index].to_numpy()
    images.show_map(left, image, cmap="Greys_r", bounds=style.limits(image))
    images.show_background(right, result, index)
    images.show_sites(right, result, index, score, cmap="magma_r", bounds=bounds)
    style.colour_bar(figure, right, cmap="magma_r", bounds=bounds, label="deviation / threshold")
    _circled(left, result, index)
    site = kind_of(result).site
    is_atom = "intensity" in result[""]
    causes = (
        " Possible causes: dopants, vacancies and their neighbours, contamination, wrong detections."
        if is_atom
        else ""
    )
    return Drawing(
        "outliers",
        "Outliers",
        f"Every {site} is compared with the nearest ones of its class in {_compared(result)}. Circles mark outliers, which deviate "
        "by more than the threshold for their class; numbers give their rank." + causes,
        figure,
        _how_many(group, int(frames[dims.FRAME][index])),
        _named(result),
    )


def _compared(result: Result) -> str:
    """Names of the quantities in which sites are compared."""
    measured = {"intensity": "intensity", "width": "width", "mean_distance": "neighbour distance"}
    names = [words for name, words in measured.items() if name in result[""]]
    return f"{', '.join([*names, 'content'])} and reconstruction error"


def _circled(axis: Axes, result: Result, index: int) -> None:
    """Draw circles on the outliers of a frame, one colour per reason, with numbers on the strongest."""
    group = result["outliers"]
    frame = int(result["images"][dims.FRAME][index])
    reasons = dims.meanings(group["reason"].attrs)
    in_legend: set[int] = set()
    for place in np.flatnonzero(group[dims.FRAME].to_numpy() == frame)[::-1]:
        outlier = group.isel(outlier=place)
        x, y, reason = float(outlier[dims.X]), float(outlier[dims.Y]), int(outlier["reason"])
        colour = style.CLASSES[reason % len(style.CLASSES)]
        label = None if reason in in_legend else reasons[reason].replace("_", " ")
        in_legend.add(reason)
        halo = [withStroke(linewidth=4, foreground="white")]
        ring = {"mfc": "none", "mec": colour, "mew": 1.8, "path_effects": halo}
        axis.plot(x, y, "o", ms=11, zorder=5, label=label, **ring)
        if place < NAMED:
            text = {"xytext": (5, 4), "textcoords": "offset points", "fontsize": 9}
            outline = [withStroke(linewidth=2, foreground="white")]
            axis.annotate(str(place + 1), (x, y), zorder=6, path_effects=outline, **text)
    if in_legend:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, handletextpad=0.2)


def _how_many(group: xr.Dataset, frame: int) -> str:
    here = int((group[dims.FRAME].to_numpy() == frame).sum())
    total = group.sizes["outlier"]
    reasons = dims.meanings(group["reason"].attrs)
    counts = np.bincount(group["reason"].to_numpy(), minlength=len(reasons))
    parts = [
        f"{n} {words.replace('_', ' ')}" for n, words in zip(counts, reasons, strict=True) if n
    ]
    return f"{style.count(total, 'outlier')}, {here} of them in this frame: {', '.join(parts)}."


def _named(result: Result) -> Table:
    """The strongest outliers, numbered as in the image."""
    group = result["outliers"]
    in_nm = bool(np.isfinite(group["y_nm"].to_numpy()).all())
    unit, end, digits = ("nm", "_nm", 2) if in_nm else ("px", "", 0)
    reasons = dims.meanings(group["reason"].attrs)
    _, classes = classes_of(result)
    rows = []
    for number in range(min(NAMED, group.sizes["outlier"])):
        outlier = group.isel(outlier=number)
        place = [f"{float(outlier[axis + end]):.{digits}f}" for axis in (dims.Y, dims.X)]
        reason = reasons[int(outlier["reason"])].replace("_", " ")
        own = [classes[int(outlier["label"])], reason, f"{float(outlier['score']):.2f}"]
        rows.append([str(number + 1), str(int(outlier[dims.FRAME])), *place, *own])
    heads = [
        "",
        "frame",
        f"y [{unit}]",
        f"x [{unit}]",
        "class",
        "reason",
        "deviation / threshold",
    ]
    return Table(heads, rows)
