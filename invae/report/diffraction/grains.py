"""Grains of a polycrystal: phases, orientation, boundaries, sizes and strain."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, hsv_to_rgb

from invae.config import ReportConfig
from invae.report import images, style
from invae.report.diffraction.scan import maps_of
from invae.report.figure import Drawing, Result, Table

COLUMNS = 3
SHOWN = 20
"""Number of grains in the table, the largest ones."""
NO_LATTICE = "#d9dde1"
STRAINS = (("strain_yy", "strain along y"), ("strain_xx", "strain along x"), ("strain_yx", "shear strain"))  # fmt: skip


def has_lattices(result: Result) -> bool:
    """Whether some phase is a crystal."""
    return "phases" in result and bool((result["phases"]["n_fold"] > 0).any())


def overview(result: Result, config: ReportConfig) -> Drawing:
    """Phase, orientation and grains over the scan, with the wheel of orientation colours."""
    maps, phases = maps_of(result), result["phases"]
    figure, axes = style.panels(
        6, columns=COLUMNS, panel_height=images.panel_height(maps, COLUMNS) + 0.15
    )
    names = [str(name) for name in phases["phase_name"].to_numpy()]
    cmap, bounds = style.class_colours(len(names)), (-0.5, len(names) - 0.5)
    images.prepare(axes[0], maps, title="phase", bar=True)
    images.show_map(axes[0], maps["phase_map"].to_numpy(), cmap=cmap, bounds=bounds)
    style.colour_bar(figure, axes[0], cmap=cmap, bounds=bounds, ticks={float(n): name for n, name in enumerate(names)}, label="")  # fmt: skip
    images.prepare(axes[1], maps, title="orientation in the plane", bar=False)
    axes[1].imshow(_orientation(result), aspect=axes[1].get_aspect())
    images.prepare(axes[2], maps, title="grains and boundaries", bar=False)
    axes[2].imshow(_grains(result), aspect=axes[2].get_aspect())
    _wheel(axes[3], phases)
    _quantity(axes[4], maps, "phase_probability_map", "probability of the phase", config, factor=1)
    _quantity(axes[5], maps, "orientation_sd_map", "sd of the orientation [degree]", config, factor=180 / np.pi)  # fmt: skip
    return Drawing(
        "grains",
        "Phases, orientation and grains",
        "A phase is a lattice of diffracted discs; its number and shape are estimated from the patterns alone. Orientation is the direction of the first "
        "reflection, folded by the symmetry of the phase: one turn of the wheel is one period, 60 degrees for a hexagonal lattice and 90 degrees for a "
        "square one. A grain is a connected area of one phase within the tolerance; lines are boundaries. Grey areas have no lattice.",
        figure,
        _numbers(result),
        _table(phases),
    )


def _period(result: Result) -> np.ndarray:
    """Period of the orientation of every probe (y, x) [rad]."""
    n_fold = np.maximum(result["phases"]["n_fold"].to_numpy(), 1)
    return 2 * np.pi / n_fold[result["scan"]["phase_map"].to_numpy()]


def _orientation(result: Result) -> np.ndarray:
    """Colours of the orientation (y, x, 3): the hue is the angle over its period."""
    angle = result["scan"]["orientation_map"].to_numpy()
    share = np.mod(np.nan_to_num(angle) / _period(result), 1)
    colours = hsv_to_rgb(np.stack((share, np.full_like(share, 0.75), np.full_like(share, 0.95)), -1))  # fmt: skip
    colours[~np.isfinite(angle)] = 0.85
    return _with_lines(colours, _edges(result), 0.15)


def _grains(result: Result) -> np.ndarray:
    """A pale colour for every grain, and dark boundaries (y, x, 3)."""
    grain = result["scan"]["grain_map"].to_numpy()
    golden = np.mod(grain * 0.618034, 1)  # neighbouring numbers get distant hues
    colours = hsv_to_rgb(np.stack((golden, np.full(grain.shape, 0.35), np.full(grain.shape, 0.95)), -1))  # fmt: skip
    return _with_lines(colours, _edges(result), 0.1)


def _edges(result: Result) -> np.ndarray:
    """Probes whose right or lower neighbour is another grain."""
    grain = result["scan"]["grain_map"].to_numpy()
    edge = np.zeros(grain.shape, bool)
    edge[:-1] |= grain[1:] != grain[:-1]
    edge[:, :-1] |= grain[:, 1:] != grain[:, :-1]
    return edge


def _with_lines(colours: np.ndarray, edge: np.ndarray, value: float) -> np.ndarray:
    return np.where(edge[..., None], value, colours)


def _wheel(axis: Axes, phases: xr.Dataset) -> None:
    """The wheel of hues with the angles of every phase."""
    side = np.linspace(-1.6, 1.6, 260)
    y, x = np.meshgrid(-side, side, indexing="ij")
    share, radius = np.mod(np.arctan2(y, x) / (2 * np.pi), 1), np.hypot(y, x)
    colours = hsv_to_rgb(np.stack((share, np.full_like(share, 0.75), np.full_like(share, 0.95)), -1))  # fmt: skip
    inside = (radius < 1) & (radius > 0.45)
    axis.imshow(np.where(inside[..., None], colours, 1.0), extent=(-1.6, 1.6, -1.6, 1.6))
    orders = sorted({int(order) for order in phases["n_fold"].to_numpy() if order > 0})
    for quarter in range(4):
        angle = quarter * np.pi / 2
        words = " / ".join(f"{quarter * 90 / order:g}°" for order in orders)
        axis.text(1.32 * np.cos(angle), 1.2 * np.sin(angle), words, ha="center", va="center", fontsize=7)  # fmt: skip
    folds = " / ".join(f"{order}-fold" for order in orders)
    axis.set(title=f"orientation ({folds})", xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _quantity(
    axis: Axes, maps: xr.Dataset, name: str, title: str, config: ReportConfig, *, factor: float
) -> None:
    values = maps[name].to_numpy() * factor
    bounds = (0.0, 1.0) if maps[name].attrs["units"] == "1" else style.limits(values)
    images.prepare(axis, maps, title=title, bar=False)
    axis.set_facecolor(NO_LATTICE)
    images.show_map(axis, values, cmap=config.colormap, bounds=bounds)
    figure = axis.get_figure(root=True)
    assert figure is not None
    style.colour_bar(figure, axis, cmap=config.colormap, bounds=bounds, label="")


def _numbers(result: Result) -> str:
    grains = result["grains"]
    unit = style.short(str(grains["diameter"].attrs["units"]))
    parts = [
        style.count(result["phases"].sizes["phase"], "phase"),
        style.count(grains.sizes["grain"], "grain"),
        f"median diameter {style.number(float(grains['diameter'].median()))} {unit}",
    ]
    turns = np.degrees(result["boundaries"]["misorientation"].to_numpy())
    if np.isfinite(turns).any():
        parts.append(f"median misorientation of neighbours of one phase {style.number(float(np.nanmedian(turns)))}°")  # fmt: skip
    return f"{'; '.join(parts)}."


def _table(phases: xr.Dataset) -> Table:
    """The phases, one row each."""
    unit = style.short(str(phases["first"].attrs["units"]))
    rows = []
    for number in range(phases.sizes["phase"]):
        one = phases.isel(phase=number)
        order = int(one["n_fold"])
        crystal = order > 0
        rows.append(
            [
                str(one["phase_name"].item()),
                f"C{order}{'v' if bool(one['has_mirror']) else ''}" if crystal else "–",
                style.number(float(one["first"])) if crystal else "–",
                style.number(float(one["second"])) if crystal else "–",
                style.number(float(np.degrees(one["lattice_angle"]))) if crystal else "–",
                f"{100 * float(one['area_share']):.1f} %",
                str(int(one["n_grains"])),
            ]
        )
    heads = ["phase", "symmetry of the lattice", f"1st reflection [{unit}]", f"2nd [{unit}]", "angle [°]", "area", "grains"]  # fmt: skip
    return Table(heads, rows, "The symmetry is that of the positions of the discs.")


def patterns(result: Result, config: ReportConfig) -> Drawing:
    """Mean patterns of the phases, turned to angle 0."""
    phases = result["phases"]
    n = phases.sizes["phase"]
    figure, axes = style.panels(n, columns=max(min(n, 4), 2), panel_height=2.6)
    for number, axis in enumerate(axes[:n]):
        values = phases["mean_pattern"].to_numpy()[number]
        positive = values[values > 0]
        low = float(np.percentile(positive, 5)) if positive.size else 1e-3
        high = max(float(values.max(initial=0.0)), 2 * low)
        axis.imshow(np.maximum(values, low), cmap="magma", norm=LogNorm(low, high))
        axis.set(title=str(phases["phase_name"].to_numpy()[number]), xticks=[], yticks=[])
    return Drawing(
        "grain_patterns",
        "Mean patterns of the phases",
        "The mean of all patterns of a phase on a logarithmic scale, each turned back by its orientation. Sharp discs mean that phase and orientation fit.",
        figure,
    )


def statistics(result: Result, config: ReportConfig) -> Drawing:
    """Histograms of the sizes of grains and of the misorientation of their boundaries."""
    grains, boundaries = result["grains"], result["boundaries"]
    figure = style.new_figure(2.9)
    left, right = figure.subplots(1, 2)
    diameter = grains["diameter"].to_numpy()
    left.hist(diameter, bins=min(20, max(5, len(diameter) // 2)), color=style.ACCENT)
    left.set(xlabel=style.in_units("diameter of the grain", grains["diameter"].attrs["units"]), ylabel="grains")  # fmt: skip
    turns = np.degrees(boundaries["misorientation"].to_numpy())
    known = np.isfinite(turns)
    length = boundaries["length"].to_numpy()
    if known.any():
        right.hist(turns[known], bins=18, weights=length[known], color=style.SECOND)
    right.set(xlabel="misorientation in the plane [degree]", ylabel=style.in_units("length of boundaries", boundaries["length"].attrs["units"]))  # fmt: skip
    return Drawing(
        "grain_statistics",
        "Sizes and misorientations",
        "Left: diameter of a disc with the area of the grain; grains that the edge of the scan cuts are included. Right: smallest misorientation between "
        "neighbouring grains of one phase, by the length of the boundary.",
        figure,
        table=_largest(grains),
    )


def _largest(grains: xr.Dataset) -> Table:
    """The largest grains, one row each."""
    order = np.argsort(-grains["n_probes"].to_numpy(), kind="stable")[:SHOWN]
    names = str(grains["phase"].attrs["flag_meanings"]).split()
    rows = []
    for number in order:
        one = grains.isel(grain=int(number))
        angle = float(np.degrees(one["angle"]))
        rows.append(
            [
                str(int(number)),
                names[int(one["phase"])].replace("_", " "),
                style.number(float(one["area"])),
                f"{angle:.2f}" if np.isfinite(angle) else "–",
                f"{float(np.degrees(one['angle_spread'])):.2f}" if np.isfinite(angle) else "–",
                *(f"{100 * float(one[name]):.2f}" if np.isfinite(angle) else "–" for name, _ in STRAINS),
            ]
        )  # fmt: skip
    unit = str(grains["area"].attrs["units"]).replace("^2", "²")
    heads = ["grain", "phase", f"area [{unit}]", "angle [°]", "spread [°]", *(f"{words} [%]" for _, words in STRAINS)]  # fmt: skip
    note = "" if grains.sizes["grain"] <= SHOWN else f"The {SHOWN} largest of {grains.sizes['grain']} grains."  # fmt: skip
    return Table(heads, rows, note)


def strain(result: Result, config: ReportConfig) -> Drawing:
    """Strain of the lattice against the mean of its phase."""
    maps = maps_of(result)
    figure, axes = style.panels(
        3, columns=COLUMNS, panel_height=images.panel_height(maps, COLUMNS) + 0.15
    )
    everything = np.concatenate([maps[f"{name}_map"].to_numpy().ravel() for name, _ in STRAINS])
    bounds = style.limits(100 * everything, symmetric=True)
    for place, (axis, (name, words)) in enumerate(zip(axes, STRAINS, strict=True)):
        images.prepare(axis, maps, title=words, bar=place == 0)
        axis.set_facecolor(NO_LATTICE)
        images.show_map(axis, 100 * maps[f"{name}_map"].to_numpy(), cmap="RdBu_r", bounds=bounds)
        style.colour_bar(figure, axis, cmap="RdBu_r", bounds=bounds, label="[%]")
    sd = 100 * float(maps["strain_sd_map"].median())
    return Drawing(
        "grain_strain",
        "Strain",
        "Strain from the positions of the discs, against the mean lattice of the phase, in the axes of the detector. Positive is longer in the crystal. A "
        "tilt of the crystal changes intensities only, but an elliptical distortion of the camera looks like strain that turns with nothing.",
        figure,
        f"Median sd of a component: {sd:.2g} %.",
    )


def facts(result: Result) -> list[tuple[str, str]]:
    """Phases and grains for the top of the page."""
    if "grains" not in result:
        return []
    return [
        ("phases", str(result["phases"].sizes["phase"])),
        ("grains", str(result["grains"].sizes["grain"])),
    ]
