"""The latents: on the image, against each other, against descriptors, and what the decoder draws for them."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.drawing import Drawing, LeftOut, Result

MOST_DIMENSIONS = 4
MOST_COLUMNS = 3
ANGLE_TICKS = {-np.pi: "−π", -np.pi / 2: "−π/2", 0.0: "0", np.pi / 2: "π/2", np.pi: "π"}
DESCRIPTORS = {
    "wall_count": "walls in the window",
    "switching_degree": "switching degree",
    "wall_curvature": "wall curvature",
    "domain_convexity": "domain convexity",
    "switch_significance": "switch significance",
}
"""Descriptors and their names in figures."""


def shown_dimensions(result: Result) -> list[int]:
    """The two content dimensions that scatter plots and the manifold show (one if there is one)."""
    axes = (
        result["traversal"][name].attrs.get("content_dimension")
        for name in ("latent_1", "latent_2")
    )
    return [int(axis) for axis in axes if axis is not None]


def content(result: Result, config: ReportConfig) -> Drawing:
    """Each content dimension along the walls, or over the grid, of a few frames."""
    sites, maps = result[""], result["maps"]
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
            images.show_background(axis, maps, int(index))
            images.show_sites(
                axis, result, int(index), values[:, dimension], cmap=config.colormap, bounds=bounds
            )
        label = f"content {dimension + 1}"
        style.colour_bar(figure, own, cmap=config.colormap, bounds=bounds, label=label)
    where = "along the walls" if images.on_walls(result) else "where the sites are"
    return Drawing(
        "content",
        "Content on the image",
        f"Content is what a patch shows once its orientation and position are taken away; here it is drawn {where}. Sites of "
        "the same colour look alike, however they are turned. The numbers mean nothing by themselves: compare them with the "
        "manifold and with the descriptors below.",
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
    """The angle along the walls, in cyclic colours."""
    sites, maps = result[""], result["maps"]
    if "angle" not in sites:
        raise LeftOut("Angle on the image", "this family of models has no angle")
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
        images.show_background(axis, maps, int(index))
        images.show_sites(axis, result, int(index), wrapped, cmap=cmap, bounds=bounds)
    style.colour_bar(
        figure,
        axes[: len(frames)],
        cmap=cmap,
        bounds=bounds,
        label="angle [rad]",
        ticks=ANGLE_TICKS,
    )
    if len(frames) < columns:
        _against_normal(axes[1], result, wrapped)
    summary = result["summary"]
    numbers = []
    if "angle_resultant" in summary:
        numbers.append(
            f"certainty of the angle (resultant), median {style.number(float(summary['angle_resultant']))}"
        )
    if "angle_agreement" in summary:
        numbers.append(
            f"agreement with the direction of the wall inside classes {style.number(float(summary['angle_agreement']))} (1: equal but for an offset)"
        )
    return Drawing(
        "angle",
        "Angle on the image",
        "By how much the pattern around a site is turned; positive as np.rot90 turns, that is counter-clockwise. Colours go "
        "round a circle: −π and π are the same. Only differences between sites of one class mean something; the zero is "
        "the model's choice, and another one for each class.",
        figure,
        "; ".join(numbers).capitalize() + "." if numbers else "",
    )


def _against_normal(axis: Axes, result: Result, wrapped: np.ndarray) -> None:
    """Angle of the model against the direction of the wall, coloured by class."""
    sites = result[""]
    normal = sites["wall_normal"].to_numpy()
    label = sites["cluster"].to_numpy()
    colours = style.class_colours(int(label.max()) + 1)
    keep = images.evenly(len(wrapped), images.MAX_DOTS)
    axis.scatter(
        normal[keep], wrapped[keep], c=colours(label[keep]), s=9, lw=0, alpha=0.7, rasterized=True
    )
    axis.set(
        xlabel="direction of the wall [rad]",
        ylabel="angle [rad]",
        title="angle against the wall's direction, by class",
    )
    for ticks, names in (
        (axis.set_xticks, axis.set_xticklabels),
        (axis.set_yticks, axis.set_yticklabels),
    ):
        ticks(list(ANGLE_TICKS))
        names(list(ANGLE_TICKS.values()))
    axis.set_box_aspect(1)


def manifold(result: Result, config: ReportConfig) -> Drawing:
    """Decoded patches over the latent plane, one sheet per channel."""
    traversal = result["traversal"]
    pictures = traversal["manifold"].transpose(
        "latent_2", "latent_1", dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X
    )
    pictures = pictures.to_numpy()[::-1]  # latent 2 grows upwards, as in the scatter plots
    names = [style.short(str(name)) for name in traversal[dims.CHANNEL].to_numpy()]
    columns = min(3, max(2, len(names)))
    flat = pictures.shape[0] == 1
    height = 0.25 + style.WIDTH / columns * (0.2 if flat else 0.95)
    figure, axes = style.panels(len(names), columns=columns, panel_height=height)
    cmap, bounds = style.patch_colours(pictures)
    for index, (axis, name) in enumerate(zip(axes, names, strict=True)):
        sheet = images.mosaic(pictures[:, :, index])
        axis.imshow(sheet, cmap=cmap, vmin=bounds[0], vmax=bounds[1])
        axis.set(xticks=[], yticks=[], title=f"channel {name}")
        dimensions = shown_dimensions(result)
        axis.set_xlabel(f"content {dimensions[0] + 1} →")
        if len(dimensions) > 1:
            axis.set_ylabel(f"content {dimensions[1] + 1} →")
        axis.spines[:].set_visible(False)
        axis.set_facecolor("#eef0f2")
    style.colour_bar(figure, axes, cmap=cmap, bounds=bounds, label="decoded value")
    counts = traversal["n_sites"].to_numpy()
    return Drawing(
        "manifold",
        "Latent manifold",
        "What the model draws for each place of the latent plane, upright and centred: the vocabulary in which it describes "
        "the sites. Places at which no site lies are left empty. Steps are quantiles, so that every row and column stands for "
        "equally many sites."
        + (
            " Channels are the same patch in successive frames."
            if "t" in names and len(names) > 1
            else ""
        ),
        figure,
        f"{int((counts > 0).sum())} of {counts.size} places hold sites.",
    )


def scatter(result: Result, config: ReportConfig) -> Drawing:
    """The latent plane, coloured by each descriptor and by class."""
    sites = result[""]
    keep = images.evenly(sites.sizes[dims.SITE], images.MAX_DOTS)
    chosen = shown_dimensions(result)
    values = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()[keep]
    x = values[:, chosen[0]]
    known = [
        name for name in DESCRIPTORS if name in sites and np.isfinite(sites[name].to_numpy()).any()
    ]
    figure, axes = style.panels(1 + len(known), columns=3, panel_height=2.75)
    label = sites["cluster"].to_numpy()[keep]
    y = values[:, chosen[1]] if len(chosen) > 1 else label + 0.0
    colours = style.class_colours(sites.sizes["cluster_name"])
    axes[0].scatter(x, y, c=colours(label), s=8, lw=0, alpha=0.75, rasterized=True)
    axes[0].set_title("class")
    for number in range(sites.sizes["cluster_name"]):
        axes[0].scatter([], [], color=colours(number), s=18, label=str(number + 1))
    axes[0].legend(ncols=2, loc="best", handletextpad=0.1, columnspacing=0.8)
    for axis, name in zip(axes[1:], known, strict=True):
        _coloured(axis, x, y, sites[name][keep], config=config)
    for axis in axes:
        axis.set_xlabel(f"content {chosen[0] + 1}")
        axis.set_ylabel(f"content {chosen[1] + 1}" if len(chosen) > 1 else "class")
    return Drawing(
        "scatter",
        "Latent plane, coloured by descriptors",
        "Each dot is a site. A colour that changes steadily across the cloud belongs to a descriptor that the latents follow; "
        "a colour that is mixed everywhere belongs to one that they ignore. Descriptors are computed from the image, without "
        "the model.",
        figure,
        f"{style.number(len(keep))} of {style.number(sites.sizes[dims.SITE])} sites shown.",
    )


def _coloured(
    axis: Axes, x: np.ndarray, y: np.ndarray, descriptor: xr.DataArray, *, config: ReportConfig
) -> None:
    """Dots in the colours of a descriptor; pale grey ones where it is not known."""
    name, values = str(descriptor.name), descriptor.to_numpy()
    signed = name in ("wall_curvature", "domain_convexity")
    cmap, bounds = "coolwarm" if signed else config.colormap, style.limits(values, symmetric=signed)
    low, high = bounds
    known = np.isfinite(values)
    axis.scatter(x[~known], y[~known], c="#d5d9dd", s=6, lw=0, rasterized=True)
    shown = {"cmap": cmap, "vmin": low, "vmax": high, "rasterized": True}
    axis.scatter(x[known], y[known], c=values[known], s=8, lw=0, **shown)
    axis.set_title(DESCRIPTORS[name])
    label = style.in_units(DESCRIPTORS[name], descriptor.attrs.get("units"))
    figure = axis.get_figure()
    assert isinstance(figure, Figure)
    style.colour_bar(figure, axis, cmap=cmap, bounds=bounds, label=label)
