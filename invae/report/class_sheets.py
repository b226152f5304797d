"""The discrete classes of a model: decoded class, member patches, certainty."""

import numpy as np
import xarray as xr

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.latents import class_titles
from invae.verdict.findings import WITHHELD

MOST_CLASSES = 12
BINS = np.linspace(0, 1, 41)
SURE = 0.9
NO_CLASSES = "the model has no classes"
VOTE = "share of the nearest sites in the same class"
OF_PROBABILITIES = (
    "Probability of the most likely class of each site. Sites far below 1 lie between classes: mixtures, noise, or two classes "
    "for one pattern. The vertical axis is logarithmic. The probability is the model's own: a class can be certain and wrong. "
    "The neighbours are the nearest sites by a model that knows no classes."
)
OF_VOTES = (
    "The probabilities of the model are withheld, because the verdict on the classes is red: they would be near 1 and wrong. "
    "Instead: share of the nearest sites, by a model that knows no classes, that are in the same class. The vertical axis is logarithmic."
)


def sheets(result: Result, config: ReportConfig) -> Drawing:
    """For every class: decoded class, mean patch, and some patches with their reconstructions."""
    group = result.get("classes")
    if group is None:
        raise LeftOut("Model classes", NO_CLASSES)
    n_classes = min(group.sizes[dims.CLASS], MOST_CLASSES)
    parts = {name: group[name].to_numpy()[:n_classes] for name in ("patch", "reconstruction")}
    both = np.stack([part[:, :, 0] for part in parts.values()], axis=1)
    single = np.stack([group[n].to_numpy()[:n_classes, 0] for n in ("decoded", "mean_patch")], 1)
    columns = 2 if n_classes > 1 else 1
    cmap, bounds = style.patch_colours(parts["patch"])
    figure, axes = style.panels(n_classes, columns=columns, panel_height=1.75)
    titles, colours = class_titles(result), style.class_colours(n_classes)
    size = both.shape[-1] + images.GAP
    for number, axis in enumerate(axes):
        row = np.concatenate([single[number][:, None], both[number]], axis=1)
        sheet = images.mosaic(row, gap=images.GAP)
        axis.imshow(sheet, cmap=cmap, vmin=bounds[0], vmax=bounds[1])
        axis.axvline(size - images.GAP / 2 - 0.5, color="white", lw=4)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        axis.set_facecolor("#eef0f2")
        count = style.number(float(group["n_sites"][number]))
        axis.set_title(
            f"{titles[number]} ({count} sites)", color=colours(number), fontweight="bold"
        )
    counts = group["n_sites"].to_numpy()
    empty = int((counts == 0).sum())
    return Drawing(
        "model_classes",
        "Model classes",
        "Left: the decoded class (top) and the mean of its most typical patches, each rotated and shifted upright "
        "(bottom). Right: random patches of the class (top) and their reconstructions with their own pose (bottom).",
        figure,
        f"{style.count(len(counts), 'class')}, {empty} without sites.",
    )


def probability(result: Result, config: ReportConfig) -> Drawing:
    """Histogram of the probability of the most likely class."""
    sites = result[""]
    if "class_probability" not in sites.variables:
        raise LeftOut("Class certainty", NO_CLASSES)
    withheld = bool(sites["class_probability"].attrs.get(WITHHELD, 0))
    best, label = _certainty(sites, withheld=withheld)
    n_classes = sites.sizes[dims.CLASS]
    figure = style.new_figure(2.7)
    histogram, share = figure.subplots(1, 2, width_ratios=(1.6, 1))
    colours = style.class_colours(n_classes)
    piles = [best[label == number] for number in range(n_classes)]
    shown = [colours(number) for number in range(n_classes)]
    histogram.hist(piles, bins=list(BINS), stacked=True, color=shown, lw=0)
    low = max(0.0, min(1 / n_classes - 0.02, float(best.min(initial=1.0))))
    said = VOTE if withheld else "probability of the most likely class"
    histogram.set(
        xlabel=said,
        ylabel="sites",
        yscale="symlog",
        xlim=(low, 1.0),
    )
    powers = [0, *(10**k for k in range(len(str(len(best)))))]
    histogram.set_yticks(powers, labels=[style.number(float(power)) for power in powers])
    histogram.minorticks_off()
    sure = np.array([(pile >= SURE).mean() if len(pile) else np.nan for pile in piles])
    titles = class_titles(result) if "class_2" not in sites.variables else [""] * n_classes
    names = [titles[k] or f"class {k + 1}" for k in range(n_classes)]
    share.barh(np.arange(n_classes), np.nan_to_num(sure), color=shown, height=0.7)
    share.set_yticks(range(n_classes), labels=names)
    number = "vote" if withheld else "probability"
    share.set(xlim=(0, 1), xlabel=f"share of sites with {number} ≥ {SURE}")
    share.invert_yaxis()
    share.tick_params(axis="y", length=0)
    return Drawing(
        "class_probability",
        "Class certainty",
        OF_VOTES if withheld else OF_PROBABILITIES,
        figure,
        _certainty_numbers(sites, withheld=withheld),
    )


def _certainty(sites: xr.Dataset, *, withheld: bool) -> tuple[np.ndarray, np.ndarray]:
    """Certainty and class of the sites: the highest probability, or the neighbours' vote where probabilities are withheld."""
    label = sites["class"].to_numpy()
    if not withheld:
        return sites["class_probability"].to_numpy().max(axis=1), label
    vote = _votes(sites)
    known = np.isfinite(vote)
    return vote[known], label[known]


def _votes(sites: xr.Dataset) -> np.ndarray:
    """Share of the neighbours that are in the class of the site; NaN where it is not known."""
    if "class_vote" not in sites.variables:
        return np.full(sites.sizes[dims.SITE], np.nan)
    label = sites["class"].to_numpy()
    return sites["class_vote"].to_numpy()[np.arange(len(label)), label]


def _certainty_numbers(sites: xr.Dataset, *, withheld: bool) -> str:
    """Probabilities, and the neighbours' vote beside them."""
    parts = []
    if withheld:
        parts.append("Probabilities are withheld: the verdict on the classes is red")
    else:
        best = sites["class_probability"].to_numpy().max(axis=1)
        sure = style.number(100 * float((best >= SURE).mean()))
        parts.append(f"The most likely class has a probability ≥ {SURE} for {sure} % of the sites")
    vote = _votes(sites)
    if np.isfinite(vote).any():
        mean = style.number(100 * float(np.nanmean(vote)))
        parts.append(f"{mean} % of the neighbours are in the class of a site")
    elif withheld:
        parts.append("the neighbours' vote is not known for this model")
    return "; ".join(parts) + "."
