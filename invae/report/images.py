"""Images of frames: backgrounds, masks, walls, and values drawn at their sites."""

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import Colormap, Normalize
from scipy.spatial import KDTree

from invae import dims
from invae.report import style
from invae.report.figure import Result
from invae.report.kind import page_of

GAP = 2
"""Gap between the images of a mosaic [pixel]."""
BREAK = 3.0
"""Largest distance of points of a wall that are joined [pixel]."""
MAX_DOTS = 20_000
"""Most sites drawn in one figure, evenly chosen."""


DOT = 0.8
"""Diameter of a dot, as a share of the distance between neighbouring sites."""
SMALLEST, LARGEST = 1 / 150, 1 / 25
"""Diameters of dots, as shares of the image's width."""
LEAST_RING = 1 / 60
"""Smallest diameter of a ring, as a share of the image's width; smaller marks are full."""
RING_LINE = 1.8
"""[point]"""
PALE = 0.25
"""Black lies this share of the value range below the lowest value."""


def has_frames(result: Result) -> bool:
    """Whether the sites lie on frames that the result holds."""
    return page_of(result).frames in result and page_of(result).frames != ""


def frames_of(result: Result) -> xr.Dataset:
    """The frames that sites are drawn upon."""
    return result[page_of(result).frames]


def pixel_nm(maps: xr.Dataset) -> float | None:
    """Width of a pixel [nm]; none if the recording is not calibrated."""
    if dims.X not in maps.coords or maps[dims.X].attrs.get("units") != "nm":
        return None
    places = maps[dims.X].to_numpy()
    return float(places[1] - places[0]) if len(places) > 1 else None


def length_scale(maps: xr.Dataset) -> tuple[float, str]:
    """Length of a pixel and its unit: nm if the pixels are square and calibrated, otherwise 1 px."""
    width = pixel_nm(maps)
    if width is None or not math.isclose(proportion(maps), 1, rel_tol=0.01):
        return 1.0, "px"
    return width, "nm"


def evenly(length: int, most: int) -> np.ndarray:
    """At most `most` indices, evenly spread over `length`, including both ends."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int))


def with_sites(result: Result, most: int) -> np.ndarray:
    """Indices of at most `most` frames of `frames_of`, evenly chosen among those with sites."""
    frames = frames_of(result)[dims.FRAME].to_numpy()
    have = np.flatnonzero(np.isin(frames, np.unique(result[""][dims.FRAME].to_numpy())))
    return have[evenly(len(have), most)]


def frame_title(maps: xr.Dataset, index: int) -> str:
    """`frame 3, 18 s`."""
    text = f"frame {int(maps[dims.FRAME][index])}"
    if "time" not in maps.coords or not np.isfinite(float(maps["time"][index])):
        return text
    units = maps["time"].attrs.get("units", "s")
    return f"{text}, {style.number(float(maps['time'][index]))} {style.short(str(units))}"


def panel_height(maps: xr.Dataset, columns: int) -> float:
    """Height of a panel [inch] for an image in a row of `columns`."""
    ratio = maps.sizes[dims.Y] / maps.sizes[dims.X] * proportion(maps)
    return min(0.92 * style.WIDTH / columns * ratio, 6.5 if columns == 1 else 5.0) + 0.3


def prepare(axis: Axes, maps: xr.Dataset, *, title: str, bar: bool) -> None:
    """Set up axes in pixels of the frame: y down, true proportions, optional scale bar."""
    height, width = maps.sizes[dims.Y], maps.sizes[dims.X]
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[], title=title)
    axis.set_aspect(proportion(maps))
    axis.spines[["top", "right"]].set_visible(True)
    if bar:
        style.scale_bar(axis, width=width, pixel_nm=pixel_nm(maps))


def proportion(maps: xr.Dataset) -> float:
    """Height of a pixel over its width; 1 if the recording is not calibrated."""
    if pixel_nm(maps) is None or maps.sizes[dims.Y] < 2:
        return 1.0
    places = maps[dims.Y].to_numpy()
    return abs(float(places[1] - places[0])) / float(pixel_nm(maps) or 1.0)


def show_map(
    axis: Axes, image: np.ndarray, *, cmap: str | Colormap, bounds: tuple[float, float]
) -> None:
    """Draw an image (y, x)."""
    axis.imshow(image, cmap=cmap, vmin=bounds[0], vmax=bounds[1], aspect=axis.get_aspect())


def show_background(axis: Axes, result: Result, index: int) -> None:
    """Draw the frame in pale colours, as background for values of sites."""
    page_of(result).show_background(axis, frames_of(result), index)


def show_pale_image(axis: Axes, frames: xr.Dataset, index: int) -> None:
    """Draw an image in pale grey."""
    image = frames["image"][index].to_numpy()
    low, high = style.limits(image)
    show_map(axis, image, cmap="Greys_r", bounds=(low - PALE * (high - low), high))


def hatch(axis: Axes, masked: np.ndarray) -> None:
    """Draw diagonal stripes over masked pixels."""
    if not masked.any():
        return
    y, x = np.indices(masked.shape)
    period = max(6, masked.shape[1] // 22)
    stripe = (y + x) % period < period / 2
    shade = np.where(stripe, 0.72, 0.94)
    overlay = np.stack([shade, shade, shade, masked * 0.92], axis=-1)
    axis.imshow(overlay, aspect=axis.get_aspect())


def show_walls(
    axis: Axes, walls: xr.Dataset, frame: int, *, colour: str, width: float = 1.0
) -> None:
    """Draw the walls of a frame as lines."""
    segments, _ = _segments(walls, frame)
    axis.add_collection(LineCollection(list(segments), colors=colour, linewidths=width, zorder=3))


def _segments(walls: xr.Dataset, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Segments between neighbouring wall points (segment, end, x/y), and the index of the first point of each."""
    here = np.flatnonzero(walls[dims.FRAME].to_numpy() == frame)
    if len(here) < 2:
        return np.empty((0, 2, 2)), here[:0]
    points = np.column_stack([walls[name].to_numpy()[here] for name in (dims.X, dims.Y)])
    contour = walls["contour"].to_numpy()[here]
    near = np.hypot(*np.diff(points, axis=0).T) <= BREAK
    joined = near & (np.diff(contour) == 0)
    return np.stack([points[:-1], points[1:]], axis=1)[joined], here[:-1][joined]


def show_sites(
    axis: Axes,
    result: Result,
    index: int,
    values: np.ndarray,
    *,
    cmap: str | Colormap,
    bounds: tuple[float, float],
) -> None:
    """Draw values (site) at their sites: along walls, as a raster, or as dots.

    Args:
        axis: made by `prepare`.
        result: the sites, and `walls` or `grid` where the result has them.
        index: position of the frame along `frames_of`.
        values: one per site; NaN leaves a site out.
        cmap: colours.
        bounds: values of the first and the last colour.
    """
    frame = int(frames_of(result)[dims.FRAME][index])
    if "grid" in result:
        _show_raster(axis, result, frame, values, cmap=cmap, bounds=bounds)
        if "walls" in result:
            show_walls(axis, result["walls"], frame, colour="black", width=0.8)
    elif on_walls(result):
        show_along_walls(
            axis, result["walls"], frame, _at_points(result, values), cmap=cmap, bounds=bounds
        )
    else:
        here = np.flatnonzero(result[""][dims.FRAME].to_numpy() == frame)
        show_dots(axis, places(result, here), values[here], cmap=cmap, bounds=bounds)


def places(result: Result, here: np.ndarray) -> np.ndarray:
    """Positions of some sites (site, 2), (x, y) [px]."""
    return np.column_stack([result[""][name].to_numpy()[here] for name in (dims.X, dims.Y)])


def show_dots(
    axis: Axes,
    centres: np.ndarray,
    values: np.ndarray,
    *,
    cmap: str | Colormap,
    bounds: tuple[float, float],
    size: float = 1.0,
) -> None:
    """Draw values as discs that nearly touch; as rings around what lies below where there is room for them.

    `size` scales the diameter.
    """
    known = np.isfinite(values)
    width = size * dot_size(centres, width=float(np.ptp(axis.get_xlim())))
    sizes = np.full(int(known.sum()), width)
    across = width / float(np.ptp(axis.get_xlim()))
    is_ring = across > LEAST_RING
    line = {"facecolors": "none", "linewidths": RING_LINE} if is_ring else {"linewidths": 0}
    dots = EllipseCollection(
        sizes,
        sizes,
        0 * sizes,
        units="xy",
        offsets=centres[known],
        offset_transform=axis.transData,
        array=values[known],
        cmap=cmap,
        norm=Normalize(*bounds),
        zorder=4,
        **line,
    )
    axis.add_collection(dots)


def dot_size(centres: np.ndarray, *, width: float) -> float:
    """Diameter of dots at places (site, 2) in an image of some width [px]."""
    if len(centres) < 2:
        return LARGEST * width
    nearest = np.asarray(KDTree(centres).query(centres, k=2)[0])[:, 1]
    return float(np.clip(DOT * np.median(nearest), SMALLEST * width, LARGEST * width))


def on_walls(result: Result) -> bool:
    """Whether all sites lie on walls, so that values can be drawn along the walls."""
    return bool((result[""]["kind"] == dims.KINDS.index("wall")).all()) and "walls" in result


def _at_points(result: Result, values: np.ndarray) -> np.ndarray:
    """Values of the nearest site of each wall point; NaN if no site is near."""
    nearest = result["walls"]["nearest_site"].to_numpy()
    return np.where(nearest >= 0, values[np.maximum(nearest, 0)].astype(float), np.nan)


def show_along_walls(
    axis: Axes,
    walls: xr.Dataset,
    frame: int,
    values: np.ndarray,
    *,
    cmap: str | Colormap,
    bounds: tuple[float, float],
) -> None:
    """Draw walls coloured by the values of their points; thin grey lines without a value."""
    segments, first = _segments(walls, frame)
    known = np.isfinite(values[first])
    axis.add_collection(
        LineCollection(list(segments[~known]), colors=style.MUTED, linewidths=0.6, zorder=3)
    )
    lines = LineCollection(
        list(segments[known]),
        array=values[first][known],
        cmap=cmap,
        norm=Normalize(*bounds),
        linewidths=2.6,
        capstyle="round",
        zorder=4,
    )
    axis.add_collection(lines)


def _show_raster(
    axis: Axes,
    result: Result,
    frame: int,
    values: np.ndarray,
    *,
    cmap: str | Colormap,
    bounds: tuple[float, float],
) -> None:
    sites, grid = result[""], result["grid"]
    here = np.flatnonzero(sites[dims.FRAME].to_numpy() == frame)
    y, x = (grid[name].to_numpy() for name in ("grid_y", "grid_x"))
    raster = np.full((len(y), len(x)), np.nan)
    rows = np.searchsorted(y, sites[dims.Y].to_numpy()[here])
    columns = np.searchsorted(x, sites[dims.X].to_numpy()[here])
    raster[rows, columns] = values[here]
    axis.pcolormesh(
        x, y, raster, cmap=cmap, vmin=bounds[0], vmax=bounds[1], shading="nearest", zorder=2
    )


def mosaic(images: np.ndarray, *, gap: int = 1) -> np.ndarray:
    """Images (row, column, y, x) as one image, with NaN between them."""
    rows, columns, height, width = images.shape
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for row in range(rows):
        for column in range(columns):
            y, x = row * (height + gap), column * (width + gap)
            sheet[y : y + height, x : x + width] = images[row, column]
    return sheet
