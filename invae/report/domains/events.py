"""Switching over time and place: events, the first change of sign, the switched share, sizes, roughness of walls."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.domains.changes import FORWARD, REVERSE
from invae.report.domains.quantities import rows_of, value_of
from invae.report.figure import Drawing, LeftOut, Result

MOST_CIRCLES = 150
EVENTS, GROWTH, ROUGHNESS = "Switching events", "Switched share over time", "Roughness of walls"
NEEDS_SERIES = "events need a series of frames (analyse.forces)"


def events(result: Result, config: ReportConfig) -> Drawing:
    """Map of the first change of sign with the events, and their sizes."""
    if "events" not in result:
        raise LeftOut(EVENTS, NEEDS_SERIES)
    table, switching, maps = result["events"], result["switching"], result["maps"]
    figure, (left, right) = style.panels(2, columns=2, panel_height=images.panel_height(maps, 2))
    first = switching["first_switch"].to_numpy()
    n_frames = result["frames"].sizes[dims.FRAME]
    images.prepare(left, maps, title="first change of sign, and events", bar=True)
    left.set_facecolor("#eef0f2")
    bounds = (0.0, float(max(n_frames - 1, 1)))
    images.show_map(left, first, cmap=config.colormap, bounds=bounds)
    style.colour_bar(figure, left, cmap=config.colormap, bounds=bounds, label="frame")
    _circles(left, table)
    _sizes(right, table)
    n_events = table.sizes["event"]
    nucleations = int(table["nucleation"].sum())
    text = f"{style.count(n_events, 'event')}, of which {nucleations} began away from any wall"
    if n_events:
        text += f"; median area {style.number(float(table['area'].median()))} px²"
    return Drawing(
        "events",
        EVENTS,
        "An event is a set of pixels that change their sign and touch in place or in successive frames. Left: colour is the frame of the "
        "first change, grey pixels never changed; circles have the area of their event: orange, the positive domain grew; blue, it "
        "shrank; dashed, it began away from any wall. Right: share of events that are larger than a size.",
        figure,
        text + ".",
        rows_of(result, ("event_size_exponent",)),
    )  # fmt: skip


def _circles(axis: Axes, table: xr.Dataset) -> None:
    largest = np.argsort(-table["area"].to_numpy())[:MOST_CIRCLES]
    for row in largest:
        one = table.isel(event=row)
        colour = FORWARD if int(one["sign"]) > 0 else REVERSE
        dashes = "--" if bool(one["nucleation"]) else "-"
        radius = float(np.sqrt(one["area"] / np.pi))
        place = (float(one["x"]), float(one["y"]))
        axis.add_patch(Circle(place, radius, fill=False, ec=colour, ls=dashes, lw=0.9))


def _sizes(axis: Axes, table: xr.Dataset) -> None:
    axis.set(xlabel="area of the event [px²]", ylabel="share of larger events", title="sizes")
    for sign, colour, words in ((1, FORWARD, "positive grew"), (-1, REVERSE, "positive shrank")):
        area = np.sort(table["area"].to_numpy()[table["sign"].to_numpy() == sign])
        if len(area):
            share = 1 - np.arange(len(area)) / len(area)
            axis.loglog(area, share, drawstyle="steps-pre", color=colour, label=words)
    if table.sizes["event"]:
        _plain_numbers(axis)
        axis.legend()


def _plain_numbers(axis: Axes) -> None:
    """Write the decades of logarithmic axes as plain numbers."""
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(StrMethodFormatter("{x:g}"))
        one.set_minor_formatter(NullFormatter())


def growth(result: Result, config: ReportConfig) -> Drawing:
    """The share that has changed its sign by each frame, with fitted laws where the data carry them."""
    if "switching" not in result:
        raise LeftOut(GROWTH, NEEDS_SERIES)
    switching, maps = result["switching"], result["maps"]
    first = switching["first_switch"].to_numpy()
    valid = maps["valid"][0].to_numpy()
    times = np.arange(1, result["frames"].sizes[dims.FRAME])
    at = np.sort(first[valid & np.isfinite(first)])
    share = np.searchsorted(at, times, side="right") / max(int(valid.sum()), 1)
    with_field = "coercive_field" in switching
    figure = style.new_figure(2.9)
    axes = figure.subplots(1, 1 + with_field, squeeze=False)[0]
    axes[0].plot(times, 100 * share, color=style.ACCENT, marker="o", ms=3)
    axes[0].set(
        xlabel="frame", ylabel="share of the area [%]", title="has changed its sign", ylim=0
    )
    if with_field:
        field = switching["coercive_field"].to_numpy()
        axes[1].hist(field[np.isfinite(field)], 40, color=style.SECOND)
        units = switching["coercive_field"].attrs.get("units")
        label = style.in_units("field at the first change of sign", units)
        axes[1].set(xlabel=label, ylabel="pixels", title="local coercive field")
    laws = [name for name in ("kai_exponent", "nls_width") if np.isfinite(value_of(result, name))]
    return Drawing(
        "growth",
        GROWTH,
        "Share of the area that has changed its sign at least once since the first frame. Laws of growth are fitted only where the force "
        "keeps its sign and enough of the area switches.",
        figure,
        f"{100 * float(share[-1]):.0f} % of the area changed its sign; "
        + ("laws of growth are in the table." if laws else "no law of growth is fitted."),
        rows_of(result, ("kai_time", "kai_exponent", "nls_time", "nls_width")),
    )  # fmt: skip


def roughness(result: Result, config: ReportConfig) -> Drawing:
    """Mean squared differences of the displacement of walls over the distance."""
    if "roughness" not in result:
        raise LeftOut(ROUGHNESS, NEEDS_SERIES)
    curve = result["roughness"]
    distance = curve["distance"].to_numpy()
    known = np.isfinite(curve["roughness"].to_numpy())
    if not known.any():
        raise LeftOut(ROUGHNESS, "no wall runs without overhangs")
    width, unit = images.length_scale(result["maps"])
    figure = style.new_figure(2.9)
    axis = figure.subplots()
    for name, colour, words in (
        ("roughness", style.ACCENT, "differences"),
        ("second_differences", style.SECOND, "second differences"),
    ):
        values = curve[name].to_numpy() * width**2
        axis.loglog(distance * width, values, color=colour, marker="o", ms=3, label=words)
    smallest = float(curve.attrs.get("smallest_distance", 1)) * width
    axis.axvspan(distance[0] * width, smallest, color="#eef0f2", zorder=0)
    axis.set(
        xlabel=f"distance along the wall r [{unit}]", ylabel=f"mean square [{unit}²]", title=""
    )
    _plain_numbers(axis)
    axis.legend()
    zeta = value_of(result, "roughness_exponent")
    return Drawing(
        "roughness",
        ROUGHNESS,
        "Mean squared differences of the displacement of walls from straight lines, against the distance. Grey: distances that the "
        "smoothing of the walls affects. A power law is a straight line; its exponent is 2ζ.",
        figure,
        f"ζ = {zeta:.2f}." if np.isfinite(zeta) else "No exponent is given.",
        rows_of(result, ("roughness_exponent",)),
    )
