"""Figures of the latent space that image and spectrum share: both planes, partners found, numbers read."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from invae.config import ReportConfig
from invae.report import style
from invae.report.figure import Drawing, Result
from invae.report.style import number

NUMBER = "truth_n_particles"
JOINED = 60
"""Pairs whose two places are joined by a line, at most."""


def both_planes(result: Result, config: ReportConfig) -> Drawing:
    """What image and spectrum say of the latent variables, in one plane; lines join partners."""
    sites = result[""]
    planes = {"image": sites["plane"].to_numpy(), "spectrum": sites["plane_spectrum"].to_numpy()}
    figure = style.new_figure(3.4)
    axes = list(figure.subplots(1, 3, sharex=True, sharey=True))
    for axis, (name, place) in zip(axes, planes.items(), strict=False):
        _dots(axis, place, sites, config)
        axis.set(title=f"from the {name}", xlabel="first direction")
    joined = np.linspace(0, len(planes["image"]) - 1, min(JOINED, len(planes["image"]))).astype(int)
    ends = np.stack([place[joined] for place in planes.values()], axis=1)
    axes[2].plot(ends[..., 0].T, ends[..., 1].T, color=style.MUTED, lw=0.7)
    for name, colour in (("image", style.ACCENT), ("spectrum", style.SECOND)):
        axes[2].scatter(*planes[name][joined].T, s=10, color=colour, lw=0, label=name, zorder=3)
    axes[2].set(title="partners", xlabel="first direction")
    axes[2].legend()
    axes[0].set_ylabel("second direction")
    apart = np.linalg.norm(planes["image"] - planes["spectrum"], axis=1)
    spread = np.sqrt(planes["image"].var(0).sum() + planes["spectrum"].var(0).sum())
    return Drawing(
        "both_planes",
        "Latent variables of image and spectrum",
        "One dot per pair, by the two directions in which the latent variables of the images vary most. "
        + _colour_words(sites)
        + " Right: lines join the two places of a pair. The network has learned from all of these pairs.",
        figure,
        f"Median distance of partners: {number(float(np.median(apart)))}; of pairs drawn at random about {number(float(spread))}.",
    )


def _dots(axis: Axes, place: np.ndarray, sites: xr.Dataset, config: ReportConfig) -> None:
    if NUMBER in sites.coords:
        values = sites[NUMBER].to_numpy().astype(int)
        names, index = np.unique(values, return_inverse=True)
        colours = style.class_colours(len(names))
        for k, name in enumerate(names):
            axis.scatter(*place[index == k].T, s=8, color=colours(k), lw=0, label=str(name))
        axis.legend(title="number")
        return
    name = "measured_peak" if "measured_peak" in sites else "measured_band"
    values = sites[name].to_numpy()
    low, high = style.limits(values)
    axis.scatter(*place.T, c=values, s=8, lw=0, cmap=config.colormap, vmin=low, vmax=high)


def _colour_words(sites: xr.Dataset) -> str:
    if NUMBER in sites.coords:
        return "The colour is the true number of particles."
    name = "position of the maximum" if "measured_peak" in sites else "integral"
    return f"The colour is the {name} of the measured spectrum."


def found(result: Result, config: ReportConfig) -> Drawing:
    """Share of partners among the nearest candidates."""
    table = result["partners"]
    within = table["within"].to_numpy()
    figure = style.new_figure(3.0)
    axis = figure.subplots()
    for name, words, colour in (
        ("images_found", "images of spectra", style.ACCENT),
        ("spectra_found", "spectra of images", style.SECOND),
        ("by_chance", "drawn at random", style.MUTED),
    ):
        dash = ":" if name == "by_chance" else "-"
        axis.plot(within, table[name], dash, marker=".", color=colour, label=words)
    axis.set(xscale="log", ylim=(0, 1), xlabel="nearest candidates", ylabel="share found")
    axis.set_xticks(within, [str(k) for k in within])
    axis.legend()
    fewest, most = (int(table.attrs[name]) for name in ("fewest", "most"))
    among = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return Drawing(
        "partners",
        "Partners found",
        f"The partner of a spectrum was looked for among {among} pairs that the network had not seen; the nearest in the latent space come first.",
        figure,
        f"The nearest is the partner for {100 * float(table['images_found'][0]):.0f} % of the spectra, "
        f"by chance for {100 * float(table['by_chance'][0]):.1f} %.",
    )


def numbers(result: Result, config: ReportConfig) -> Drawing:
    """Confusion of the numbers that are read from the latent variables."""
    table = result["numbers"]
    names = [str(name) for name in table["true"].to_numpy()]
    figure = style.new_figure(3.0)
    axes = list(figure.subplots(1, 2))
    for axis, (name, words) in zip(
        axes,
        (("from_spectrum", "from the spectrum"), ("from_image", "from the image")),
        strict=True,
    ):
        shares = table[name].to_numpy()
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*shares.shape):
            colour = "white" if shares[row, column] > 0.6 else style.INK
            axis.text(
                column, row, f"{shares[row, column]:.2f}", ha="center", va="center", color=colour
            )
        axis.set_xticks(range(len(names)), names)
        axis.set_yticks(range(len(names)), names)
        axis.set(title=words, xlabel="read", ylabel="true number")
    right = np.diagonal(table["from_spectrum"].to_numpy())
    return Drawing(
        "numbers",
        "Number of particles read from the latent variables",
        "The reader has learned from latent variables of images. Left: it was given those of spectra of other pairs. Right: those of images of "
        "other pairs.",
        figure,
        "Read right from the spectrum: "
        + ", ".join(f"{n}: {100 * r:.0f} %" for n, r in zip(names, right, strict=True))
        + ".",
    )
