"""Which descriptor each latent follows."""

import numpy as np
from matplotlib.axes import Axes

from invae.config import ReportConfig
from invae.report import style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.kind import label_of

LOWEST = -10.0
"""An R² below is told as being below."""
SPACES = {"content": "content, all dimensions", "pca": "principal components, as many"}


def association(result: Result, config: ReportConfig) -> Drawing:
    """Rank correlation of latents and descriptors, and what is predicted on held-out strips."""
    found = result.get("association")
    if found is None or not np.isfinite(found["rho"].to_numpy()).any():
        raise LeftOut("What the latents follow", "too few sites have a descriptor that varies")
    known = np.isfinite(found["rho"].to_numpy()).any(axis=0)
    names = [label_of(result, str(name)) for name in found["descriptor"].to_numpy()[known]]
    rows = [_row_name(str(name)) for name in found["feature"].to_numpy()]
    spaces = [SPACES.get(str(name), str(name)) for name in found["space"].to_numpy()]
    figure = style.new_figure(1.3 + 0.42 * (len(rows) + len(spaces)))
    top, bottom = figure.subplots(2, 1, height_ratios=(len(rows), len(spaces)))
    rho, r2 = (
        [found[name + end].to_numpy()[:, known] for end in ("", "_low", "_high")]
        for name in ("rho", "r2")
    )
    _table(top, rho, rows=rows, columns=names, cmap="RdBu_r", bounds=(-1, 1))
    _table(bottom, r2, rows=spaces, columns=names, cmap="Greens", bounds=(0, 1))
    top.set_title("Spearman's rank correlation [95 % interval]", loc="left")
    bottom.set_title("R² predicted on held-out strips of the image [95 % interval]", loc="left")
    bottom.set_xticklabels([])
    return Drawing(
        "association",
        "What the latents follow",
        "Top: 1 or −1 means that a latent rises or falls steadily with a descriptor, 0 that it does not care. Bottom: the share "
        "of a descriptor's variance that all content dimensions together predict for parts of the image that share no pixel "
        "with those learned from; 0 or less means nothing. An interval that holds 0 proves nothing. Intervals come from "
        "resampling whole tiles of the image, since neighbouring patches overlap.",
        figure,
        _strongest(rho[0], rows, names),
    )


def _row_name(feature: str) -> str:
    kind, _, number = feature.rpartition("_")
    return f"{'content' if kind == 'content' else 'principal component'} {number}"


def _table(
    axis: Axes,
    numbers: list[np.ndarray],
    *,
    rows: list[str],
    columns: list[str],
    cmap: str,
    bounds: tuple[float, float],
) -> None:
    """Values with their intervals on coloured fields; what is sure is bold."""
    value, low, high = numbers
    axis.imshow(value, cmap=cmap, vmin=bounds[0], vmax=bounds[1], aspect="auto", alpha=0.75)
    axis.set_yticks(range(len(rows)), labels=rows)
    axis.set_xticks(range(len(columns)), labels=columns)
    axis.tick_params(length=0, labelsize=8.5, labelcolor=style.INK)
    axis.spines[:].set_visible(False)
    for row, column in np.ndindex(value.shape):
        middle, *ends = (float(part[row, column]) for part in (value, low, high))
        sure = ends[0] > 0 or (ends[1] < 0 and bounds[0] < 0)
        axis.text(
            column,
            row,
            _with_interval(middle, *ends),
            ha="center",
            va="center",
            fontsize=8.5,
            color="white" if abs(np.clip(middle, *bounds)) > 0.8 else style.INK,
            fontweight="bold" if sure else "normal",
        )


def _with_interval(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return "–"
    interval = f"  [{_cell(low)}, {_cell(high)}]" if np.isfinite(low) else ""
    return _cell(value) + interval


def _cell(value: float) -> str:
    """Two decimals; where a descriptor hardly varies, R² has no lower end, and its size says nothing."""
    return f"{value:.2f}".replace("-", "−") if value > LOWEST else f"< −{abs(LOWEST):.0f}"


def _strongest(rho: np.ndarray, rows: list[str], names: list[str]) -> str:
    own = [index for index, row in enumerate(rows) if row.startswith("content")]
    parts = []
    for index in own:
        if np.isfinite(rho[index]).any():
            best = int(np.nanargmax(np.abs(rho[index])))
            parts.append(
                f"{rows[index]} follows {names[best]} most (ρ = {style.number(rho[index, best], 2)})"
            )
    return ("; ".join(parts) + ".").capitalize() if parts else ""
