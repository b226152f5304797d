"""Figures of images that were made for wanted spectra."""

import numpy as np

from invae.config import ReportConfig
from invae.report import style
from invae.report.figure import Drawing, Result
from invae.report.pairs.axes import places, value_label
from invae.report.style import number

SHOWN = 4
TITLES = {0: "true", 1: "best", 5: "samples"}
"""By column of the images."""


def made(result: Result, config: ReportConfig) -> Drawing:
    """Wanted spectra, the true image, eight images made for each, and the spectra predicted of them."""
    group, spectra = result["designs"], result["pairs"]
    error = group["error_best"].to_numpy()
    order = np.argsort(error)
    rows = order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(int)]
    samples = group["image"].to_numpy()[:, :, 0]
    n = samples.shape[1]
    axis, label = places(result)
    figure = style.new_figure(1.25 * len(rows) + 0.5)
    axes = figure.subplots(len(rows), n + 3, squeeze=False, width_ratios=(2.2, *[1] * (n + 2)))
    low, high = style.limits(samples)
    for row, wanted in enumerate(rows):
        site = int(group["site"][wanted])
        curve = axes[row, 0]
        curve.plot(
            axis, group["spectrum"][wanted].to_numpy().T, color=style.ACCENT, lw=0.6, alpha=0.5
        )
        curve.plot(axis, group["best_spectrum"][wanted], color=style.SECOND, lw=1.2)
        curve.plot(axis, spectra["measured"][site], color=style.INK, lw=1)
        curve.set_yticks([])
        curve.set_ylabel(number(float(error[wanted])), rotation=0, ha="right")
        if row == len(rows) - 1:
            curve.set_xlabel(label)
        else:
            curve.set_xticklabels([])
        images = (
            *(group[f"{name}_image"].to_numpy()[wanted, 0] for name in ("true", "best")),
            *samples[wanted],
        )
        for column, image in enumerate(images):
            shown = axes[row, 1 + column]
            shown.imshow(image, cmap="gray", vmin=low, vmax=high)
            shown.set(xticks=[], yticks=[])
            if row == 0 and column in TITLES:
                shown.set_title(TITLES[column])
    axes[0, 0].set_title(value_label(result))
    return Drawing(
        "made",
        "Images made for wanted spectra",
        "Left: the wanted spectrum (black), the spectra predicted of eight images (thin), and of the best image of all tries (second colour); the "
        "number is its relative error. Right: the image that was recorded with it, the best image, and the eight. Images that were made stand upright, and no network had seen the pair. The rows go from the least to "
        "the largest error.",
        figure,
        f"Images of one spectrum are {number(float(np.median(group['diversity'])))} times as far apart as images of different spectra.",
    )


ERRORS = {
    "error": "one image",
    "of_eight": "best of eight images",
    "error_best": "best of all tries",
    "error_nearest": "nearest training spectrum",
    "error_true": "true image",
}


def errors(result: Result, config: ReportConfig) -> Drawing:
    """Errors of the spectra of images, beside the nearest training spectrum and the true image."""
    group = result["designs"]
    values = {
        name: (group["error"].min("sample") if name == "of_eight" else group[name])
        .to_numpy()
        .ravel()
        for name in ERRORS
    }
    figure = style.new_figure(2.8)
    axis = figure.subplots()
    for row, name in enumerate(ERRORS):
        low, middle, high = np.percentile(values[name], (10, 50, 90))
        axis.plot([low, high], [row, row], color=style.MUTED, lw=3, solid_capstyle="round")
        axis.plot(middle, row, "o", color=style.ACCENT)
    axis.set_yticks(range(len(ERRORS)), list(ERRORS.values()))
    axis.invert_yaxis()
    axis.set(xlabel="relative error of the spectrum", xlim=(0, None))
    axis.grid(axis="x")
    return Drawing(
        "design_errors",
        "Errors of images made for spectra",
        "Dot: median; bar: 10 to 90 % of the wanted spectra. The Gaussian process predicts the spectrum of every image; it has not seen the wanted "
        "pair. The error of the true image is that of the process itself; no image can be judged more exactly.",
        figure,
        f"Medians: one image {number(float(np.median(values['error'])))}, best of eight {number(float(np.median(values['of_eight'])))}, "
        f"true image {number(float(np.median(values['error_true'])))}.",
    )
