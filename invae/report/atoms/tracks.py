"""Movies of atoms: latent variables over time, atom by atom."""

import numpy as np
from matplotlib.axes import Axes

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.classes import classes_of
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.latent_plane import shown_dimensions

TITLE = "Latent variables over time"
MOST_LINES = 6
"""Number of atoms that are drawn as lines: those that change most."""
MOST_ROWS = 150
"""Largest number of atoms in the left panel."""


def over_time(result: Result, config: ReportConfig) -> Drawing:
    """Content over frames: all atoms as an image, and the largest changes as lines."""
    tracks = result["tracks"]
    if not tracks.sizes["track"]:
        raise LeftOut(TITLE, "no atom was detected in three frames")
    dimension = shown_dimensions(result)[0]
    change = tracks["content_change"].to_numpy()
    order = np.argsort(-np.linalg.norm(change / change.mean(axis=0), axis=1), kind="stable")
    table, numbers = _table(result, tracks["track"].to_numpy()[order], dimension)
    bounds = style.limits(table)
    figure = style.new_figure(3.6)
    sheet, lines, place = figure.subplots(1, 3, width_ratios=(1.2, 1.2, 1))
    style_of_image = {"vmin": bounds[0], "vmax": bounds[1], "cmap": config.colormap}
    edges = (numbers[0] - 0.5, numbers[-1] + 0.5, min(len(table), MOST_ROWS) - 0.5, -0.5)
    sheet.imshow(table[:MOST_ROWS], aspect="auto", extent=edges, **style_of_image)
    sheet.set(xlabel="frame", ylabel="atoms, largest change first", title="all atoms")
    label = f"content {dimension + 1}"
    style.colour_bar(figure, sheet, cmap=config.colormap, bounds=bounds, label=label)
    most = range(min(MOST_LINES, len(table)))
    for row in most:
        lines.plot(numbers, table[row], marker="o", ms=3, color=style.CLASSES[row], label=row + 1)
    lines.set(xlabel="frame", ylabel=label, title="largest changes")
    lines.legend(ncols=6, loc="upper center", bbox_to_anchor=(0.5, -0.15), columnspacing=1)
    _places(place, result, order[: len(most)])
    return Drawing(
        "tracks",
        TITLE,
        "Each row of the left panel is one atom, tracked over the frames after drift correction; white means that it was "
        "not detected. A constant colour is an unchanged environment. A step in colour is an event: a neighbouring atom "
        "appeared, disappeared or changed. The atoms that change most are plotted in the middle and numbered on the "
        "image.",
        figure,
        _numbers(result),
    )


def _table(result: Result, tracks: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """One content dimension of some tracks over frames (track, frame), and the frames' numbers."""
    sites = result[""]
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()[:, dimension]
    frames = result["frames"][dims.FRAME].to_numpy()
    row_of = np.full(int(sites["track"].max()) + 1, -1)
    row_of[tracks] = np.arange(len(tracks))
    row = row_of[sites["track"].to_numpy()]
    known = row >= 0
    table = np.full((len(tracks), len(frames)), np.nan)
    table[row[known], np.searchsorted(frames, sites[dims.FRAME].to_numpy()[known])] = content[known]
    return table, frames


def _places(axis: Axes, result: Result, chosen: np.ndarray) -> None:
    """Draw the chosen tracks on the first frame, numbered."""
    frames, tracks = result["images"], result["tracks"]
    images.prepare(axis, frames, title="positions", bar=True)
    images.show_background(axis, result, 0)
    for number, index in enumerate(chosen):
        x, y = (float(tracks[name][index]) for name in ("x", "y"))
        axis.plot(x, y, marker="o", ms=7, mfc="none", mec=style.CLASSES[number], mew=1.6)
        text = {"xytext": (4, 4), "textcoords": "offset points", "fontweight": "bold"}
        axis.annotate(str(number + 1), (x, y), color=style.CLASSES[number], **text)


def _numbers(result: Result) -> str:
    tracks = result["tracks"]
    length = float(np.median(tracks["n_frames"]))
    text = f"{tracks.sizes['track']} atoms detected in at least three frames, median {style.number(length)} frames"
    if "class_changes" in tracks:
        changed = int((tracks["class_changes"].to_numpy() > 0).sum())
        text += f"; {changed} change their class ({len(classes_of(result)[1])} classes)"
    return text + "."
