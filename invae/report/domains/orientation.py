"""The domains in numbers: share, length of the walls per area, directions of the walls."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.domains.quantities import rows_of, value_of
from invae.report.figure import Drawing, LeftOut, Result

N_SECTORS = 18
BREAK = 3.0
"""Points of a wall that lie farther apart are not joined [px]."""
SEGMENT = 4
"""Directions are those of segments of so many steps; single steps follow the pixels."""


def rose(result: Result, config: ReportConfig) -> Drawing:
    """Directions of the walls, weighted by their length, and the length of the walls per area over time."""
    maps, walls = result["maps"], result.get("walls")
    if walls is None or walls.sizes["point"] < 2:
        raise LeftOut("Domains in numbers", "no walls were detected")
    figure = style.new_figure(2.9)
    axis = figure.add_subplot(1, 2, 1, projection="polar")
    assert isinstance(axis, PolarAxes)
    over_time = figure.add_subplot(1, 2, 2)
    angle, length = directions(walls)
    _draw_rose(axis, angle, length)
    frames, density = wall_density(maps, walls)
    scale, unit = _per_area(maps)
    over_time.plot(frames, density * scale, color=style.ACCENT, marker="o", ms=3)
    over_time.set(
        xlabel="frame", ylabel=f"wall length per area [{unit}]", title="length of the walls"
    )
    over_time.set_ylim(bottom=0)
    over_time.xaxis.set_major_locator(MaxNLocator(integer=True))
    share = 100 * float(result["frames"]["domain_fraction"].mean())
    strength = float(np.abs((length * np.exp(2j * angle)).sum()) / max(length.sum(), 1e-12))
    zeta = value_of(result, "roughness_exponent")
    text = (
        f"Positive polarization on {share:.0f} % of the unmasked area; "
        f"{style.number(float(np.nanmean(density)) * scale)} {unit} of wall; alignment of the walls {strength:.2f} (0: none, 1: all parallel)"
    )
    text += f"; roughness exponent {zeta:.2f}" if np.isfinite(zeta) else ""
    return Drawing(
        "domain_numbers",
        "Domains in numbers",
        "Left: directions of the 180° walls of all kept frames, each weighted by its length; 0° is along the lines of the image, "
        "90° is upwards. Right: length of the walls per unmasked area.",
        figure,
        text + ".",
        rows_of(result, ("roughness_exponent",)),
    )


def directions(walls: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Direction of each segment of wall, from 0 to π [rad], positive as `np.rot90`, and its length [px]."""
    points = np.column_stack([walls[axis].to_numpy() for axis in (dims.Y, dims.X)])[::SEGMENT]
    number = np.column_stack([walls[name].to_numpy() for name in (dims.FRAME, "contour")])[
        ::SEGMENT
    ]
    step = np.diff(points, axis=0)
    length = np.hypot(*step.T)
    joined = (np.diff(number, axis=0) == 0).all(axis=1) & (length <= BREAK * SEGMENT)
    return np.arctan2(-step[joined, 0], step[joined, 1]) % np.pi, length[joined]


def _draw_rose(axis: PolarAxes, angle: np.ndarray, length: np.ndarray) -> None:
    counts, edges = np.histogram(angle, N_SECTORS, (0, np.pi), weights=length)
    share = np.tile(counts / max(counts.sum(), 1e-12), 2) / 2
    middle = np.concatenate([edges[:-1], edges[:-1] + np.pi]) + np.pi / N_SECTORS / 2
    axis.bar(middle, share, width=np.pi / N_SECTORS, color=style.ACCENT, alpha=0.8)
    axis.set(title="directions of the walls", yticklabels=[])


def wall_density(maps: xr.Dataset, walls: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Frames, and the length of the walls per unmasked area in each [1/px]."""
    points = np.column_stack([walls[axis].to_numpy() for axis in (dims.Y, dims.X)])
    number = np.column_stack([walls[name].to_numpy() for name in (dims.FRAME, "contour")])
    length = np.hypot(*np.diff(points, axis=0).T)
    joined = (np.diff(number, axis=0) == 0).all(axis=1) & (length <= BREAK)
    frames = maps[dims.FRAME].to_numpy()
    place = np.searchsorted(frames, number[:-1, 0])
    total = np.bincount(place[joined], length[joined], len(frames))
    area = maps["valid"].sum((dims.Y, dims.X)).to_numpy()
    return frames, np.divide(total, area, out=np.full(len(frames), np.nan), where=area > 0)


def length_of_walls(result: Result) -> Iterator[tuple[str, str]]:
    """Mean length of the walls per area, with its unit, as a fact of the report."""
    walls = result.get("walls")
    if walls is not None and walls.sizes["point"] > 1:
        scale, unit = _per_area(result["maps"])
        _, density = wall_density(result["maps"], walls)
        yield "wall length per area", f"{style.number(float(np.nanmean(density)) * scale)} {unit}"


def _per_area(maps: xr.Dataset) -> tuple[float, str]:
    """From 1/px to µm per µm² if the pixels are calibrated."""
    width, unit = images.length_scale(maps)
    return (1000.0 / width, "µm/µm²") if unit == "nm" else (1.0, "px/px²")
