"""The recording: frames with walls and masks, and the recorded signals."""

import numpy as np

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result

SIGNAL_COLOURS = {"amplitude": "magma", "phase": "twilight", "height": "cividis"}


def overview(result: Result, config: ReportConfig) -> Drawing:
    """Polarization of some frames with walls and masks."""
    maps, walls = result["maps"], result.get("walls")
    shown = images.evenly(maps.sizes[dims.FRAME], config.max_frames)
    columns = min(3, len(shown))
    figure, axes = style.panels(
        len(shown), columns=columns, panel_height=images.panel_height(maps, columns)
    )
    bounds = style.limits(maps["polarization"][shown].to_numpy(), symmetric=True)
    for place, (axis, index) in enumerate(zip(axes, shown, strict=True)):
        title = images.frame_title(maps, int(index))
        images.prepare(axis, maps, title=title, bar=place == 0)
        image = maps["polarization"][index].to_numpy()
        images.show_map(axis, image, cmap=style.POLARIZATION, bounds=bounds)
        images.hatch(axis, ~maps["valid"][index].to_numpy())
        if walls is not None:
            frame = int(maps[dims.FRAME][index])
            images.show_walls(axis, walls, frame, colour="black", width=0.9)
    label = "polarization / typical amplitude"
    style.colour_bar(figure, axes, cmap=style.POLARIZATION, bounds=bounds, label=label)
    return Drawing(
        "frames",
        "Polarization, domain walls and masks",
        "Colour is the signed polarization: red and blue are the two domain states, pale is a weak signal. Black lines "
        "are 180° domain walls. Hatched areas are masked (lost contact, bad scan lines) and excluded from the analysis.",
        figure,
        _frame_numbers(result, n_shown=len(shown)),
    )


def _frame_numbers(result: Result, *, n_shown: int) -> str:
    frames, summary = result["frames"], result["summary"]
    text = f"{n_shown} of {style.count(frames.sizes[dims.FRAME], 'frame')} shown; "
    text += f"masked area {style.number(100 * float(frames['masked_share'].mean()))} %"
    if "n_walls" in summary:
        text += f"; mean number of walls per frame {style.number(float(summary['n_walls']), 2)}"
    return text + "."


def signals(result: Result, config: ReportConfig) -> Drawing:
    """Recorded channels of the first frame."""
    maps = result["maps"]
    names = [name for name in SIGNAL_COLOURS if name in maps]
    if not names:
        raise LeftOut("Recorded signals", "the recording has no amplitude, phase or height image")
    height = images.panel_height(maps, 3) - 0.45  # colour bars use part of the width
    figure, axes = style.panels(len(names), columns=len(names), panel_height=height)
    for place, (axis, name) in enumerate(zip(axes, names, strict=True)):
        image, units = style.readable(
            maps[name][0].to_numpy().astype(float), maps[name].attrs.get("units")
        )
        bounds = _full_circle(units) if name == "phase" else style.limits(image)
        if not bounds[0] <= np.nanmedian(image) <= bounds[1]:
            bounds = style.limits(image)
        images.prepare(axis, maps, title=name, bar=place == 0)
        images.show_map(axis, image, cmap=SIGNAL_COLOURS[name], bounds=bounds)
        label = style.in_units(name, units)
        style.colour_bar(figure, axis, cmap=SIGNAL_COLOURS[name], bounds=bounds, label=label)
    return Drawing(
        "signals",
        "Recorded signals",
        "The channels of the recording before any correction. The colour range excludes the lowest and highest 1 % of "
        "values.",
        figure,
        f"{images.frame_title(maps, 0).capitalize()}.",
    )


def _full_circle(units: str | None) -> tuple[float, float]:
    return (-180.0, 180.0) if units == "degree" else (-float(np.pi), float(np.pi))
