"""What was recorded: frames with their walls and masks, and the drift between them."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

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
    label = "polarization / usual amplitude"
    style.colour_bar(figure, axes, cmap=style.POLARIZATION, bounds=bounds, label=label)
    return Drawing(
        "frames",
        "Polarization, walls and masks",
        "Colour is the signed polarization: red one domain state, blue the other, pale where the signal is weak. Black "
        "lines are the 180° walls between them. Hatched areas are masked (lost contact or bad lines) and count nowhere.",
        figure,
        _frame_numbers(result, n_shown=len(shown)),
    )


def _frame_numbers(result: Result, *, n_shown: int) -> str:
    frames, summary = result["frames"], result["summary"]
    text = f"{n_shown} of {frames.sizes[dims.FRAME]} frame(s) shown; "
    text += f"masked {style.number(100 * float(frames['masked_share'].mean()))} %"
    if "n_walls" in summary:
        text += f"; {style.number(float(summary['n_walls']), 2)} walls in a frame, mean"
    return text + "."


def signals(result: Result, config: ReportConfig) -> Drawing:
    """The recording's own channels, first frame shown."""
    maps = result["maps"]
    names = [name for name in SIGNAL_COLOURS if name in maps]
    if not names:
        raise LeftOut(
            "Signals as recorded", "the recording has no image of amplitude, phase or height"
        )
    height = images.panel_height(maps, 3) - 0.45  # colour bars take their share of the width
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
        "Signals as recorded",
        "The channels that everything else is made of, as the instrument wrote them, before any correction. Colours leave "
        "out the outermost 1 % of values at either end.",
        figure,
        f"{images.frame_title(maps, 0).capitalize()}.",
    )


def _full_circle(units: str | None) -> tuple[float, float]:
    return (-180.0, 180.0) if units == "degree" else (-float(np.pi), float(np.pi))


def drift(result: Result, config: ReportConfig) -> Drawing:
    """Drift over frames with its uncertainty, and its path."""
    frames = result["frames"]
    if frames.sizes[dims.FRAME] < 2:
        raise LeftOut("Drift", "there is one frame, and drift needs two")
    if "drift" not in frames:
        raise LeftOut("Drift", "the frames were not registered (describe.registration)")
    values = frames["drift"].transpose(dims.AXIS, dims.FRAME).to_numpy()
    sd = (
        frames["drift_sd"].transpose(dims.AXIS, dims.FRAME).to_numpy()
        if "drift_sd" in frames
        else values * np.nan
    )
    figure = style.new_figure(3.3)
    over, path = figure.subplots(1, 2, width_ratios=(1.7, 1))
    number = frames[dims.FRAME].to_numpy()
    for row, (name, colour) in enumerate((("y", style.ACCENT), ("x", style.SECOND))):
        low, high = values[row] - sd[row], values[row] + sd[row]
        bars = {"marker": "o", "ms": 3.5, "lw": 1.4, "capsize": 2, "label": name}
        over.fill_between(number, low, high, color=colour, alpha=0.18, lw=0)
        over.errorbar(number, values[row], np.nan_to_num(sd[row]), color=colour, **bars)
    over.axhline(0, color="#c8cdd2", lw=0.8, zorder=0)
    over.set(xlabel="frame", ylabel="drift [px]", title="drift against frame 0, ± 1 sd")
    over.xaxis.get_major_locator().set_params(integer=True)
    over.legend(ncols=2)
    _path(path, number, values, cmap=config.colormap)
    return Drawing(
        "drift",
        "Drift",
        "Where the scan window of each frame lies on the sample, relative to frame 0: down is positive y, right positive x. "
        "Bars are the standard deviation among channels and regions of the image. Changes from frame to frame are measured with the drift taken away.",
        figure,
        _drift_numbers(frames, values, sd),
    )


def _path(axis: Axes, number: np.ndarray, values: np.ndarray, *, cmap: str) -> None:
    """Drift in x against drift in y, y down, coloured by frame."""
    axis.plot(values[1], values[0], color="#c8cdd2", lw=1)
    dots = axis.scatter(values[1], values[0], c=number, cmap=cmap, s=22, zorder=3)
    figure = axis.get_figure()
    assert figure is not None
    bar = figure.colorbar(dots, ax=axis, label="frame", fraction=0.05, pad=0.02)
    bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()
    axis.set(xlabel="drift in x [px]", ylabel="drift in y [px]", title="path of the scan window")
    axis.set_aspect("equal", adjustable="datalim")
    axis.invert_yaxis()


def _drift_numbers(frames: xr.Dataset, values: np.ndarray, sd: np.ndarray) -> str:
    shown = images.evenly(frames.sizes[dims.FRAME], 6)[1:]
    parts = [
        f"frame {int(frames[dims.FRAME][i])}: ({values[0, i]:.2f} ± {sd[0, i]:.2f}, {values[1, i]:.2f} ± {sd[1, i]:.2f})"
        for i in shown
    ]
    return f"(y, x) in px: {'; '.join(parts)}.".replace("-", "−")
