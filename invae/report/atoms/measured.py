"""Properties of the atoms that were measured on the image."""

import numpy as np

from invae.config import ReportConfig
from invae.report import style
from invae.report.classes import classes_of
from invae.report.figure import Drawing, Result
from invae.report.kind import label_of


def measured(result: Result, config: ReportConfig) -> Drawing:
    """Histograms of measured properties, by class."""
    sites = result[""]
    names = [name for name in ("intensity", "mean_distance", "ellipticity") if name in sites]
    label, classes = classes_of(result)
    colours = style.class_colours(len(classes))
    figure = style.new_figure(2.6)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    parts = []
    for axis, name in zip(axes, names, strict=True):
        values = sites[name].to_numpy().astype(float)
        low, high = np.percentile(values[np.isfinite(values)], (0.2, 99.8))
        bins = np.linspace(low, max(high, low + 1e-12), 41)
        for number, words in enumerate(classes):
            own = {"color": colours(number), "label": f"class {words}"}
            axis.hist(values[label == number], bins=bins, histtype="step", lw=1.5, **own)
        units = sites[name].attrs.get("units")
        axis.set(xlabel=style.in_units(label_of(result, name), units), yticks=[])
        axis.locator_params(axis="x", nbins=5)
        axis.spines["left"].set_visible(False)
        median = float(np.nanmedian(values))
        parts.append(f"{label_of(result, name)} {style.number(median)}")
    axes[0].legend()
    return Drawing(
        "measured",
        "Measured properties of the atoms",
        "Histograms by class: height of the peak above its background, mean distance to the three nearest neighbours, and "
        "ellipticity. The model did not see these values. Classes that separate here differ in species or environment.",
        figure,
        f"Medians: {'; '.join(parts)}.",
    )
