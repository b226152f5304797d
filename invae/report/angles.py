"""Posteriors of the angle of single sites, and the angles of all sites during training."""

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.projections.polar import PolarAxes

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.latent_plane import ANGLE_TICKS

MOST_COLUMNS = 4
MOST_EPOCHS = 6


def posterior(result: Result, config: ReportConfig) -> Drawing:
    """Patches with the posterior of their angle as a curve around a circle."""
    examples = result.get("angles")
    if examples is None:
        raise LeftOut("Posterior of the angle", "the model has no posterior over an angle")
    n_shown, columns = examples.sizes["example"], min(MOST_COLUMNS, examples.sizes["example"])
    rows = math.ceil(n_shown / columns)
    figure = style.new_figure(rows * 1.75)
    cells = figure.subfigures(rows, columns, squeeze=False).ravel()
    patches = examples["patch"].to_numpy()[:, 0]
    cmap, bounds = style.patch_colours(patches)
    for number in range(n_shown):
        picture, circle = _pair(cells[number])
        picture.imshow(patches[number], cmap=cmap, vmin=bounds[0], vmax=bounds[1])
        picture.set(xticks=[], yticks=[])
        certainty = float(result[""]["angle_resultant"][int(examples["site"][number])])
        picture.set_title(f"{_name(result, number)}{certainty:.2f}", fontsize=8.5)
        picture.spines[:].set_visible(False)
        _curve(circle, examples.isel(example=number), known=_known(result, number))
    return Drawing(
        "posterior",
        "Posterior of the angle",
        "Patches with the posterior of their angle, drawn around a circle (0 points right, positive as np.rot90, that is "
        "counter-clockwise). One narrow lobe: the angle is certain. Two lobes: the pattern looks almost the same after "
        "half a turn. A circle: the patch does not determine the angle. Lobes are scaled to equal height. A dotted line "
        "marks the true angle, if known; the inferred angle differs from it by an offset that is common to the class.",
        figure,
        "Numbers: certainty of the angle (mean resultant length); 1: one narrow lobe, 0: no preferred angle, or several.",
    )


def _pair(cell: SubFigure) -> tuple[Axes, PolarAxes]:
    """Axes for a patch and for its circle."""
    picture = cell.add_subplot(1, 2, 1)
    circle = cell.add_subplot(1, 2, 2, projection="polar")
    assert isinstance(circle, PolarAxes)
    return picture, circle


def _name(result: Result, number: int) -> str:
    """`hearts, ` if there are true classes, else `class 2, `."""
    label = int(result["angles"]["label"][number])
    if "confusion" in result:
        return f"{style.short(str(result['confusion']['known'].to_numpy()[label]))}, "
    return f"class {label + 1}, "


def _known(result: Result, number: int) -> float | None:
    site = int(result["angles"]["site"][number])
    return float(result[""]["truth_angle"][site]) if "truth_angle" in result[""].variables else None


def _curve(axis: PolarAxes, example: xr.Dataset, *, known: float | None) -> None:
    turn, density = example["turn"].to_numpy(), example["density"].to_numpy()
    # The square root makes a much lower second lobe visible.
    height = np.sqrt(density / density.max())
    closed = np.append(turn, turn[0] + 2 * np.pi), np.append(height, height[0])
    axis.plot(*closed, color=style.ACCENT, lw=1.2)
    axis.fill(*closed, color=style.ACCENT, alpha=0.25, lw=0)
    if known is not None:
        axis.plot([known, known], [0, 1], color=style.MUTED, lw=1, ls=":")
    axis.set(ylim=(0, 1.05), yticks=[], xticks=np.arange(4) * np.pi / 2)
    axis.set_xticklabels(["0°", "90°", "180°", "−90°"], fontsize=7)
    axis.tick_params(pad=-3)
    axis.grid(color="#e4e8eb", lw=0.6)
    axis.spines["polar"].set_color("#c8cdd2")


def over_training(result: Result, config: ReportConfig) -> Drawing:
    """The distribution of the inferred angles, epoch by epoch."""
    history = result.get("training")
    if history is None or "angle_count" not in history:
        raise LeftOut("Angles during training", "the model has no angle")
    counts = history["angle_count"].to_numpy().astype(float)
    density = (
        counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * counts.shape[1] / (2 * np.pi)
    )
    epoch = history[dims.EPOCH].to_numpy()
    figure = style.new_figure(3.0)
    sheet, curves = figure.subplots(1, 2, width_ratios=(1.5, 1))
    bounds = (0.0, float(max(np.percentile(density, 99.5), 1 / np.pi)))
    extent = (float(epoch[0]) - 0.5, float(epoch[-1]) + 0.5, -np.pi, np.pi)
    sheet.imshow(
        density.T,
        aspect="auto",
        origin="lower",
        extent=extent,
        cmap=config.colormap,
        vmax=bounds[1],
        vmin=0,
    )
    sheet.set(xlabel="epoch", ylabel="inferred angle [°]", title="density of inferred angles")
    sheet.set_yticks(list(ANGLE_TICKS), labels=list(ANGLE_TICKS.values()))
    sheet.xaxis.get_major_locator().set_params(integer=True)
    style.colour_bar(figure, sheet, cmap=config.colormap, bounds=bounds, label="density [1/rad]")
    edges = np.linspace(-np.pi, np.pi, counts.shape[1] + 1)
    shown = images.evenly(len(epoch), MOST_EPOCHS)
    shades = style.shades(config.colormap, len(shown))
    for colour, index in zip(shades, shown, strict=True):
        curves.stairs(density[index], edges, color=colour, lw=1.3, label=f"epoch {epoch[index]}")
    known = _known_density(result, edges)
    if known is not None:
        curves.stairs(known, edges, color=style.SECOND, lw=1.3, ls="--", label="true angles")
    curves.set(xlabel="angle [°]", ylabel="density [1/rad]", title="selected epochs")
    curves.set_xticks(list(ANGLE_TICKS), labels=list(ANGLE_TICKS.values()))
    curves.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    spread = [_resultant(density[index], edges) for index in (0, -1)]
    return Drawing(
        "angles_over_training",
        "Angles during training",
        "Distribution of the inferred angles of the training sites, epoch by epoch. It starts broad, or with a few "
        "preferred angles, and approaches the distribution of the data, shifted by an arbitrary offset. A distribution "
        "that collapses to a single angle means that the model does not use the angle.",
        figure,
        f"Mean resultant length of all angles (1: all equal, 0: uniform): first epoch {style.number(spread[0], 2)}, "
        f"last epoch {style.number(spread[1], 2)}.",
    )


def _known_density(result: Result, edges: np.ndarray) -> np.ndarray | None:
    sites = result[""]
    if "truth_angle" not in sites.variables:
        return None
    wrapped = np.angle(np.exp(1j * sites["truth_angle"].to_numpy()))
    return np.histogram(wrapped, edges, density=True)[0]


def _resultant(density: np.ndarray, edges: np.ndarray) -> float:
    middle = (edges[1:] + edges[:-1]) / 2
    return float(np.abs((density * np.exp(1j * middle)).sum() / max(density.sum(), 1e-12)))
