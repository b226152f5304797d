"""A 4D-STEM scan: maps of virtual detectors, centre of mass and latent variables, and the detector."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.patches import Circle

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.baselines import errors
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.latent_plane import ANGLE_TICKS
from invae.report.rgb import NAMES, colours_of

COLUMNS = 2
LABELLED = 12
"""Number of surprising regions that are numbered."""
WIDE = 3
"""Number of columns of figures that compare methods."""
DETECTED = (("haadf", "HAADF"), ("com_x", "CoM-X"), ("com_y", "CoM-Y"), ("com_r", "CoM-R"))


@dataclass(frozen=True, eq=False)
class Panel:
    """One map and its colours."""

    title: str
    values: np.ndarray
    """(scan_y, scan_x)"""
    cmap: str | Colormap
    bounds: tuple[float, float]
    label: str = ""
    ticks: dict[float, str] | None = None


def maps_of(result: Result) -> xr.Dataset:
    """The maps of a scan with the dims (y, x) of a frame."""
    return result["scan"].rename({dims.SCAN_Y: dims.Y, dims.SCAN_X: dims.X})


def panels(result: Result, config: ReportConfig) -> Drawing:
    """Maps of virtual detectors, centre of mass and latent variables."""
    maps = maps_of(result)
    shown = [*_virtual_detectors(maps), *_latent(result, maps, config)]
    figure, axes = style.panels(
        len(shown), columns=COLUMNS, panel_height=images.panel_height(maps, COLUMNS) + 0.15
    )
    for place, (axis, panel) in enumerate(zip(axes, shown, strict=True)):
        _show(axis, maps, panel, bar=place == 0)
    return Drawing(
        "scan",
        "Virtual detectors and latent variables",
        "First panels: virtual detectors. HAADF is the high-angle scattering; CoM is the centre of mass of the pattern, "
        "that is the deflection of the beam in x, in y, and its magnitude. Other panels: the model. Angle is the "
        "orientation of the pattern; content are the two dimensions that vary most; error is the reconstruction error; "
        "surprise shows how unusual the neighbourhood of a probe is.",
        figure,
        _numbers(result, maps),
    )


def _virtual_detectors(maps: xr.Dataset) -> list[Panel]:
    panels = []
    for name, title in DETECTED:
        values = maps[name].to_numpy()
        signed = name in ("com_x", "com_y")
        cmap = "RdBu_r" if signed else "viridis" if name == "com_r" else "gray"
        label = style.in_units("", maps[name].attrs.get("units")).strip()
        panels.append(Panel(title, values, cmap, style.limits(values, symmetric=signed), label))
    return panels


def _latent(result: Result, maps: xr.Dataset, config: ReportConfig) -> list[Panel]:
    panels = []
    if "angle_map" in maps:
        turned = np.angle(np.exp(1j * maps["angle_map"].to_numpy()))
        bounds = (-float(np.pi), float(np.pi))
        panels.append(Panel("angle", turned, style.cyclic(), bounds, "[°]", dict(ANGLE_TICKS)))
    content = maps["content_map"].to_numpy()
    for number in sorted(_most_variable(result)[:2]):
        values = content[..., number]
        title = f"content {number + 1}"
        panels.append(Panel(title, values, config.colormap, style.limits(values)))
    panels.append(_classes(maps))
    for name, title, cmap in (
        ("error_map", "reconstruction error", "magma"),
        ("surprise_map", "surprise", "inferno"),
    ):
        values = maps[name].to_numpy()
        panels.append(Panel(title, values, cmap, style.limits(values)))
    return panels


def _most_variable(result: Result) -> list[int]:
    """Content dimensions by their standard deviation over the sites, the largest first."""
    sd = result[""]["content"].std(dims.SITE).to_numpy()
    return [int(number) for number in np.argsort(-sd, kind="stable")]


def _classes(maps: xr.Dataset) -> Panel:
    """Model classes if there are any, else clusters."""
    title = "class" if "class_map" in maps else "cluster"
    values = maps[f"{title}_map"].to_numpy().astype(float)
    n_classes = int(values.max()) + 1
    ticks = {float(number): str(number + 1) for number in range(n_classes)}
    cmap = style.class_colours(n_classes)
    return Panel(title, np.where(values < 0, np.nan, values), cmap, (-0.5, n_classes - 0.5), "", ticks)  # fmt: skip


def _show(axis: Axes, maps: xr.Dataset, panel: Panel, *, bar: bool) -> None:
    images.prepare(axis, maps, title=panel.title, bar=bar)
    axis.set_facecolor("#d9dde1")
    images.show_map(axis, panel.values, cmap=panel.cmap, bounds=panel.bounds)
    figure = axis.get_figure(root=True)
    assert figure is not None
    style.colour_bar(
        figure,
        axis,
        cmap=panel.cmap,
        bounds=panel.bounds,
        label=panel.label,
        ticks=panel.ticks,
    )


def _numbers(result: Result, maps: xr.Dataset) -> str:
    sites = result[""]
    shape = f"{maps.sizes[dims.Y]} × {maps.sizes[dims.X]} probes, {sites.sizes[dims.SITE]} of them analysed"
    com = float(np.nanmedian(maps["com_r"].to_numpy()))
    units = maps["com_r"].attrs.get("units", "")
    text = f"{shape}; median deflection of the centre of mass {style.number(com)} {units}"
    if "angle_resultant" in sites:
        certainty = style.number(float(sites["angle_resultant"].median()))
        text += f"; median certainty of the angle (mean resultant length) {certainty}"
    return text + "."


def colours(result: Result, config: ReportConfig) -> Drawing:
    """Three content dimensions as colours of one image, and each as a map."""
    maps = maps_of(result)
    content = maps["content_map"].to_numpy()
    if content.shape[-1] != 3:
        raise LeftOut("Content as colour", "the content does not have three dimensions")
    known = np.isfinite(content).all(-1)
    picture = np.full((*known.shape, 3), 0.85)
    picture[known] = colours_of(content[known])
    figure, axes = style.panels(4, columns=4, panel_height=images.panel_height(maps, 4))
    images.prepare(axes[0], maps, title="all three", bar=True)
    axes[0].imshow(picture, aspect=axes[0].get_aspect())
    for number, (axis, word) in enumerate(zip(axes[1:], NAMES, strict=True)):
        values = content[..., number]
        panel = Panel(
            f"content {number + 1} ({word})", values, config.colormap, style.limits(values)
        )
        _show(axis, maps, panel, bar=False)
    return Drawing(
        "scan_rgb",
        "Content as colour",
        "Content 1, 2 and 3 are the red, green and blue part of a colour. Probes of the same colour see the same "
        "structure, in any orientation.",
        figure,
        "Each part of a colour spans the central 98 % of its dimension.",
    )


def surprises(result: Result, config: ReportConfig) -> Drawing:
    """Surprising regions, on the map of the surprise and on the dark-field image."""
    maps, peaks = maps_of(result), result["surprises"]
    values, haadf = maps["surprise_map"].to_numpy(), maps["haadf"].to_numpy()
    shown = (
        Panel("surprise", values, "inferno", style.limits(values), "robust z"),
        Panel("HAADF", haadf, "gray", style.limits(haadf)),
    )
    figure, axes = style.panels(2, columns=2, panel_height=images.panel_height(maps, 2) * 0.8)
    for place, (axis, panel) in enumerate(zip(axes, shown, strict=True)):
        _show(axis, maps, panel, bar=place == 0)
        _mark(axis, peaks)
    return Drawing(
        "surprises",
        "Surprise map",
        "Surprise shows how unusual the neighbourhood of a probe is: the latent variables, averaged over neighbouring "
        "probes, are compared with the rest of the scan, and deviations of the maps from a periodic lattice also count. A "
        "periodic lattice has a low surprise. A missing or foreign atom, an edge or a fold has a high surprise. Circles "
        "mark the centres of the surprising regions, numbered by their peak.",
        figure,
        _places(peaks),
    )


def _mark(axis: Axes, peaks: xr.Dataset) -> None:
    """Circles around the peaks, numbered from the highest."""
    y, x = peaks["y"].to_numpy(), peaks["x"].to_numpy()
    axis.plot(x, y, "o", mfc="none", mec="#39d0ff", mew=1.6, ms=15, zorder=5)
    for number in range(min(len(y), LABELLED)):
        axis.annotate(
            str(number + 1),
            (x[number], y[number]),
            xytext=(8, 6),
            textcoords="offset points",
            color="#39d0ff",
            zorder=6,
        )


def _places(peaks: xr.Dataset) -> str:
    """The peaks as text."""
    if not peaks.sizes["peak"]:
        return "No region is above the threshold (analyse.surprise_threshold)."
    lines = []
    for number in range(min(peaks.sizes["peak"], LABELLED)):
        peak = peaks.isel(peak=number)
        nm = np.array([float(peak["y_nm"]), float(peak["x_nm"])])
        position = f"{nm[0]:.2f}, {nm[1]:.2f} nm" if np.isfinite(nm).all() else f"{float(peak['y']):.0f}, {float(peak['x']):.0f} px"  # fmt: skip
        lines.append(f"{number + 1}: ({position}) {style.number(float(peak['surprise']))}")
    return f"Centres (y, x) and peak surprise: {'; '.join(lines)}."


def comparison(result: Result, config: ReportConfig) -> Drawing:
    """Maps of the model's content, of methods without invariance, and of the centre of mass."""
    maps, rows = maps_of(result), _methods(result)
    figure = style.new_figure(len(rows) * images.panel_height(maps, 4))
    grid = figure.subplots(len(rows), WIDE, squeeze=False)
    for line, pictures in zip(grid, rows, strict=True):
        for axis in line[len(pictures) :]:
            axis.set_axis_off()
        for axis, (title, values) in zip(line, pictures.items(), strict=False):
            panel = Panel(title, values, config.colormap, style.limits(values))
            _show(axis, maps, panel, bar=False)
    return Drawing(
        "scan_beside",
        "Comparison with methods without invariance",
        "Maps of the model's content, of principal components (PCA), of non-negative components (NMF) and of the centre "
        "of mass. Components of PCA and NMF cannot rotate, and the centre of mass is one vector: the same atom seen from "
        "three sides gives three values. The model's content gives one. NMF needs non-negative data: it is fitted to "
        "counts, in units of their noise if a mean was subtracted from the patches. Its error refers to the same patches "
        "as that of the model.",
        figure,
        f"{errors(result)}." if "baselines" in result else "",
    )


def _methods(result: Result) -> list[dict[str, np.ndarray]]:
    """A row of maps per method, by title; content dimensions keep their numbers, the most variable first."""
    scan = result["scan"]
    content = scan["content_map"].to_numpy()
    rows = [{f"content {k + 1}": content[..., k] for k in _most_variable(result)[:WIDE]}]
    for method in ("PCA", "NMF"):
        if (name := f"{method.lower()}_map") in scan:
            values = scan[name].to_numpy()[..., :WIDE]
            rows.append({f"{method}, {k + 1}": values[..., k] for k in range(values.shape[-1])})
    mass = {f"CoM-{axis.upper()}": scan[f"com_{axis}"].to_numpy() for axis in ("x", "y", "r")}
    return [*rows, mass]


def detector(result: Result, config: ReportConfig) -> Drawing:
    """Mean and maximum pattern with axis, disc and masked pixels, and the radial profile."""
    scan = result["scan"]
    figure = style.new_figure(3.6)
    axes = list(figure.subplots(1, 3))
    for axis, name, title in (
        (axes[0], "mean_pattern", "mean pattern"),
        (axes[1], "max_pattern", "maximum pattern"),
    ):
        _show_pattern(axis, scan, scan[name].to_numpy().astype(float), title)
    _profile(axes[2], scan)
    masked = int((~scan["detector_valid"].to_numpy()).sum())
    radius = float(scan.attrs["disc_radius"])
    centre = scan.attrs["centre"]
    return Drawing(
        "detector",
        "Detector",
        "Mean and maximum pattern on a logarithmic scale. Cross: optic axis. Circle: bright-field disc. Green crosses: "
        "hot or dead pixels, which are excluded. Right: radial profile, the mean over rings around the axis.",
        figure,
        f"Axis at (y, x) = ({centre[0]:.2f}, {centre[1]:.2f}) px, disc radius {radius:.2f} px; {style.count(masked, 'masked pixel')}.",
    )


def _show_pattern(axis: Axes, scan: xr.Dataset, pattern: np.ndarray, title: str) -> None:
    """Draw a pattern with axis, disc, masked pixels and a scale bar."""
    height, width = pattern.shape
    positive = pattern[pattern > 0]
    floor = float(np.percentile(positive, 1)) if positive.size else 1.0
    shown = np.log10(np.maximum(pattern, floor))
    axis.imshow(shown, cmap="magma", vmin=float(shown.min()), vmax=float(shown.max()))
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[], title=title)
    y, x = scan.attrs["centre"]
    axis.plot(x, y, "+", color="#39d0ff", ms=9, mew=1.2)
    axis.add_patch(Circle((x, y), scan.attrs["disc_radius"], fill=False, ec="#39d0ff", lw=1.2))
    rows, columns = np.nonzero(~scan["detector_valid"].to_numpy())
    axis.plot(columns, rows, "x", color="#5ad45a", ms=4, mew=1)
    places = scan[dims.K_X].to_numpy()
    step = abs(float(places[-1] - places[0])) / max(len(places) - 1, 1)
    units = scan[dims.K_X].attrs.get("units", "pixel")
    calibrated = units not in ("pixel", "1")
    style.scale_bar(axis, width=width, pixel_nm=step if calibrated else None, unit=str(units))


def _profile(axis: Axes, scan: xr.Dataset) -> None:
    profile = scan["radial_profile"].mean((dims.SCAN_Y, dims.SCAN_X)).to_numpy()
    k = scan["k"].to_numpy()
    seen = profile > 0
    axis.semilogy(k[seen], profile[seen], color=style.ACCENT)
    step = float(k[1] - k[0]) if len(k) > 1 else 1.0
    axis.axvline(float(scan.attrs["disc_radius"]) * step, color=style.SECOND, lw=1, ls="--")
    axis.set(
        title="radial profile",
        xlabel=style.in_units("scattering angle", scan["k"].attrs.get("units")),
        ylabel=style.in_units("mean over a ring", scan["mean_pattern"].attrs.get("units")),
    )
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.grid(axis="y")
