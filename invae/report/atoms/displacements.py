"""Displacements of atoms from the mean position of their neighbours, on the image."""

import numpy as np
from matplotlib.axes import Axes

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.latent_plane import ANGLE_TICKS

DIMMER = 0.8
"""Largest intensity of an atom of the dimmer kind, relative to its neighbours."""
SHARE = 0.2
"""Smallest share of dimmer atoms that counts as a kind of its own."""
ARROW = 0.7
"""Length of a median arrow, in distances of neighbouring arrows."""
TITLE = "Displacement from the nearest neighbours"


def displacements(result: Result, config: ReportConfig) -> Drawing:
    """Magnitude and direction of the displacements."""
    sites, frames = result[""], result["images"]
    index = int(images.with_sites(result, 2)[-1])
    here = sites[dims.FRAME].to_numpy() == int(frames[dims.FRAME][index])
    is_shown, kind = _shown_atoms(result)
    size = np.where(is_shown, sites["displacement"].to_numpy(), np.nan)
    if not np.isfinite(size[here]).any():
        raise LeftOut(TITLE, "no atom has all of its neighbours")
    moved = [sites[f"displacement_{axis}"].to_numpy() for axis in (dims.Y, dims.X)]
    direction = np.where(is_shown, np.arctan2(-moved[0], moved[1]), np.nan)
    figure, axes = style.panels(2, columns=2, panel_height=images.panel_height(frames, 2))
    unit = sites["displacement"].attrs.get("units")
    far, unit = style.readable(size, unit)
    bounds = (0.0, float(np.nanpercentile(far, 99)))
    panels = (
        ("magnitude", far, config.colormap, bounds, style.in_units("displacement", unit), None),
        ("direction", direction, style.cyclic(), (-np.pi, np.pi), "direction [°]", ANGLE_TICKS),
    )
    for axis, (title, values, cmap, limits, label, ticks) in zip(axes, panels, strict=True):
        images.prepare(axis, frames, title=title, bar=axis is axes[0])
        images.show_background(axis, result, index)
        images.show_sites(axis, result, index, values, cmap=cmap, bounds=limits)
        style.colour_bar(figure, axis, cmap=cmap, bounds=limits, label=label, ticks=ticks)
    _arrows(axes[1], result, np.flatnonzero(here & np.isfinite(size)), moved)
    usual = style.number(float(np.nanmedian(far)))
    return Drawing(
        "displacement",
        TITLE,
        f"Displacement of {kind} from the mean position of their nearest neighbours: magnitude (left) and direction (right; 0 points "
        "right, positive as np.rot90). Arrows show the same vectors, all on one scale. In a ferroelectric this is the polar "
        "displacement; its direction changes from region to region. Atoms with a missing neighbour have no value.",
        figure,
        f"{images.frame_title(frames, index).capitalize()}; median displacement {usual} {unit or ''}".strip()
        + ".",
    )


def _shown_atoms(result: Result) -> tuple[np.ndarray, str]:
    """Sites whose displacement is shown (site,), and their name: the dimmer kind of atom if there are two kinds."""
    ratio = result[""]["contrast"].to_numpy()
    dim = ratio < DIMMER
    if dim.sum() < SHARE * np.isfinite(ratio).sum():
        return np.isfinite(ratio), "atoms"
    return dim, "the dimmer kind of atom"


def _arrows(axis: Axes, result: Result, here: np.ndarray, moved: list[np.ndarray]) -> None:
    """Draw displacements of some sites as arrows."""
    centres = images.places(result, here)
    down, right = (part[here] for part in moved)
    usual = max(float(np.median(np.hypot(down, right))), 1e-12)
    length = images.dot_size(centres, width=float(np.ptp(axis.get_xlim()))) * ARROW / usual
    axis.quiver(
        *centres.T,
        length * right,
        length * down,
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.004,
        pivot="middle",
        color="black",
        zorder=5,
    )
