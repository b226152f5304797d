"""Maps of the integral of spectra, and the plane of the latent variables."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invae.config import ReportConfig
from invae.report import style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.pairs.axes import fullest_frame, places, short_unit, spectra, value_label
from invae.report.style import number


def band(result: Result, config: ReportConfig) -> Drawing:
    """Measured and predicted integral of the spectra, their difference and the uncertainty."""
    values = _on_grid(result) if "band_maps" in result else _at_places(result)
    measured = values["measured"]
    bounds = style.limits(
        measured
    )  # a prediction far off must not take the contrast of what was measured
    figure = style.new_figure(3.0)
    axes = list(figure.subplots(1, 4, squeeze=False)[0])
    looks = {
        "measured": (config.colormap, bounds),
        "predicted": (config.colormap, bounds),
        "difference": (style.POLARIZATION, style.limits(values["difference"], symmetric=True)),
        "uncertainty": ("magma", style.limits(values["uncertainty"])),
    }
    sites = result[""]
    of_integral = str(sites["measured_band"].attrs.get("units", "1"))
    of_value = str(result["pairs"]["measured"].attrs.get("units", "1"))
    for axis, (name, (cmap, limits)) in zip(axes, looks.items(), strict=True):
        is_value = name == "uncertainty"
        reference = values[name] if is_value else measured
        factor, unit = short_unit(reference, of_value if is_value else of_integral)
        shown = (limits[0] / factor, limits[1] / factor)
        title = style.in_units(name, unit)
        _show(axis, figure, result, values[name] / factor, title=title, cmap=cmap, limits=shown)
    pair = [sites[f"{name}_band"].to_numpy() for name in ("measured", "predicted")]
    r = (
        float(np.corrcoef(pair[0], pair[1])[0, 1])
        if min(np.std(pair[0]), np.std(pair[1])) > 0
        else 0.0
    )
    return Drawing(
        "band",
        "Integral of the spectra",
        "Measured and predicted integral over the axis in the colours of what was measured, predicted less measured, and the mean predicted sd of a value. Predictions are those of "
        "members that have not seen the place." + (" White lines bound the held-out parts." if _has_outlines(result) else ""),
        figure,
        f"Correlation of measured and predicted integral, all pairs: {number(r)}.",
    )  # fmt: skip


Values = dict[str, np.ndarray]


def _on_grid(result: Result) -> Values:
    """The maps of the frame with the most places."""
    group = result["band_maps"]
    frame = int(np.isfinite(group["measured"].to_numpy()).sum((1, 2)).argmax())
    names = ("measured", "predicted", "difference", "fold")
    found = {name: group[name].isel(frame=frame).to_numpy() for name in names}
    return {**found, "uncertainty": group["sd"].isel(frame=frame).to_numpy()}


def _at_places(result: Result) -> Values:
    """The values of the sites of the frame with the most of them."""
    sites, group = result[""], result["pairs"]
    _, here = fullest_frame(sites)
    found = {name: sites[f"{name}_band"].to_numpy()[here] for name in ("measured", "predicted")}
    width = (group["upper"] - group["lower"]).to_numpy()[here].mean(1) / 2
    difference = found["predicted"] - found["measured"]
    return {**found, "difference": difference, "uncertainty": width}


def _show(
    axis: Axes,
    figure: Figure,
    result: Result,
    values: np.ndarray,
    *,
    title: str,
    cmap: str,
    limits: tuple[float, float],
) -> None:
    if values.ndim == 2:
        axis.imshow(values, cmap=cmap, vmin=limits[0], vmax=limits[1])
        if _has_outlines(result):
            _outline(axis, _on_grid(result)["fold"])
    else:
        sites = result[""]
        _, here = fullest_frame(sites)
        place = (sites["x"].to_numpy()[here], sites["y"].to_numpy()[here])
        axis.scatter(*place, c=values, s=16, cmap=cmap, vmin=limits[0], vmax=limits[1], lw=0)
        axis.invert_yaxis()
        axis.set_aspect("equal")
    axis.set(title=title, xticks=[], yticks=[])
    ticks = {value: number(value) for value in (limits[0], sum(limits) / 2, limits[1])}
    style.colour_bar(figure, axis, cmap=cmap, bounds=limits, label="", ticks=ticks)


def _has_outlines(result: Result) -> bool:
    """Whether parts of the map were held out together."""
    return "band_maps" in result and not float(result["summary"]["leaks"])


def _outline(axis: Axes, fold: np.ndarray) -> None:
    """White lines between places that were not held out together."""
    rows, columns = fold.shape
    for y, x in np.argwhere(fold[:, 1:] != fold[:, :-1]):
        axis.plot([x + 0.5] * 2, [y - 0.5, y + 0.5], color="white", lw=0.6)
    for y, x in np.argwhere(fold[1:] != fold[:-1]):
        axis.plot([x - 0.5, x + 0.5], [y + 0.5] * 2, color="white", lw=0.6)
    axis.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))


def plane(result: Result, config: ReportConfig) -> Drawing:
    """Latent variables in a plane, and the spectra along its directions."""
    if "directions" not in result:
        raise LeftOut("Latent variables", "the model has no networks")
    sites, group = result[""], result["directions"]
    name = "measured_peak" if "measured_peak" in sites else "measured_band"
    values, place = sites[name].to_numpy(), sites["plane"].to_numpy()
    explained = group["explained"].to_numpy()
    figure = style.new_figure(3.4)
    axes = list(figure.subplots(1, 3, width_ratios=(1.25, 1, 1)))
    bounds = style.limits(values)
    axes[0].scatter(
        *place.T, c=values, s=9, cmap=config.colormap, vmin=bounds[0], vmax=bounds[1], lw=0
    )
    axes[0].set(
        xlabel=f"first direction ({100 * explained[0]:.0f} %)",
        ylabel=f"second direction ({100 * explained[1]:.0f} %)",
    )
    label = {"measured_peak": "position of the peak", "measured_band": "integral"}[name]
    units = sites[name].attrs.get("units")
    style.colour_bar(
        figure, axes[0], cmap=config.colormap, bounds=bounds, label=style.in_units(label, units)
    )
    axis, axis_label = places(result)
    factor = _factor(result)
    for k, words in enumerate(("first", "second")):
        decoded = group["decoded"].isel(direction=k).to_numpy() / factor
        for curve, colour in zip(decoded, style.shades(config.colormap, len(decoded)), strict=True):
            axes[k + 1].plot(axis, curve, color=colour)
        axes[k + 1].set(xlabel=axis_label, title=f"along the {words} direction")
    axes[1].set_ylabel(value_label(result))
    return Drawing(
        "plane",
        "Latent variables",
        "Left: one dot per pair, by the two directions in which the latent variables vary most; the colour was measured. Right: spectra that the "
        "first network gives along these directions, dark at the low end.",
        figure,
        f"Both directions have {100 * explained.sum():.0f} % of the variance of "
        f"{style.count(int(sites.attrs['latent_dim']), 'latent variable')}.",
    )


def _factor(result: Result) -> float:
    """Unit of the shown spectra in that of the stored ones."""
    stored, shown = result["pairs"]["measured"].to_numpy(), spectra(result, "measured")
    largest = float(np.abs(shown).max())
    return float(np.abs(stored).max()) / largest if largest else 1.0
