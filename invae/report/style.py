"""Style of all figures: sizes, fonts, colours, colour bars, scale bars, numbers."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

WIDTH = 10.0
"""Width of every figure [inch]."""
INK, MUTED, PAPER = "#1b1f24", "#5b6570", "#ffffff"
POLARIZATION = "RdBu_r"
LONGEST_NAME = 18
FONT_END = 0x500
"""The font has the characters below this code point: Latin, Greek, Cyrillic."""
ACCENT, SECOND = "#0072b2", "#d55e00"
CLASSES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#a8860b", "#555555")
"""Colours that colour-blind readers can distinguish; the yellow is darker than the original, to be readable on white.

Source: Okabe & Ito 2008, jfly.uni-koeln.de/color.
"""

RC: Mapping[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "regular",
    "axes.titlepad": 5,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa3ab",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#e4e8eb",
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "text.parse_math": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "invae",
    "image.interpolation": "nearest",
}
"""Applied only while figures are drawn and written."""


def applied(dpi: int) -> AbstractContextManager[None]:
    """A context in which figures have the style of the report, with a resolution in dots per inch."""
    settings: dict[Any, Any] = {**RC, "figure.dpi": dpi, "savefig.dpi": dpi}
    return matplotlib.rc_context(settings)


def new_figure(height: float) -> Figure:
    """An empty figure of the common width; `height` in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def panels(
    n_panels: int, *, columns: int, panel_height: float, extra: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure with `n_panels` axes in rows of `columns`; heights in inches, `extra` for legends."""
    columns = max(1, min(columns, n_panels))
    rows = math.ceil(n_panels / columns)
    figure = new_figure(rows * panel_height + extra)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = [axis for row in grid for axis in row]
    for axis in axes[n_panels:]:
        axis.set_axis_off()
    return figure, axes[:n_panels]


def class_colours(n_classes: int) -> ListedColormap:
    """One colour per class; they repeat beyond eight."""
    return ListedColormap([CLASSES[index % len(CLASSES)] for index in range(max(n_classes, 1))])


def shades(cmap: str, n_shades: int) -> list[tuple[float, ...]]:
    """Colours of a colour map for a few lines, without its palest end."""
    return [tuple(map(float, matplotlib.colormaps[cmap](x))) for x in np.linspace(0, 0.9, n_shades)]


def cyclic() -> ListedColormap:
    """A cyclic colour map for angles: the hue goes round once, and the lightness rises and falls once, so that grey prints
    keep half of the information.

    Source: Ottosson 2020, bottosson.github.io/posts/oklab (matrices from OKLab to linear sRGB).
    """
    turn = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    lightness = 0.62 + 0.17 * np.cos(turn - 1.8)
    lab = np.stack([lightness, 0.125 * np.cos(turn), 0.125 * np.sin(turn)])
    cones = np.array(
        [
            [1, 0.3963377774, 0.2158037573],
            [1, -0.1055613458, -0.0638541728],
            [1, -0.0894841775, -1.2914855480],
        ]
    )
    linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    rgb = np.clip(linear @ (cones @ lab) ** 3, 0, 1)
    curved = np.where(rgb > 0.0031308, 1.055 * rgb ** (1 / 2.4) - 0.055, 12.92 * rgb)
    return ListedColormap(curved.T, name="angle")


def limits(values: np.ndarray, *, symmetric: bool = False) -> tuple[float, float]:
    """Colour limits without the lowest and highest 1 % of values."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, (1, 99))
    if symmetric:
        largest = max(abs(low), abs(high), 1e-12)
        return -float(largest), float(largest)
    return float(low), float(high if high > low else low + 1)


def patch_colours(values: np.ndarray) -> tuple[str, tuple[float, float]]:
    """Colour map and limits of patches: diverging about zero, or shades of one colour if there are no negative values."""
    low, high = limits(values)
    if low < -0.15 * abs(high):
        return POLARIZATION, limits(values, symmetric=True)
    return "Purples", (0.0, high)


def colour_bar(
    figure: Figure,
    axes: Axes | Sequence[Axes],
    *,
    cmap: str | Colormap,
    bounds: tuple[float, float],
    label: str,
    ticks: Mapping[float, str] | None = None,
) -> None:
    """Draw a slim colour bar beside some axes; `ticks` maps positions to labels."""
    shown = ScalarMappable(Normalize(*bounds), cmap)
    if isinstance(axes, Axes) or len(axes) == 1:
        alone = axes if isinstance(axes, Axes) else axes[0]
        place = alone.inset_axes((1.025, 0.0, 0.035, 1.0))  # exactly as high as the image
        bar = figure.colorbar(shown, cax=place)
    else:
        bar = figure.colorbar(shown, ax=list(axes), fraction=0.05, pad=0.02, aspect=24)
    bar.set_label(label)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(length=2)
    if ticks is not None:
        bar.set_ticks(list(ticks), labels=list(ticks.values()))


def in_units(name: str, units: str | None) -> str:
    """`name [units]`; dimensionless quantities stand alone."""
    return name if units in (None, "", "1") else f"{name} [{_shown(str(units))}]"


def _shown(units: str) -> str:
    return {"pixel": "px", "1/pixel": "1/px", "degree": "°"}.get(units, short(units))


def short(name: str) -> str:
    """A name from a recording, shortened, with only the characters that the font has."""
    drawn = "".join(
        letter if letter.isprintable() and ord(letter) < FONT_END else "?" for letter in name
    )
    return drawn if len(drawn) <= LONGEST_NAME else drawn[: LONGEST_NAME - 1] + "…"


PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M"}
PREFIXED = ("m", "V", "A", "Hz", "s", "N")


def readable(values: np.ndarray, units: str | None) -> tuple[np.ndarray, str | None]:
    """Values and units with a prefix that keeps the numbers short: m becomes pm or nm."""
    known = np.abs(values[np.isfinite(values)])
    largest = float(np.percentile(known, 99)) if known.size else 0.0
    if units not in PREFIXED or largest == 0 or 0.1 <= largest < 1e4:
        return values, units
    power = min(max(3 * math.floor(math.log10(largest) / 3), min(PREFIXES)), max(PREFIXES))
    return values / 10.0**power, PREFIXES[power] + str(units)


def number(value: float, digits: int = 3) -> str:
    """A number with three digits, thin spaces between thousands and a true minus."""
    if not np.isfinite(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e9:
        text = f"{int(value):,}".replace(",", "\u202f")
    elif abs(value) >= 1000:
        text = f"{value:,.0f}".replace(",", "\u202f")
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", "−")


def with_sd(mean: float, sd: float, *, most: int = 4) -> str:
    """`0.594 ± 0.13`, with at most so many decimals, to match the standard deviation."""
    size = sd if sd > 1e-3 * abs(mean) else abs(mean)
    decimals = min(most, max(0, 1 - math.floor(math.log10(size)))) if size > 0 else 0
    return f"{mean:.{decimals}f} ± {sd:.{decimals}f}".replace("-", "−")


def count(n: float, word: str) -> str:
    """`1 class`, `4 classes`, `2 spectra`."""
    if n != 1:
        word = (
            f"{word[:-1]}ies"
            if word.endswith("y")
            else f"{word[:-2]}a"
            if word.endswith("um")
            else f"{word}es"
            if word.endswith("s")
            else f"{word}s"
        )
    return f"{number(n)} {word}"


def scale_bar(axis: Axes, *, width: int, pixel_nm: float | None, unit: str = "nm") -> None:
    """Draw a scale bar of a round length in the lower left corner of an image that is `width` pixels wide.

    `pixel_nm` is the width of a pixel in `unit`, which need not be nm.
    """
    size = pixel_nm or 1.0
    length = round_length(width * size / 4)
    text = _length_label(length, short(unit)) if pixel_nm else f"{length:g} px"
    low, high = sorted(axis.get_ylim())
    height = high - low
    x, y = 0.04 * width, high - 0.05 * height
    bar = Rectangle(
        (x, y - 0.014 * height),
        length / size,
        0.02 * height,
        color="white",
        ec=INK,
        lw=0.6,
        zorder=6,
    )
    axis.add_patch(bar)
    axis.text(
        x + length / size / 2,
        y - 0.03 * height,
        text,
        ha="center",
        va="bottom",
        fontsize=8,
        zorder=6,
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.0},
    )


def round_length(most: float) -> float:
    """The largest of 1, 2, 5 × a power of ten that is at most `most`."""
    power = 10 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def _length_label(length: float, unit: str) -> str:
    return f"{length / 1000:g} µm" if unit == "nm" and length >= 1000 else f"{length:g} {unit}"
