"""Principal components, a baseline without invariance."""

import numpy as np
from matplotlib.axes import Axes

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, Result

MOST_COMPONENTS = 6


def components(result: Result, config: ReportConfig) -> Drawing:
    """Component images, explained variance, and the sites in the plane of the first two components."""
    baseline, sites = result["baseline"], result[""]
    pictures = baseline["component"].to_numpy()[:MOST_COMPONENTS]
    names = [style.short(str(name)) for name in result["traversal"][dims.CHANNEL].to_numpy()]
    size = 0.9 * style.WIDTH / len(pictures)
    tall = min(len(names) * size, 3.4) + 0.4
    figure = style.new_figure(tall + 2.9)
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=(tall, 2.9)))
    _sheet(top.subplots(), pictures, names)
    share, plane, angle = bottom.subplots(1, 3)
    _shares(share, baseline["explained_variance_ratio"].to_numpy())
    keep = images.evenly(sites.sizes[dims.SITE], images.MAX_DOTS)
    scores = sites["pca"].to_numpy()[keep]
    second = scores[:, min(1, scores.shape[1] - 1)]
    colours = style.class_colours(sites.sizes["cluster_name"])(sites["cluster"].to_numpy()[keep])
    plane.scatter(scores[:, 0], second, c=colours, s=7, lw=0, alpha=0.75, rasterized=True)
    plane.set(xlabel="component 1", ylabel="component 2", title="sites, by cluster")
    _by_direction(angle, scores[:, 0], second, result, keep)
    return Drawing(
        "components",
        "Principal component analysis",
        "Linear baseline: patches are sums of component images. PCA is not rotation-invariant: the same pattern in "
        "another orientation needs other components. Typical signs are pairs of wave-like components, and a ring of sites "
        "whose colour follows the orientation. Sites of one cluster of the model are then spread out.",
        figure,
        _numbers(result),
    )


def _sheet(axis: Axes, pictures: np.ndarray, names: list[str]) -> None:
    """Components from left to right, channels from top to bottom."""
    bounds = style.limits(pictures, symmetric=True)
    sheet = images.mosaic(pictures.swapaxes(0, 1), gap=images.GAP)
    axis.imshow(sheet, cmap="PuOr", vmin=bounds[0], vmax=bounds[1])
    size = pictures.shape[-1] + images.GAP
    numbers = [f"component {number + 1}" for number in range(len(pictures))]
    axis.set_xticks((np.arange(len(pictures)) + 0.5) * size, labels=numbers)
    axis.set_yticks((np.arange(len(names)) + 0.5) * size, labels=names)
    axis.tick_params(length=0, labelcolor=style.INK)
    axis.xaxis.tick_top()
    axis.spines[:].set_visible(False)


def _shares(axis: Axes, ratio: np.ndarray) -> None:
    number = np.arange(1, len(ratio) + 1)
    axis.bar(number, 100 * ratio, color=style.ACCENT, width=0.7, label="single")
    axis.plot(
        number, 100 * ratio.cumsum(), color=style.SECOND, marker="o", ms=3.5, label="cumulative"
    )
    axis.set(
        xlabel="component",
        ylabel="variance [%]",
        title="explained variance",
        xticks=number,
        ylim=(0, 100),
    )
    axis.legend(loc="upper left")


def _by_direction(
    axis: Axes, first: np.ndarray, second: np.ndarray, result: Result, keep: np.ndarray
) -> None:
    sites = result[""]
    if "wall_normal" not in sites or not np.isfinite(sites["wall_normal"].to_numpy()).any():
        axis.set_axis_off()
        return
    colour = sites["wall_normal"].to_numpy()[keep]
    dots = axis.scatter(
        first,
        second,
        c=colour,
        cmap=style.cyclic(),
        vmin=-np.pi,
        vmax=np.pi,
        s=7,
        lw=0,
        rasterized=True,
    )
    bar = axis.figure.colorbar(dots, ax=axis, fraction=0.05, pad=0.02, label="wall direction [°]")
    bar.set_ticks([-np.pi, 0, np.pi], labels=["−180", "0", "180"])
    bar.outline.set_visible(False)
    axis.set(xlabel="component 1", ylabel="component 2", title="sites, by wall direction")


def _numbers(result: Result) -> str:
    summary, n_compared = result["summary"], int(result[""]["pca_error"].attrs["n_components"])
    parts = [
        f"Explained variance of {style.count(n_compared, 'component')} {style.number(100 * float(summary['pca_share']))} %"
    ]
    for name, words in (("pca_error", "PCA"), ("reconstruction_error", "the model")):
        parts.append(f"median error of {words} {style.number(float(summary[name]))}")
    return "; ".join(parts) + "."
