"""Comparison with ground truth: classes, angles, numbers."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.latent_plane import ANGLE_TICKS

LABELLINGS = {
    "class": "model classes",
    "cluster": "clusters of content",
    "pca": "PCA",
    "ica": "ICA",
    "nmf": "NMF",
    "kmeans": "k-means on pixels",
    "gmm": "Gaussian mixture",
    "umap": "UMAP",
}
"""Labellings of the sites, and their names in figures."""
SPACES = {"latents": "latent variables", "pca": "PCA"}
DARK = 0.55
"""Numbers on larger shares are white."""
MOST_TABLES = 3


def confusion(result: Result, config: ReportConfig) -> Drawing:
    """Found against true classes, and the agreement of every labelling."""
    table = result.get("confusion")
    if table is None:
        raise LeftOut("Found and true classes", "the recording has no true classes")
    names = [str(name) for name in table["labelling"].to_numpy()]
    own = [name for name in names if name in ("class", "cluster")]
    shown = [*own, *(name for name in names if name not in own)][:MOST_TABLES]
    n_found = table.sizes["found"]
    figure = style.new_figure(1.5 + 0.42 * min(n_found, 12))
    axes = figure.subplots(1, len(shown) + 1, width_ratios=[1.0] * len(shown) + [0.8])
    for axis, name in zip(axes, shown, strict=False):
        show_table(axis, table.sel(labelling=name))
        axis.set_title(LABELLINGS.get(name, name))
        axis.set_ylabel("found class" if axis is axes[0] else "")
    _show_agreement(axes[-1], table)
    accuracy = ", ".join(
        f"{LABELLINGS.get(name, name)} {style.number(float(table['accuracy'].sel(labelling=name)))}"
        for name in names
    )
    return Drawing(
        "confusion",
        "Found and true classes",
        f"Rows are found classes, columns are true classes ({table.attrs['known']}). Numbers count sites; the shade is the share of "
        "the true class. Rows are ordered by their best match, so a perfect result is a dark diagonal. Right: accuracy is the share "
        "of sites on the diagonal; the adjusted Rand index is 1 for identical classes and 0 for chance.",
        figure,
        f"Accuracy: {accuracy}.",
    )


def show_table(axis: Axes, found: xr.Dataset, *, numbers: bool = True) -> None:
    """One confusion matrix; rows are ordered by the true class that they match."""
    count, match = found["count"].to_numpy(), found["match"].to_numpy()
    rows = np.flatnonzero((count >= 0).all(axis=1))
    rows = rows[np.argsort(np.where(match[rows] < 0, count.shape[1], match[rows]), kind="stable")]
    table = count[rows]
    share = table / np.maximum(table.sum(axis=0), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    known = [style.short(str(name)) for name in found["known"].to_numpy()]
    axis.set_xticks(range(len(known)), labels=known, rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), labels=[str(row + 1) for row in rows])
    axis.tick_params(length=0, labelcolor=style.INK)
    axis.spines[:].set_visible(False)
    for place in np.ndindex(table.shape) if numbers else ():
        if table[place]:
            colour = "white" if share[place] > DARK else style.INK
            text = style.number(float(table[place]))
            axis.text(place[1], place[0], text, ha="center", va="center", color=colour, fontsize=8)


def _show_agreement(axis: Axes, table: xr.Dataset) -> None:
    names = [LABELLINGS.get(str(name), str(name)) for name in table["labelling"].to_numpy()]
    height, place = 0.36, np.arange(len(names))
    for offset, name, words, colour in (
        (-0.5, "accuracy", "accuracy", style.ACCENT),
        (0.5, "adjusted_rand", "adjusted Rand index", "#9cc9e6"),
    ):
        values = np.clip(table[name].to_numpy(), 0, 1)
        axis.barh(place + offset * height, values, height=height, color=colour, label=words)
    axis.set(xlim=(0, 1), title="agreement")
    axis.set_yticks(place, labels=names)
    axis.invert_yaxis()
    axis.legend(loc="upper center", bbox_to_anchor=(0.2, -0.1), ncols=2, fontsize=8)
    axis.grid(axis="x")
    axis.tick_params(axis="y", length=0)


def angle(result: Result, config: ReportConfig) -> Drawing:
    """Inferred against true angle, one panel per true class."""
    sites, scores = result[""], result.get("known", xr.Dataset())
    if "angle_raw" not in scores:
        raise LeftOut("Inferred and true angles", "the recording has no true angles")
    names = [str(name) for name in scores["known"].to_numpy()]
    label = _known_label(result, len(names))
    figure, axes = style.panels(len(names), columns=min(4, len(names)), panel_height=2.9)
    inferred = sites["angle"].to_numpy()
    true = sites["truth_angle"].to_numpy()
    joint = sites["joint_class" if "joint_class" in sites.variables else "cluster"].to_numpy()
    colours = style.class_colours(int(joint.max()) + 1)
    for number, axis in enumerate(axes):
        here = np.flatnonzero(label == number)
        here = here[images.evenly(len(here), 2000)]
        wrapped = [np.angle(np.exp(1j * values[here])) for values in (true, inferred)]
        axis.scatter(*wrapped, c=colours(joint[here]), s=6, lw=0, alpha=0.6, rasterized=True)
        score = style.number(float(scores["angle_by_class"][number]), 3)
        axis.set_title(f"{style.short(names[number])}: {score}")
        axis.set(xlabel="true angle [°]", xlim=(-3.3, 3.3), ylim=(-3.3, 3.3))
        axis.set_xticks(list(ANGLE_TICKS), labels=list(ANGLE_TICKS.values()))
        axis.set_yticks(list(ANGLE_TICKS), labels=list(ANGLE_TICKS.values()))
        axis.set_box_aspect(1)
    axes[0].set_ylabel("inferred angle [°]")
    return Drawing(
        "known_angle",
        "Inferred and true angles",
        "Each dot is one site, coloured by its found class. A line parallel to the diagonal means correct angles up to an "
        "offset, which is arbitrary for each class. Several parallel lines occur for rotationally symmetric patterns, and "
        "if a pattern was split into several classes. The number above each panel is the agreement up to symmetry and "
        "offset (1: perfect, 0: none).",
        figure,
        _angle_numbers(scores, names),
    )


def _known_label(result: Result, n_known: int) -> np.ndarray:
    """True class of each site, numbered as in the scores."""
    sites = result[""]
    if "confusion" not in result:
        return np.zeros(sites.sizes[dims.SITE], dtype=np.int64)
    label = sites[f"truth_{result['confusion'].attrs['known']}"].to_numpy().astype(np.int64)
    assert label.max() < n_known
    return label


def _angle_numbers(scores: xr.Dataset, names: list[str]) -> str:
    parts = []
    for number, name in enumerate(names):
        raw, folded = (float(scores[f"angle_{kind}"][number]) for kind in ("raw", "symmetric"))
        turns = int(scores["symmetry"][number])
        text = f"{name} {style.number(raw)}"
        parts.append(
            text + (f" ({style.number(folded)} up to 1/{turns} turn)" if turns > 1 else "")
        )
    return f"Agreement with one common offset: {', '.join(parts)}."


def reading(result: Result, config: ReportConfig) -> Drawing:
    """R² of a linear readout of true numbers from the latent variables."""
    scores = result.get("known", xr.Dataset())
    if "r2" not in scores:
        raise LeftOut("Linear readout of true quantities", "the recording has no true quantities")
    spaces = [str(name) for name in scores["space"].to_numpy()]
    variables = [str(name) for name in scores["variable"].to_numpy()]
    rows = [(space, kind) for space in spaces for kind in ("r2", "r2_by_class")]
    figure = style.new_figure(0.9 + 0.75 * len(variables))
    axis = figure.subplots()
    height, colours = 0.8 / len(rows), (style.ACCENT, "#9cc9e6", "#7a838c", "#c8cdd2")
    for index, (space, kind) in enumerate(rows):
        values = scores[kind].sel(space=space).to_numpy()
        words = SPACES.get(space, space) + (", within found classes" if kind != "r2" else "")
        place = np.arange(len(variables)) + (index - (len(rows) - 1) / 2) * height
        length = np.clip(values, 0, 1)
        axis.barh(place, length, height=height, color=colours[index % 4], label=words)
        for x, y, value in zip(length, place, values, strict=True):
            text = f"{value:.2f}".replace("-", "−")
            axis.text(x + 0.008, y, text, va="center", fontsize=7.5, color=style.MUTED)
    names = [style.short(name.replace("_", " ")) for name in variables]
    axis.set_yticks(range(len(variables)), labels=names)
    axis.set(xlim=(0, 1.08), xlabel="R², held-out sites")
    axis.invert_yaxis()
    axis.grid(axis="x")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Drawing(
        "known_numbers",
        "Linear readout of true quantities",
        "R² of a linear regression of a true quantity on the latent variables, on held-out sites. Within found classes: "
        "one regression per class. PCA with the same number of components is shown for comparison.",
        figure,
        _reading_numbers(scores, variables),
    )


def _reading_numbers(scores: xr.Dataset, variables: list[str]) -> str:
    best = np.fmax(scores["r2"].to_numpy(), scores["r2_by_class"].to_numpy())[0]
    pairs = zip(variables, best, strict=True)
    text = ", ".join(f"{name.replace('_', ' ')} {style.number(float(v), 2)}" for name, v in pairs)
    return f"Best R² from the latent variables: {text}."
