"""The clusters of sites: where they are, what they look like, and how their number was chosen."""

import numpy as np
import xarray as xr

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result, Table
from invae.report.kind import label_of, page_of
from invae.results.reading import kind_of

MOST_COLUMNS = 3
MOST_CLASSES = 8


def classes_of(result: Result) -> tuple[np.ndarray, list[str]]:
    """Class of every site and names of the classes: model classes if there are any, else clusters."""
    if "classes" in result:
        names = [style.short(str(name)) for name in result["classes"]["class_name"].to_numpy()]
        return result[""]["joint_class"].to_numpy(), names
    count = result[""].sizes["cluster_name"]
    return result[""]["cluster"].to_numpy(), [str(number + 1) for number in range(count)]


def on_image(result: Result, config: ReportConfig) -> Drawing:
    """The cluster of every site on the image."""
    sites, maps = result[""], images.frames_of(result)
    n_classes = sites.sizes["cluster_name"]
    cmap, bounds = style.class_colours(n_classes), (-0.5, n_classes - 0.5)
    frames = images.with_sites(result, min(config.max_frames, MOST_COLUMNS))
    columns = len(frames) if n_classes == 1 else max(2, len(frames))
    figure = style.new_figure(images.panel_height(maps, max(columns, 2)) + 0.1)
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    for axis, index in zip(axes, frames, strict=False):
        images.prepare(
            axis,
            maps,
            title=f"cluster, {images.frame_title(maps, int(index))}",
            bar=axis is axes[0],
        )
        images.show_background(axis, result, int(index))
        values = sites["cluster"].to_numpy().astype(float)
        images.show_sites(axis, result, int(index), values, cmap=cmap, bounds=bounds)
    ticks = {float(number): str(number + 1) for number in range(n_classes)}
    style.colour_bar(
        figure, axes[: len(frames)], cmap=cmap, bounds=bounds, label="cluster", ticks=ticks
    )
    counts = np.bincount(sites["cluster"].to_numpy(), minlength=n_classes)
    if len(frames) < columns:
        axes[1].barh(np.arange(n_classes), counts, color=cmap(np.arange(n_classes)), height=0.7)
        axes[1].set(
            yticks=range(n_classes),
            yticklabels=range(1, n_classes + 1),
            xlabel=kind_of(result).sites,
            ylabel="cluster",
        )
        axes[1].invert_yaxis()
    shares = ", ".join(
        f"{number + 1}: {style.number(100 * count / counts.sum())} %"
        for number, count in enumerate(counts)
    )
    return Drawing(
        "classes",
        "Clusters on the image",
        "Sites with similar content have the same colour. Clusters are the components of a Gaussian mixture in latent "
        "space, numbered by size. Sites near a boundary belong to both clusters to some degree.",
        figure,
        f"Share of {kind_of(result).sites} by cluster: {shares}.",
        _descriptor_table(result),
    )


def _descriptor_table(result: Result) -> Table:
    """Mean ± sd of every descriptor in every cluster."""
    sites, label = result[""], result[""]["cluster"].to_numpy()
    known = [
        name
        for name in page_of(result).descriptors
        if name in sites and np.isfinite(sites[name].to_numpy()).any()
    ]
    heads = [style.in_units(label_of(result, n), sites[n].attrs.get("units")) for n in known]
    rows = []
    for number in range(sites.sizes["cluster_name"]):
        here = label == number
        cells = [str(number + 1), style.number(float(here.sum()))]
        cells += [_mean_and_sd(sites[name].to_numpy()[here]) for name in known]
        rows.append(cells)
    note = "Mean ± standard deviation over the sites of a cluster."
    return Table(["cluster", kind_of(result).sites, *heads], rows, note)


def _mean_and_sd(values: np.ndarray) -> str:
    """Mean ± standard deviation of the finite values."""
    values = values[np.isfinite(values)]
    return style.with_sd(float(values.mean()), float(values.std())) if values.size else "–"


def patches(result: Result, config: ReportConfig) -> Drawing:
    """Mean upright patch of each cluster, and the decoded mean content."""
    clusters = result["clusters"]
    n_classes = min(clusters.sizes["cluster_name"], MOST_CLASSES)
    names = [style.short(str(name)) for name in clusters[dims.CHANNEL].to_numpy()]
    pictures = [clusters[name].to_numpy() for name in ("mean_patch", "decoded")]
    cmap, bounds = style.patch_colours(result["examples"]["patch"].to_numpy())
    columns = min(n_classes, 4 if len(names) > 1 else 8)
    side = 0.86 * style.WIDTH / columns / len(names)
    height = min(2.0, side) * 2 + 0.55
    figure, axes = style.panels(n_classes, columns=columns, panel_height=height)
    colours = style.class_colours(n_classes)
    size = pictures[0].shape[-1] + images.GAP
    for number, axis in enumerate(axes):
        sheet = images.mosaic(np.stack([part[number] for part in pictures]), gap=images.GAP)
        axis.imshow(sheet, cmap=cmap, vmin=bounds[0], vmax=bounds[1])
        axis.set_xticks(np.arange(len(names)) * size + size / 2, labels=names)
        axis.set_yticks(
            (size / 2, 1.5 * size), labels=("mean", "decoded") if number == 0 else ("", "")
        )
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_facecolor("#eef0f2")
        axis.set_title(f"cluster {number + 1}", color=colours(number), fontweight="bold")
    style.colour_bar(figure, axes, cmap=cmap, bounds=bounds, label="value")
    counts = ", ".join(
        f"{i + 1}: {style.number(float(n))}" for i, n in enumerate(clusters["n_sites"].to_numpy())
    )
    return Drawing(
        "class_patches",
        "Mean and decoded patch of each cluster",
        "Mean: average of the most typical patches of the cluster, each rotated and shifted upright. Decoded: the model's "
        "patch for the mean content of the cluster. The model describes the data well where the two agree.",
        figure,
        f"Number of {kind_of(result).sites} by cluster: {counts}.",
    )


def bic(result: Result, config: ReportConfig) -> Drawing:
    """The BIC against the number of clusters."""
    baseline = result["baseline"]
    number, values = baseline["n_classes"].to_numpy(), baseline["bic"].to_numpy()
    if len(number) < 2:
        raise LeftOut("Number of clusters", "too few sites for more than one cluster")
    chosen = int(baseline.attrs["n_classes"])
    above = values - values.min()
    height = float(above[number == chosen][0])
    figure = style.new_figure(2.7)
    axis = figure.subplots()
    axis.plot(number, above, color=style.ACCENT, marker="o", ms=5)
    axis.plot(chosen, height, marker="o", ms=11, mfc="none", mec=style.SECOND, mew=2)
    axis.annotate(
        f"chosen: {chosen}",
        (chosen, height),
        xytext=(0, 14),
        textcoords="offset points",
        ha="center",
        color=style.SECOND,
    )
    axis.set(
        xlabel="number of clusters",
        ylabel="BIC − minimum",
        xticks=number,
        title="Bayesian information criterion",
    )
    axis.grid(axis="y")
    return Drawing(
        "bic",
        "Number of clusters",
        "Lower BIC is better; a difference above 10 is strong evidence. Neighbouring patches overlap and are not "
        "independent, so the BIC tends to choose too many clusters.",
        figure,
        _about_the_choice(baseline),
    )


def _about_the_choice(baseline: xr.Dataset) -> str:
    chosen = int(baseline.attrs["n_classes"])
    lowest = int(baseline["n_classes"][int(baseline["bic"].to_numpy().argmin())])
    parts = [f"{style.count(chosen, 'cluster')} chosen"]
    if lowest != chosen:
        parts.append(f"{lowest} has a lower BIC, but a cluster of only a few sites")
    if baseline.attrs["turns"]:
        parts.append("the BIC has a minimum in the tested range")
    else:
        parts.append(
            "the BIC has no minimum in the tested range: the content is continuous or has more clusters"
        )
    agreement = style.number(float(baseline.attrs["agreement"]))
    return "; ".join(parts) + f"; adjusted Rand index between two seeds {agreement} (1: identical)."
