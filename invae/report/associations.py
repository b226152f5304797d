"""Associations of latent variables with measured quantities."""

import numpy as np
from matplotlib.axes import Axes

from invae.config import ReportConfig
from invae.report import style
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.kind import label_of

LOWEST = -10.0
"""A lower R² is shown as below this value."""
SPACES = {"content": "content, all dimensions", "pca": "PCA, same number"}


def association(result: Result, config: ReportConfig) -> Drawing:
    """Rank correlation of latent variables and descriptors, and R² on held-out strips."""
    group = result.get("association")
    if group is None or not np.isfinite(group["rho"].to_numpy()).any():
        raise LeftOut(
            "Latent variables and measured quantities",
            "too few sites have a measured quantity that varies",
        )
    known = np.isfinite(group["rho"].to_numpy()).any(axis=0)
    names = [label_of(result, str(name)) for name in group["descriptor"].to_numpy()[known]]
    rows = [_row_name(str(name)) for name in group["feature"].to_numpy()]
    spaces = [SPACES.get(str(name), str(name)) for name in group["space"].to_numpy()]
    figure = style.new_figure(1.3 + 0.42 * (len(rows) + len(spaces)))
    top, bottom = figure.subplots(2, 1, height_ratios=(len(rows), len(spaces)))
    rho, r2 = (
        [group[name + end].to_numpy()[:, known] for end in ("", "_low", "_high")]
        for name in ("rho", "r2")
    )
    _table(top, rho, rows=rows, columns=names, cmap="RdBu_r", bounds=(-1, 1))
    _table(bottom, r2, rows=spaces, columns=names, cmap="Greens", bounds=(0, 1))
    top.set_title("Spearman's rank correlation [95 % interval]", loc="left")
    bottom.set_title("R² on held-out strips of the image [95 % interval]", loc="left")
    bottom.set_xticklabels([])
    return Drawing(
        "association",
        "Latent variables and measured quantities",
        "Top: Spearman's rank correlation; ±1 is a monotonic relation, 0 is none. Bottom: share of the variance of a "
        "measured quantity (R²) that all content dimensions together predict on held-out strips of the image, which share "
        "no pixel with the strips of the fit; 0 or less means no prediction. Bold: the 95 % interval excludes 0. "
        "Intervals come from resampling tiles of the image, because neighbouring patches overlap.",
        figure,
        _strongest(rho[0], rows, names),
    )


def _row_name(feature: str) -> str:
    kind, _, number = feature.rpartition("_")
    return f"{'content' if kind == 'content' else 'PCA'} {number}"


def _table(
    axis: Axes,
    numbers: list[np.ndarray],
    *,
    rows: list[str],
    columns: list[str],
    cmap: str,
    bounds: tuple[float, float],
) -> None:
    """Values with their intervals on coloured fields; bold where the interval excludes 0."""
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
    """Two decimals. R² has no lower bound where a descriptor hardly varies, so very low values are cut."""
    return f"{value:.2f}".replace("-", "−") if value > LOWEST else f"< −{abs(LOWEST):.0f}"


def _strongest(rho: np.ndarray, rows: list[str], names: list[str]) -> str:
    own = [index for index, row in enumerate(rows) if row.startswith("content")]
    parts = []
    for index in own:
        if np.isfinite(rho[index]).any():
            best = int(np.nanargmax(np.abs(rho[index])))
            parts.append(
                f"{rows[index]} correlates most with {names[best]} (ρ = {style.number(rho[index, best], 2)})"
            )
    return ("; ".join(parts) + ".").capitalize() if parts else ""
