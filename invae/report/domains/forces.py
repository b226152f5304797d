"""Forces on walls: built-in field, wall energy, where pushed walls stay, force over time, velocity against field."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.domains.changes import speed_scale
from invae.report.domains.quantities import reason_of, rows_of
from invae.report.figure import Drawing, LeftOut, Result

MAPS = "Forces on walls"
OVER_TIME = "Force and velocity over time"
EMPTY = "#eef0f2"


def _forces(result: Result, title: str) -> xr.Dataset:
    if "forces" in result:
        return result["forces"]
    reason = reason_of(result, "line_tension")
    raise LeftOut(title, reason or "forces need a series of frames (analyse.forces)")


def maps(result: Result, config: ReportConfig) -> Drawing:
    """Maps of the built-in force with its certainty, the wall energy, and the share of pushed walls that stay."""
    forces, frames = _forces(result, MAPS), result["maps"]
    force = forces["built_in_force"].to_numpy()
    half = (forces["built_in_force_high"] - forces["built_in_force_low"]).to_numpy() / 2
    certain = np.abs(force) > half
    bounds = style.limits(force, symmetric=True)
    unit = "px per frame"
    pictures = [
        (force, "force of the built-in field", bounds, style.POLARIZATION, unit),
        (np.where(certain, force, np.nan), "where its interval excludes 0", bounds, style.POLARIZATION, unit),
        (100 * forces["held_share"].to_numpy(), "pushed, but stays", (0.0, 20.0), "magma", "% of steps"),
    ]  # fmt: skip
    energy = _certain_energy(forces)
    if np.isfinite(energy).any():
        limits = style.limits(energy, symmetric=True)
        pictures.append((energy, "wall energy where certain", limits, "PuOr", "px² per frame"))
    columns = min(len(pictures), 3)
    height = images.panel_height(frames, columns) - 0.2
    figure, axes = style.panels(len(pictures), columns=columns, panel_height=height)
    for axis, (image, title, limits, cmap, label) in zip(axes, pictures, strict=True):
        images.prepare(axis, frames, title=title, bar=axis is axes[0])
        axis.set_facecolor(EMPTY)
        images.show_map(axis, image, cmap=cmap, bounds=limits)
        style.colour_bar(figure, axis, cmap=cmap, bounds=limits, label=label)
    known = np.isfinite(force)
    share = 100 * float(certain[known].mean()) if known.any() else 0.0
    text = f"The built-in force differs from 0 with certainty on {share:.0f} % of the area that walls have crossed"
    text += (
        f"; the wall energy on {100 * float(np.isfinite(energy)[known].mean()):.0f} %"
        if known.any()
        else ""
    )
    return Drawing(
        "forces",
        MAPS,
        "The velocity of walls is split into the force of the applied field, which depends on time, that of the built-in field, which "
        "depends on the place and pushes opposite walls in opposite directions, and the line tension. Red pushes the positive domain "
        "outwards. Grey: no walls were seen. A uniform built-in field cannot be separated from an offset of the applied one. A place where "
        "walls stay although they are pushed may pin them; a wall that nothing pushes shows nothing.",
        figure,
        text + ".",
        rows_of(result, ("line_tension", "mobility", "force_r2", "held_share")),
    )  # fmt: skip


def _certain_energy(forces: xr.Dataset) -> np.ndarray:
    """The wall energy (y, x) where its interval excludes 0, NaN elsewhere."""
    if "wall_energy" not in forces:
        return np.full(forces["built_in_force"].shape, np.nan)
    certain = (forces["wall_energy_high"] < 0) | (forces["wall_energy_low"] > 0)
    return np.where(certain, forces["wall_energy"], np.nan)


def over_time(result: Result, config: ReportConfig) -> Drawing:
    """The force on a straight wall over time, and the velocity of walls against the field."""
    _forces(result, OVER_TIME)
    frames = result["frames"]
    figure = style.new_figure(2.9)
    left, right = figure.subplots(1, 2)
    number = frames[dims.FRAME].to_numpy()
    drive = [frames[f"wall_drive{end}"].to_numpy() for end in ("", "_low", "_high")]
    left.fill_between(number, drive[1], drive[2], color=style.ACCENT, alpha=0.2, lw=0)
    left.plot(number, drive[0], color=style.ACCENT, label="force on walls")
    left.axhline(0, color="#c8cdd2", lw=0.8, zorder=0)
    left.set(xlabel="frame", ylabel="force [px per frame]", title="force on a straight wall")
    scale, unit = speed_scale(result)
    if "applied_field" in frames:
        field = frames["applied_field"].to_numpy()
        _field_axis(left, number, field, frames["applied_field"])
    else:
        field = drive[0]
    _velocity(right, field, scale * frames["wall_velocity"].to_numpy(), unit)
    words = "applied field" if "applied_field" in frames else "force on walls [px per frame]"
    right.set(xlabel=words, title="velocity of walls")
    known = np.isfinite(field) & np.isfinite(frames["wall_velocity"].to_numpy())
    agreement = (
        float(np.corrcoef(field[known], drive[0][known])[0, 1]) if known.sum() > 2 else np.nan
    )
    text = f"Force on a straight wall {style.number(float(drive[0].min()))} to {style.number(float(drive[0].max()))} px per frame"
    if "applied_field" in frames and np.isfinite(agreement):
        text += f"; its correlation with the applied field is {agreement:.3f}"
    return Drawing(
        "force_over_time",
        OVER_TIME,
        "Left: the force of the applied field as the walls feel it, in units of the velocity of a free straight wall; band: interval of "
        "95 %. Right: mean velocity of all walls of a frame, positive if the positive domain grows; walls that defects hold are "
        "included.",
        figure,
        text + ".",
        rows_of(result, ("creep_exponent", "merz_field")),
    )


def _field_axis(axis: Axes, number: np.ndarray, field: np.ndarray, variable: xr.DataArray) -> None:
    other = axis.twinx()
    other.plot(number, field, color=style.SECOND, ls="--", lw=1)
    largest = max(float(np.abs(field).max()), 1e-12)
    other.set_ylim(-1.15 * largest, 1.15 * largest)
    other.set_ylabel(style.in_units("applied field (dashed)", variable.attrs.get("units")))
    low, high = axis.get_ylim()
    reach = max(abs(low), abs(high))
    axis.set_ylim(-reach, reach)


def _velocity(axis: Axes, field: np.ndarray, velocity: np.ndarray, unit: str) -> None:
    axis.axhline(0, color="#c8cdd2", lw=0.8, zorder=0)
    axis.plot(field, velocity, ls="", marker="o", ms=3.5, color=style.SECOND)
    axis.set(ylabel=f"mean velocity [{unit}]")
