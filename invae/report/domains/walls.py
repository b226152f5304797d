"""Detected walls: detectors beside each other, and the layers of 180-degree and non-180-degree walls."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from invae import dims
from invae.config import ReportConfig
from invae.descriptors.domains.channels import LAYERS, layer
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result

CANNY, CONTOUR, EDGE = "#d55e00", "#0072b2", "#009e73"
LAYER_TITLES = {
    "wall_180": "180° walls",
    "wall_all": "180° walls and edges of lamellae",
    "wall_non180": "edges of lamellae (difference)",
}
N_SUB_IMAGES = 12
"""Sub-images in a stack."""
WINDOW = 32
"""Side of a sub-image [px]."""


def detectors(result: Result, config: ReportConfig) -> Drawing:
    """Canny edges, the walls of the run, and with a network its probability and spread, on the first frame."""
    maps = result["maps"]
    if "canny" not in maps or "walls" not in result:
        raise LeftOut("Wall detectors", "the result has no Canny edges or no walls")
    has_network = "wall_probability" in maps
    columns = 4 if has_network else 2
    figure, axes = style.panels(
        columns, columns=columns, panel_height=images.panel_height(maps, columns)
    )
    walls, frame = result["walls"], int(maps[dims.FRAME][0])
    titles = ("Canny", "walls of this run", "probability of a wall", "spread of the networks")
    for place, axis in enumerate(axes):
        images.prepare(axis, maps, title=titles[place], bar=place == 0)
    for axis in axes[:2]:
        _show_polarization(axis, maps)
    _show_pixels(axes[0], maps["canny"][0].to_numpy(), CANNY)
    images.show_walls(axes[1], walls, frame, colour="black", width=0.9)
    if "lamella" in maps:
        _outline(axes[1], maps["lamella"][0].to_numpy())
    if has_network:
        for axis, name, bounds in zip(
            axes[2:], ("wall_probability", "wall_spread"), ((0.0, 1.0), (0.0, 0.5)), strict=True
        ):
            images.show_map(axis, maps[name][0].to_numpy(), cmap="magma", bounds=bounds)
            style.colour_bar(figure, axis, cmap="magma", bounds=bounds, label="")
    network = (
        " Probability: of a 180° wall within 1 px, mean of several networks; spread: sd among them, high where they are unsure."
        if has_network
        else " Lamellae are areas of low amplitude here, and many are incomplete: networks (describe.walls.method=both) outline them better."
    )
    return Drawing(
        "wall_detectors",
        "Wall detectors",
        "Orange: edges of the phase by Canny's detector. Black: 180° walls of this run; green: lamellae, whose edges are "
        f"non-180° walls.{network}",
        figure,
        _agreement(maps),
    )


def _agreement(maps: xr.Dataset) -> str:
    canny, wall = maps["canny"][0].to_numpy(), maps["wall"][0].to_numpy() == 1
    both = int((canny & wall).sum())
    text = f"{images.frame_title(maps, 0).capitalize()}: {style.number(int(wall.sum()))} px of 180° wall, {style.number(int(canny.sum()))} px of Canny edges, {style.number(both)} px on both"
    if "lamella" in maps:
        text += f"; lamellae cover {style.number(100 * float(maps['lamella'][0].mean()), 2)} %"
    return text + "."


def layers(result: Result, config: ReportConfig) -> Drawing:
    """180-degree walls, all walls, and their difference, each with a stack of sub-images."""
    maps, sites = result["maps"], result[""]
    if "lamella" not in maps or not maps["lamella"][0].any():
        raise LeftOut("Layers of walls", "no lamellae in the first frame")
    frame = maps.isel({dims.FRAME: 0})
    ridges = [layer(name, frame) for name in LAYERS]
    here = sites[dims.FRAME].to_numpy() == int(frame[dims.FRAME])
    corners = _corners(
        np.column_stack([sites[name].to_numpy()[here] for name in (dims.Y, dims.X)]),
        ridges[0].shape,
    )
    height = images.panel_height(maps, 3)
    figure, axes = style.panels(6 if len(corners) else 3, columns=3, panel_height=height)
    for axis, name, ridge in zip(axes[:3], LAYERS, ridges, strict=True):
        images.prepare(axis, maps, title=LAYER_TITLES[name], bar=axis is axes[0])
        images.show_map(axis, ridge, cmap="magma", bounds=(0.0, 1.0))
        images.hatch(axis, ~frame["valid"].to_numpy())
    for axis, ridge in zip(axes[3:], ridges, strict=False):
        _show_stack(axis, ridge, corners)
    return Drawing(
        "wall_layers",
        "Layers of walls",
        "Distance from a wall as exp(−d²/2s²), s = 1 px. Left: 180° walls. Middle: with the edges of lamellae, which are "
        "non-180° walls. Right: the edges of lamellae alone; a 180° wall may cross them. Below: sub-images of the same sites.",
        figure,
        f"{images.frame_title(maps, 0).capitalize()}; sub-images of {WINDOW} × {WINDOW} px.",
    )


def _corners(sites: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Upper left corners of the sub-images of some sites (site, 2), those near the border left out."""
    corners = np.rint(sites).astype(int) - WINDOW // 2
    inside = ((corners >= 0) & (corners + WINDOW <= np.array(shape))).all(axis=1)
    corners = corners[inside]
    return corners[images.evenly(len(corners), N_SUB_IMAGES)] if len(corners) else corners


def _show_stack(axis: Axes, ridge: np.ndarray, corners: np.ndarray) -> None:
    rows = max(1, len(corners) // 4)
    stack = np.stack([ridge[y : y + WINDOW, x : x + WINDOW] for y, x in corners[: 4 * rows]])
    columns = len(stack) // rows
    sheet = images.mosaic(stack.reshape(rows, columns, WINDOW, WINDOW), gap=images.GAP)
    axis.imshow(sheet, cmap="magma", vmin=0, vmax=1)
    axis.set_axis_off()


def _show_polarization(axis: Axes, maps: xr.Dataset) -> None:
    image = maps["polarization"][0].to_numpy()
    bounds = style.limits(image, symmetric=True)
    images.show_map(axis, image, cmap=style.POLARIZATION, bounds=bounds)
    images.hatch(axis, ~maps["valid"][0].to_numpy())


def _show_pixels(axis: Axes, mask: np.ndarray, colour: str) -> None:
    y, x = np.nonzero(mask)
    axis.scatter(x, y, s=3, c=colour, lw=0, zorder=4, rasterized=True)


def _outline(axis: Axes, area: np.ndarray) -> None:
    if area.any() and not area.all():
        axis.contour(area, [0.5], colors=EDGE, linewidths=0.8)
