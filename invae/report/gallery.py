"""Comparison of many models on many sets: latent planes, manifolds, confusion matrices."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invae import dims
from invae.report import images, latent_plane, style
from invae.report.ground_truth import show_table

SIDE = 1.42
"""Width of a panel [inch]."""


@dataclass(frozen=True)
class Cell:
    """Results of one family on one set."""

    setting: str
    """The set, a row of the gallery."""
    family: str
    """The model, a column of the gallery."""
    content: np.ndarray
    """(site, latent)."""
    known: latent_plane.Colouring
    """True class of each site."""
    traversal: xr.Dataset
    """The group `traversal` of the result."""
    agreement: xr.Dataset
    """One labelling of `invae.analysis.confusion.compare`."""
    has_classes: bool
    """Whether the model itself finds classes."""


def samples(pictures: dict[str, np.ndarray]) -> Figure:
    """Some images (site, y, x) of each set, a row for each."""
    figure = style.new_figure(0.62 * len(pictures) + 0.1)
    axes = figure.subplots(len(pictures), 1, squeeze=False)[:, 0]
    for axis, (setting, shown) in zip(axes, pictures.items(), strict=True):
        cmap, bounds = style.patch_colours(shown)
        axis.imshow(
            images.mosaic(shown[None], gap=images.GAP), cmap=cmap, vmin=bounds[0], vmax=bounds[1]
        )
        _bare(axis)
        axis.set_ylabel(setting, rotation=0, ha="right", va="center")
    return figure


def latent_spaces(cells: Sequence[Cell]) -> Figure:
    """Content of every site, coloured by true class; class accuracy in the corner."""

    def draw(axis: Axes, cell: Cell) -> None:
        keep = images.evenly(len(cell.content), images.MAX_DOTS)
        x, y = cell.content[keep, 0], cell.content[keep, min(1, cell.content.shape[1] - 1)]
        latent_plane.show(axis, x, y, cell.known, keep=keep, cmap="viridis", size=3, legend=False)
        axis.set(xticks=[], yticks=[], title="")
        axis.margins(0.08)
        axis.set_box_aspect(1)
        _corner(axis, cell)

    figure = _grid(cells, draw)
    latent_plane.explain(figure, cells[0].known)
    return figure


def manifolds(cells: Sequence[Cell]) -> Figure:
    """The manifold of every model; manifolds of several classes or conditions form one square."""

    def draw(axis: Axes, cell: Cell) -> None:
        sheet = sheet_of(cell.traversal)
        # Cards are ink on paper: values below zero come from a short training and get no colour.
        cmap, bounds = style.patch_colours(np.clip(sheet, 0, None))
        axis.imshow(sheet, cmap=cmap, vmin=bounds[0], vmax=bounds[1])
        _bare(axis)
        axis.set_facecolor("#eef0f2")

    return _grid(cells, draw)


def sheet_of(traversal: xr.Dataset) -> np.ndarray:
    """Manifolds of all classes as one image, in as many columns as rows."""
    pictures = traversal["manifold"].isel({dims.CHANNEL: 0})
    pictures = pictures.transpose(dims.CLASS, "latent_2", "latent_1", ...).to_numpy()[:, ::-1]
    sheets = [images.mosaic(one, gap=0) for one in pictures]
    columns = math.ceil(math.sqrt(len(sheets)))
    rows = math.ceil(len(sheets) / columns)
    blank = np.full_like(sheets[0], np.nan)
    sheets += [blank] * (rows * columns - len(sheets))
    full = np.stack(sheets).reshape(rows, columns, *blank.shape)
    return images.mosaic(full, gap=3 * images.GAP)


def confusions(cells: Sequence[Cell]) -> Figure:
    """Found against true classes, for models that find classes."""

    def draw(axis: Axes, cell: Cell) -> None:
        show_table(axis, cell.agreement)
        axis.set_title(f"{float(cell.agreement['accuracy']):.2f}", fontsize=9)
        axis.set_box_aspect(0.8)

    return _grid([cell for cell in cells if cell.has_classes], draw, side=2.3)


def _corner(axis: Axes, cell: Cell) -> None:
    text = f"{float(cell.agreement['accuracy']):.2f}"
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.0}
    weight = "bold" if cell.has_classes else "normal"
    axis.text(
        0.97, 0.03, text, ha="right", va="bottom", transform=axis.transAxes, fontsize=8,
        bbox=box, fontweight=weight,
    )  # fmt: skip


def _grid(
    cells: Sequence[Cell], draw: Callable[[Axes, Cell], None], *, side: float = SIDE
) -> Figure:
    """One panel for each cell; rows are sets, columns are families."""
    settings = list(dict.fromkeys(cell.setting for cell in cells))
    families = list(dict.fromkeys(cell.family for cell in cells))
    figure = style.new_figure(0.4 + min(side, 0.9 * style.WIDTH / len(families)) * len(settings))
    axes = figure.subplots(len(settings), len(families), squeeze=False)
    for cell in cells:
        row, column = settings.index(cell.setting), families.index(cell.family)
        axis = axes[row, column]
        draw(axis, cell)
        if row == 0:
            over = axis.get_title()
            axis.set_title(f"{cell.family}\n{over}" if over else cell.family)
        if column == 0:
            axis.set_ylabel(cell.setting)
    return figure


def _bare(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
