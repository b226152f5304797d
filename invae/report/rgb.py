"""Three content dimensions as one colour: red, green and blue."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import SubFigure

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result

MOST_COLUMNS = 3
PAIRS = ((0, 1), (0, 2), (1, 2))
NAMES = ("red", "green", "blue")
TITLE = "Content as colour"


def colours_of(content: np.ndarray) -> np.ndarray:
    """Colours (site, 3) of content (site, 3); each channel spans the central 98 % of its dimension."""
    low, high = np.percentile(content, (1, 99), axis=0)
    return np.clip((content - low) / np.maximum(high - low, 1e-12), 0, 1)


def three(result: Result, config: ReportConfig) -> Drawing:
    """Sites coloured by their content, on the image if there is one, and in the latent planes."""
    sites = result[""]
    if sites.sizes[dims.LATENT] != 3:
        raise LeftOut(TITLE, "the content does not have three dimensions")
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    colours = colours_of(content)
    maps = images.frames_of(result) if images.has_frames(result) else None
    height = 0.0 if maps is None else images.panel_height(maps, MOST_COLUMNS)
    figure = style.new_figure(height + 3.0)
    ratios = (3.0,) if maps is None else (height, 3.0)
    *above, below = figure.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False).ravel()
    for part in above:
        _on_image(part, result, colours)
    keep = images.evenly(len(content), images.MAX_DOTS)
    for axis, (first, second) in zip(below.subplots(1, 3), PAIRS, strict=True):
        axis.scatter(
            content[keep, first], content[keep, second], c=colours[keep], s=8, lw=0, rasterized=True
        )
        axis.set(
            xlabel=f"content {first + 1} ({NAMES[first]})",
            ylabel=f"content {second + 1} ({NAMES[second]})",
        )
    return Drawing(
        "rgb",
        TITLE,
        "Content 1, 2 and 3 are the red, green and blue part of a colour: sites of the same colour are similar in all "
        "three. The planes below are the colour key.",
        figure,
        "Each part of a colour spans the central 98 % of its dimension.",
    )


def _on_image(part: SubFigure, result: Result, colours: np.ndarray) -> None:
    """Draw the sites of a few frames in their colours."""
    maps, frames = images.frames_of(result), images.with_sites(result, MOST_COLUMNS)
    axes = part.subplots(1, MOST_COLUMNS)
    for axis in axes[len(frames) :]:
        axis.set_axis_off()
    for axis, place in zip(axes, frames, strict=False):
        title = f"content, {images.frame_title(maps, int(place))}"
        images.prepare(axis, maps, title=title, bar=axis is axes[0])
        images.show_background(axis, result, int(place))
        images.show_sites(
            axis,
            result,
            int(place),
            np.arange(len(colours)),
            cmap=ListedColormap(colours.tolist()),
            bounds=(-0.5, len(colours) - 0.5),
        )
