"""Any virtual detector on a stored scan: rings, rectangles, ellipses, outlines, and masks with weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xarray as xr
from skimage.draw import polygon2mask

from invae import dims
from invae.errors import InputError

BLOCK_BYTES = 64e6
SCAN = (dims.SCAN_Y, dims.SCAN_X)
DETECTOR = (dims.K_Y, dims.K_X)
FLAT = 1e-6
"""Sides of an ellipse are at least so long [pixel]."""
Place = tuple[float, float]
"""Row and column on the detector [pixel]; the first pixel has its centre at (0, 0)."""


class Detector(Protocol):
    """What counts how much."""

    @property
    def words(self) -> str:
        """A short description."""
        ...

    def mask(self, height: int, width: int) -> np.ndarray:
        """Weights of the pixels (k_y, k_x)."""
        ...


@dataclass(frozen=True)
class Disc:
    """A disc or a ring on the detector [pixel]; the outer radius is excluded."""

    y: float
    x: float
    inner: float
    outer: float

    @property
    def words(self) -> str:
        """A short description."""
        return f"ring {self.inner:.3g} to {self.outer:.3g} px"

    def mask(self, height: int, width: int) -> np.ndarray:
        """Pixels of the ring (k_y, k_x)."""
        rows, columns = np.indices((height, width))
        distance = np.hypot(rows - self.y, columns - self.x)
        return (distance >= self.inner) & (distance < self.outer)


@dataclass(frozen=True)
class Rectangle:
    """Pixels whose centres lie between two opposite corners, edges included."""

    first: Place
    second: Place

    @property
    def words(self) -> str:
        """A short description."""
        return "rectangle {:.3g} × {:.3g} px".format(*_sides(self.first, self.second))

    def mask(self, height: int, width: int) -> np.ndarray:
        """Pixels of the rectangle (k_y, k_x)."""
        rows, columns = np.indices((height, width))
        (top, left), (bottom, right) = _ends(self.first, self.second)
        return (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)


@dataclass(frozen=True)
class Ellipse:
    """The ellipse that fills the rectangle between two opposite corners."""

    first: Place
    second: Place

    @property
    def words(self) -> str:
        """A short description."""
        return "ellipse {:.3g} × {:.3g} px".format(*_sides(self.first, self.second))

    def mask(self, height: int, width: int) -> np.ndarray:
        """Pixels of the ellipse (k_y, k_x)."""
        rows, columns = np.indices((height, width))
        (top, left), (bottom, right) = _ends(self.first, self.second)
        tall, wide = (max(side, FLAT) for side in (bottom - top, right - left))
        y, x = (rows - (top + bottom) / 2) / tall, (columns - (left + right) / 2) / wide
        return y**2 + x**2 <= 0.25


@dataclass(frozen=True)
class Outline:
    """Pixels whose centres lie inside a polygon."""

    corners: Sequence[Place]

    @property
    def words(self) -> str:
        """A short description."""
        return f"outline of {len(self.corners)} corners"

    def mask(self, height: int, width: int) -> np.ndarray:
        """Pixels inside (k_y, k_x)."""
        return polygon2mask((height, width), np.asarray(self.corners, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Weights:
    """One weight for each pixel (k_y, k_x), such as +1 and −1 for differences of segments."""

    values: np.ndarray

    @property
    def words(self) -> str:
        """A short description."""
        return f"mask of {np.count_nonzero(self.values)} px"

    def mask(self, height: int, width: int) -> np.ndarray:
        """The weights (k_y, k_x).

        Raises:
            InputError: They have another shape, or are not finite.
        """
        if self.values.shape != (height, width):
            shape = " × ".join(map(str, self.values.shape))
            raise InputError(f"the mask has {shape} pixels, and the patterns have {height} × {width}")  # fmt: skip
        if not np.isfinite(self.values).all():
            raise InputError("the mask has values that are not finite; set them to 0")
        return self.values


def _ends(first: Place, second: Place) -> np.ndarray:
    """Smallest and largest row and column."""
    return np.sort(np.array([first, second], dtype=np.float64), axis=0)


def _sides(first: Place, second: Place) -> tuple[float, float]:
    return abs(first[0] - second[0]), abs(first[1] - second[1])


def virtual_image(scan: xr.Dataset, detector: Detector) -> np.ndarray:
    """Weighted sums of every pattern (scan_y, scan_x), read in blocks of rows.

    Raises:
        InputError: The recording has no patterns, the detector has no pixels, or its mask does not fit.
    """
    name = next((n for n, v in scan.data_vars.items() if {*SCAN, *DETECTOR} <= {*v.dims}), None)
    if name is None:
        raise InputError("the recording has no diffraction patterns; a detector needs them")
    patterns = scan[name].transpose(*SCAN, *DETECTOR)
    n_rows, n_columns, height, width = patterns.shape
    weights = detector.mask(height, width).ravel().astype(np.float32)
    if not weights.any():
        raise InputError(f"the detector has no pixels ({detector.words})")
    image = np.empty((n_rows, n_columns))
    step = max(1, int(BLOCK_BYTES // (n_columns * height * width * 4)))
    for start in range(0, n_rows, step):
        block = patterns[start : start + step].to_numpy().astype(np.float32)
        image[start : start + step] = np.nan_to_num(block).reshape(*block.shape[:2], -1) @ weights
    return image
