"""Latent variables and the motion of walls: descriptors in the latent plane, and steps of the same wall point."""

import numpy as np
from matplotlib.axes import Axes

from invae.config import ReportConfig
from invae.report import latent_plane, style
from invae.report.domains.changes import FORWARD, REVERSE
from invae.report.figure import Drawing, LeftOut, Result

MOST_SITES = 4000
CELLS = 9
LEAST_IN_CELL = 5
STILL = 0.5
"""Shorter steps along the normal are no motion [px]."""
DESCRIPTORS = (
    ("wall_count", "walls in the window", False),
    ("switching_degree", "switched share", False),
    ("domain_fraction", "positive share", False),
    ("wall_curvature", "wall curvature [1/px]", True),
    ("domain_convexity", "convexity", True),
    ("switch_significance", "change until the next frame", False),
    ("step_length", "step of the wall [px]", True),
)
"""Variable, label, and whether its sign has a meaning."""


def by_descriptor(result: Result, config: ReportConfig) -> Drawing:
    """The latent plane, coloured by each descriptor of the sites."""
    sites = result[""]
    shown = [row for row in DESCRIPTORS if row[0] in sites]
    if not shown:
        raise LeftOut("Latent variables by descriptor", "the sites have no descriptors")
    x, y, names = latent_plane.place(result)
    some = _evenly(len(x))
    figure, axes = style.panels(len(shown), columns=3, panel_height=2.5)
    for axis, (name, label, signed) in zip(axes, shown, strict=True):
        values = sites[name].to_numpy()[some]
        known = np.isfinite(values)
        bounds = style.limits(values, symmetric=signed)
        cmap = style.POLARIZATION if signed else config.colormap
        axis.scatter(
            x[some][known], y[some][known], c=values[known], s=4, lw=0, cmap=cmap, vmin=bounds[0], vmax=bounds[1],
            rasterized=True,
        )  # fmt: skip
        axis.set(title=label, xlabel=names[0], ylabel=names[1])
        style.colour_bar(figure, axis, cmap=cmap, bounds=bounds, label="")
    return Drawing(
        "latents_by_descriptor",
        "Latent variables by descriptor",
        "Every dot is a site in the plane of the two most variable latent variables. A smooth change of colour means that the "
        "latent variables hold the descriptor; mixed colours mean that they do not.",
        figure,
        f"{style.count(len(some), 'site')} of {style.number(len(x))} shown.",
    )


def _evenly(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, MOST_SITES)).astype(int))


def arrows(result: Result, config: ReportConfig) -> Drawing:
    """Median steps of the latent variables of a wall point until the next frame, where walls advance and where they retreat."""
    sites = result[""]
    title = "Steps in the latent plane"
    if "next_site" not in sites:
        raise LeftOut(title, "sites on walls in at least two successive frames are needed")
    x, y, names = latent_plane.place(result)
    target, length = sites["next_site"].to_numpy(), sites["step_length"].to_numpy()
    groups = (("the positive domain grows", length > STILL, FORWARD), ("it shrinks", length < -STILL, REVERSE))  # fmt: skip
    figure, axes = style.panels(2, columns=2, panel_height=3.2)
    numbers = []
    for axis, (words, moved, colour) in zip(axes, groups, strict=True):
        used = np.flatnonzero(moved & (target >= 0))
        axis.scatter(
            x[_evenly(len(x))], y[_evenly(len(x))], s=2, c="#d5d9dd", lw=0, rasterized=True
        )
        _cell_arrows(axis, x, y, used, target[used], colour)
        axis.set(title=words, xlabel=names[0], ylabel=names[1])
        step = np.hypot(x[target[used]] - x[used], y[target[used]] - y[used])
        size = float(np.median(step)) if len(used) else float("nan")
        numbers.append(
            f"{words}: {style.count(len(used), 'step')}, median length {style.number(size, 2)}"
        )
    return Drawing(
        "latent_steps",
        title,
        "Grey dots are sites. An arrow is the median step of the latent variables until the next frame of wall points that start in its "
        f"cell; the same wall point is looked for along the wall normal. Steps of the wall below {STILL:g} px are left out.",
        figure,
        "; ".join(numbers) + ".",
    )  # fmt: skip


def _cell_arrows(
    axis: Axes, x: np.ndarray, y: np.ndarray, start: np.ndarray, end: np.ndarray, colour: str
) -> None:
    cell = np.stack([_cells(x)[start], _cells(y)[start]])
    flat = cell[0] * CELLS + cell[1]
    for one in np.unique(flat):
        here = flat == one
        if here.sum() >= LEAST_IN_CELL:
            points = [(np.median(v[start[here]]), np.median(v[end[here]])) for v in (x, y)]
            (x0, x1), (y0, y1) = points
            axis.annotate(
                "", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.3}
            )


def _cells(values: np.ndarray) -> np.ndarray:
    """The cell of each value; cells have equal widths within the middle 98 %."""
    low, high = np.percentile(values, (1, 99))
    return np.clip(((values - low) / max(high - low, 1e-12) * CELLS).astype(int), 0, CELLS - 1)


def has_steps(result: Result) -> bool:
    """Whether sites know the same wall point in the next frame."""
    return "next_site" in result[""] and bool((result[""]["next_site"] >= 0).any())
