"""Sizes of connected areas: domains and grains."""

import numpy as np
import xarray as xr
from scipy import ndimage
from skimage import measure

from invae.analysis.kind import Scalars

SMALLEST = 10
"""Smaller areas are noise [pixel]."""


def equivalent_diameters(labels: np.ndarray, *, area: float) -> np.ndarray:
    """Diameters of circles as large as the connected areas of equal label.

    Areas at the border, or beside pixels without a label, are left out, as their size is unknown.

    Args:
        labels: one label per pixel (y, x); −1 belongs to no area.
        area: of a pixel, in the square of the unit of the answer.
    """
    edge = np.ones(labels.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    edge |= ndimage.binary_dilation(labels < 0)
    diameters: list[np.ndarray] = []
    for label in np.unique(labels[labels >= 0]):
        areas = np.asarray(measure.label(labels == label, connectivity=1))
        sizes = np.bincount(areas.ravel())
        sizes[0] = 0
        sizes[np.unique(areas[edge])] = 0
        diameters.append(sizes[sizes >= SMALLEST])
    sizes = np.concatenate(diameters) if diameters else np.zeros(0)
    return np.sqrt(4 * sizes * area / np.pi)


def pixel_area(rows: xr.DataArray, columns: xr.DataArray) -> tuple[float, str]:
    """Area of a pixel in the square of a unit, and the unit: nm if both axes are calibrated, else pixel."""
    sides = []
    for axis in (rows, columns):
        if axis.attrs.get("units") != "nm" or axis.size < 2:
            return 1.0, "pixel"
        sides.append(abs(float(axis[-1]) - float(axis[0])) / (axis.size - 1))
    return sides[0] * sides[1], "nm"


def size_scalars(diameters: np.ndarray, *, name: str, word: str, unit: str) -> Scalars:
    """Number of areas, and median and quartiles of their diameters; nothing without areas."""
    if not len(diameters):
        return {}
    low, middle, high = (float(value) for value in np.percentile(diameters, (25, 50, 75)))
    return {
        f"n_{name}s": (len(diameters), f"{word}s that do not touch the border", "1"),
        f"{name}_diameter": (middle, f"median diameter of a circle as large as a {word}", unit),
        f"{name}_diameter_low": (low, f"lower quartile of the diameters of {word}s", unit),
        f"{name}_diameter_high": (high, f"upper quartile of the diameters of {word}s", unit),
    }
