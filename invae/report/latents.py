"""Content and angle on the image, and the decoded manifold."""

import numpy as np
from matplotlib.axes import Axes

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.latent_plane import ANGLE_TICKS, shown_dimensions
from invae.results.reading import kind_of

MOST_DIMENSIONS = 4
MOST_COLUMNS = 3


def content(result: Result, config: ReportConfig) -> Drawing:
    """Each content dimension along the walls, or over the grid, of a few frames."""
    sites, maps = result[""], images.frames_of(result)
    values = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    shown = range(min(values.shape[1], MOST_DIMENSIONS))
    frames = images.with_sites(result, min(config.max_frames, MOST_COLUMNS))
    columns = len(frames) if len(frames) > 1 else min(len(shown), 2)
    figure, axes = style.panels(
        len(shown) * len(frames), columns=columns, panel_height=images.panel_height(maps, columns)
    )
    for row, dimension in enumerate(shown):
        own = axes[row * len(frames) : (row + 1) * len(frames)]
        bounds = style.limits(values[:, dimension])
        for axis, index in zip(own, frames, strict=True):
            title = f"content {dimension + 1}, {images.frame_title(maps, int(index))}"
            images.prepare(axis, maps, title=title, bar=axis is axes[0])
            images.show_background(axis, result, int(index))
            images.show_sites(
                axis, result, int(index), values[:, dimension], cmap=config.colormap, bounds=bounds
            )
        label = f"content {dimension + 1}"
        style.colour_bar(figure, own, cmap=config.colormap, bounds=bounds, label=label)
    where = "along the walls" if images.on_walls(result) else f"at the {kind_of(result).sites}"
    return Drawing(
        "content",
        "Content on the image",
        f"Content is what a patch shows, apart from its orientation and position; it is drawn {where}. Equal colours mean similar "
        "patches, in any orientation. The values have no unit: compare them with the manifold and with the measured quantities.",
        figure,
        _spread(values),
    )


def _spread(values: np.ndarray) -> str:
    parts = []
    for dimension in range(values.shape[1]):
        low, high = np.percentile(values[:, dimension], (2.5, 97.5))
        parts.append(
            f"content {dimension + 1}: 95 % of sites between {style.number(low)} and {style.number(high)}"
        )
    return "; ".join(parts) + "."


def angle(result: Result, config: ReportConfig) -> Drawing:
    """The angle at the sites, in cyclic colours."""
    sites, maps = result[""], images.frames_of(result)
    if "angle" not in sites:
        raise LeftOut("Angle on the image", "the model has no angle")
    values, cmap, bounds = sites["angle"].to_numpy(), style.cyclic(), (-np.pi, np.pi)
    frames = images.with_sites(result, min(config.max_frames, MOST_COLUMNS))
    known = "wall_normal" in sites and np.isfinite(sites["wall_normal"].to_numpy()).any()
    columns = max(2, len(frames)) if known else len(frames)
    height = images.panel_height(maps, max(columns, 2))
    figure = style.new_figure(height if len(frames) < 3 else height + 0.2)
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    wrapped = np.angle(np.exp(1j * values))
    for axis, index in zip(axes, frames, strict=False):
        images.prepare(
            axis, maps, title=f"angle, {images.frame_title(maps, int(index))}", bar=axis is axes[0]
        )
        images.show_background(axis, result, int(index))
        images.show_sites(axis, result, int(index), wrapped, cmap=cmap, bounds=bounds)
    style.colour_bar(
        figure,
        axes[: len(frames)],
        cmap=cmap,
        bounds=bounds,
        label="angle [°]",
        ticks=ANGLE_TICKS,
    )
    if len(frames) < columns:
        _against_normal(axes[1], result, wrapped)
    summary = result["summary"]
    numbers = []
    if "angle_resultant" in summary:
        numbers.append(
            f"median certainty of the angle (mean resultant length) {style.number(float(summary['angle_resultant']))}"
        )
    if "angle_agreement" in summary:
        numbers.append(
            f"agreement with the wall direction within clusters {style.number(float(summary['angle_agreement']))} (1: equal up to an offset)"
        )
    return Drawing(
        "angle",
        "Angle on the image",
        "Orientation of the pattern around a site; positive as np.rot90 (counter-clockwise). Colours are cyclic: −180° and 180° "
        "are equal. Only differences between sites of one class are meaningful, because the zero is arbitrary and differs "
        "between classes.",
        figure,
        "; ".join(numbers).capitalize() + "." if numbers else "",
    )


def _against_normal(axis: Axes, result: Result, wrapped: np.ndarray) -> None:
    """Inferred angle against the wall direction, coloured by cluster."""
    sites = result[""]
    normal = sites["wall_normal"].to_numpy()
    label = sites["cluster"].to_numpy()
    colours = style.class_colours(int(label.max()) + 1)
    keep = images.evenly(len(wrapped), images.MAX_DOTS)
    axis.scatter(
        normal[keep], wrapped[keep], c=colours(label[keep]), s=9, lw=0, alpha=0.7, rasterized=True
    )
    axis.set(
        xlabel="wall direction [°]",
        ylabel="angle [°]",
        title="angle and wall direction, by cluster",
    )
    for ticks, names in (
        (axis.set_xticks, axis.set_xticklabels),
        (axis.set_yticks, axis.set_yticklabels),
    ):
        ticks(list(ANGLE_TICKS))
        names(list(ANGLE_TICKS.values()))
    axis.set_box_aspect(1)


def manifold(result: Result, config: ReportConfig) -> Drawing:
    """Decoded patches over the latent plane, one mosaic per class and channel."""
    traversal = result["traversal"]
    names = [style.short(str(name)) for name in traversal[dims.CHANNEL].to_numpy()]
    classes = class_titles(result)
    sheets = [(k, c) for k in range(len(classes)) for c in range(len(names))]
    columns = (
        min(3, max(2, len(names))) if len(names) > 1 or len(sheets) < 4 else min(4, len(sheets))
    )
    flat = traversal.sizes["latent_2"] == 1
    height = 0.3 + style.WIDTH / columns * (0.2 if flat else 0.93)
    figure, axes = style.panels(len(sheets), columns=columns, panel_height=height)
    # limits of the decoded patches: a spike in one measured patch must not make all of them pale
    cmap, bounds = style.patch_colours(traversal["manifold"].to_numpy())
    for axis, (number, channel) in zip(axes, sheets, strict=True):
        show_manifold(axis, result, number, channel, cmap=cmap, bounds=bounds)
        channel_title = f"channel {names[channel]}" if len(names) > 1 or not classes[number] else ""
        axis.set_title(", ".join(filter(None, (classes[number], channel_title))))
    style.colour_bar(figure, axes, cmap=cmap, bounds=bounds, label="decoded value")
    counts = traversal["n_sites"].to_numpy()
    return Drawing(
        "manifold",
        "Latent manifold",
        "Decoded patches on a grid in the latent plane, upright and centred. Grid steps are quantiles: every row and column covers "
        "equally many sites. Cells without sites are empty."
        + (" Channels are successive frames." if "t" in names and len(names) > 1 else "")
        + (" Each class has its own manifold." if len(classes) > 1 else ""),
        figure,
        f"{int((counts > 0).sum())} of {counts.size} cells contain sites.",
    )


def show_manifold(
    axis: Axes,
    result: Result,
    number: int,
    channel: int,
    *,
    cmap: str,
    bounds: tuple[float, float],
    labels: bool = True,
) -> None:
    """Draw the decoded patches of one class and channel; latent 2 increases upwards, as in the scatter plots."""
    pictures = result["traversal"]["manifold"].isel({dims.CLASS: number, dims.CHANNEL: channel})
    pictures = pictures.transpose("latent_2", "latent_1", dims.PATCH_Y, dims.PATCH_X)
    axis.imshow(images.mosaic(pictures.to_numpy()[::-1]), cmap=cmap, vmin=bounds[0], vmax=bounds[1])
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.set_facecolor("#eef0f2")
    if labels:
        dimensions = shown_dimensions(result)
        axis.set_xlabel(f"content {dimensions[0] + 1} →")
        if len(dimensions) > 1:
            axis.set_ylabel(f"content {dimensions[1] + 1} →")


def class_titles(result: Result) -> list[str]:
    """A title per manifold: the class with its matching true class, the condition, or nothing."""
    names = [style.short(str(name)) for name in result["traversal"]["class_name"].to_numpy()]
    if "classes" not in result:
        return names if len(names) > 1 else [""]
    titles = [f"class {name}" for name in names]
    if "confusion" not in result:
        return titles
    known = [style.short(str(name)) for name in result["confusion"]["known"].to_numpy()]
    match = result["confusion"]["match"].isel(labelling=0).to_numpy()
    matched = [
        known[match[k]] if k < len(match) and match[k] >= 0 else "" for k in range(len(names))
    ]
    return [f"{t}: {m}" if m else t for t, m in zip(titles, matched, strict=True)]
