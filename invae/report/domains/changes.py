"""Changes over time: wall motion, domain fraction, where walls stay."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result

FORWARD, REVERSE = "#d55e00", "#0072b2"
ONE_FRAME = "only one frame; changes need two"
UNEVEN = 0.05
"""Largest spread of the time between frames, relative to its mean, that still gives a velocity per second."""


def transitions(result: Result, config: ReportConfig) -> Drawing:
    """Pixels where walls arrive or leave until the next frame."""
    maps = result["maps"]
    if "transition" not in maps:
        raise LeftOut("Wall motion between frames", ONE_FRAME)
    changed = maps["transition"].to_numpy()
    shown = images.evenly(max(1, maps.sizes[dims.FRAME] - 1), config.max_frames)
    columns = max(2, min(3, len(shown)))
    figure, axes = style.panels(
        len(shown), columns=columns, panel_height=images.panel_height(maps, columns), extra=0.3
    )
    for axis, index in zip(axes, shown, strict=True):
        images.prepare(
            axis,
            maps,
            title=f"{images.frame_title(maps, int(index))} → next frame",
            bar=axis is axes[0],
        )
        images.show_background(axis, result, int(index))
        if "walls" in result:
            frame = int(maps[dims.FRAME][index])
            images.show_walls(axis, result["walls"], frame, colour="#4a525a", width=0.7)
        for value, colour in ((1, FORWARD), (2, REVERSE)):
            y, x = np.nonzero(changed[index] == value)
            axis.scatter(x, y, s=5, c=colour, lw=0, zorder=5, rasterized=True)
    for colour, words in (
        (FORWARD, "wall arrives"),
        (REVERSE, "wall leaves"),
        ("#4a525a", "wall in this frame"),
    ):
        axes[0].plot([], [], color=colour, lw=3, label=words)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    forward, reverse = (int((changed == value).sum()) for value in (1, 2))
    return Drawing(
        "transitions",
        "Wall motion between frames",
        "Orange: a wall is here in the next frame, but not in this one. Blue: a wall is here in this frame, but not in "
        "the next one. Drift is removed first; small displacements and masked areas are ignored.",
        figure,
        f"All kept frames: {style.number(forward)} px of wall arrive, {style.number(reverse)} px leave.",
    )


def over_time(result: Result, config: ReportConfig) -> Drawing:
    """Domain fraction, or switched share, and wall velocity against the frame."""
    frames, walls = result["frames"], result.get("walls")
    name, words, domain = _share(frames)
    if frames.sizes[dims.FRAME] < 2:
        raise LeftOut("Domains over time", ONE_FRAME)
    figure = style.new_figure(2.9)
    share, speed = figure.subplots(1, 2)
    number = frames[dims.FRAME].to_numpy()
    percent = 100 * frames[name].to_numpy()
    share.plot(number, percent, color=style.ACCENT, marker="o", ms=3)
    share.set(xlabel="frame", ylabel=f"{words} [%]", title=f"{words} of the unmasked area")
    share.grid(axis="y")
    text = f"{words.capitalize()} {percent[0]:.0f} % in the first and {percent[-1]:.0f} % in the last frame"
    if walls is not None and "normal_velocity" in walls:
        text += _velocities(speed, walls, *speed_scale(result))
    else:
        speed.set_axis_off()
    for axis in (share, speed):
        axis.xaxis.get_major_locator().set_params(integer=True)
    return Drawing(
        "over_time",
        "Domains over time",
        f"Left: share of the unmasked area {domain[0]}. Right: wall velocity along the wall normal until the next frame; "
        f"positive if the {domain[1]} domain grows. Line: median over all wall points of a frame; band: interquartile range.",
        figure,
        text + ".",
    )


def _share(frames: xr.Dataset) -> tuple[str, str, tuple[str, str]]:
    """Variable and name of the domains' share, the domain in words and as an adjective; switched only where the field is known."""
    if "switched_share" in frames:
        words = "whose polarization has the sign of the applied field (analyse.field)", "switched"
        return "switched_share", "switched share", words
    words = (
        "with positive polarization (the sign of the applied field is not known: set analyse.field)"
    )
    return "domain_fraction", "domain fraction", (words, "positive")


def speed_scale(result: Result) -> tuple[float, str]:
    """From pixels per frame to the best known unit: nm and seconds where they are calibrated and frames are evenly spaced in time."""
    length, unit = images.length_scale(result["maps"])
    frames = result["frames"]
    if "time" not in frames.coords or frames["time"].attrs.get("units") not in ("s", "second"):
        return length, f"{unit} per frame"
    steps = np.diff(frames["time"].to_numpy().astype(float))
    if not len(steps) or steps.min() <= 0 or np.ptp(steps) > UNEVEN * steps.mean():
        return length, f"{unit} per frame"
    return length / float(steps.mean()), f"{unit}/s"


def _velocities(axis: Axes, walls: xr.Dataset, scale: float, unit: str) -> str:
    frame = walls[dims.FRAME].to_numpy()
    velocity = scale * walls["normal_velocity"].to_numpy()
    known = np.isfinite(velocity)
    numbers = np.unique(frame[known])
    if not len(numbers):
        axis.set_axis_off()
        return ""
    quartiles = np.array(
        [np.percentile(velocity[known & (frame == n)], (25, 50, 75)) for n in numbers]
    ).T
    axis.fill_between(numbers, quartiles[0], quartiles[2], color=style.SECOND, alpha=0.2, lw=0)
    axis.plot(numbers, quartiles[1], color=style.SECOND, marker="o", ms=3)
    axis.axhline(0, color="#c8cdd2", lw=0.8, zorder=0)
    axis.set(xlabel="frame", ylabel=f"normal velocity [{unit}]", title="wall velocity")
    return f"; median normal velocity {style.number(float(np.median(velocity[known])), 2)} {unit}"


def residence(result: Result, config: ReportConfig) -> Drawing:
    """Maps of where walls stay, and of the number of frames with a wall nearby."""
    maps = result["maps"]
    if "residence" not in maps:
        raise LeftOut("Where walls stay", ONE_FRAME)
    share, near = maps["residence"].to_numpy(), maps["wall_frames"].to_numpy()
    share = np.where(near >= min(2, int(near.max())), share, np.nan)
    known = np.where(near > 0, near.astype(float), np.nan)
    height = images.panel_height(maps, 2) - 0.55  # colour bars use part of the width
    figure, axes = style.panels(2, columns=2, panel_height=height)
    pictures = (
        (share, "where walls stay", (0.0, 1.0), "magma", "share of frames"),
        (
            known,
            "frames with a wall nearby",
            (0.0, max(1.0, float(near.max()))),
            config.colormap,
            "frames",
        ),
    )
    for axis, (image, title, bounds, cmap, label) in zip(axes, pictures, strict=True):
        images.prepare(axis, maps, title=title, bar=axis is axes[0])
        axis.set_facecolor("#eef0f2")
        images.show_map(axis, image, cmap=cmap, bounds=bounds)
        if "walls" in result:
            images.show_walls(
                axis, result["walls"], int(maps[dims.FRAME][0]), colour="#7fd1ff", width=0.6
            )
        style.colour_bar(figure, axis, cmap=cmap, bounds=bounds, label=label)
    n_frames = result["frames"].sizes[dims.FRAME]
    strong = np.isfinite(share) & (share > 0.8) & (near >= min(n_frames, 3))
    return Drawing(
        "residence",
        "Where walls stay",
        "Left: the number of frames with a wall at a pixel divided by the number of frames with a wall nearby. "
        "A wall that does not move has 1, whether or not anything holds it. Pixels with a wall nearby in only one frame are left out. Right: number of frames with a wall nearby, which "
        "shows how reliable the left map is. Both maps use the pixels of frame 0; its walls are light blue.",
        figure,
        f"Above 80 % on {style.number(100 * strong.mean())} % of the area; {n_frames} frames"
        + (" (too few for a reliable estimate)." if n_frames < 8 else "."),
    )
