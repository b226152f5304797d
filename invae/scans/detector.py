"""Any annular virtual detector on a stored scan."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae import dims
from invae.errors import InputError

BLOCK_BYTES = 64e6
SCAN = (dims.SCAN_Y, dims.SCAN_X)
DETECTOR = (dims.K_Y, dims.K_X)


@dataclass(frozen=True)
class Disc:
    """A disc or a ring on the detector [pixel]; the outer radius is excluded."""

    y: float
    x: float
    inner: float
    outer: float

    def mask(self, height: int, width: int) -> np.ndarray:
        """Pixels of the ring (k_y, k_x)."""
        rows, columns = np.indices((height, width))
        distance = np.hypot(rows - self.y, columns - self.x)
        return (distance >= self.inner) & (distance < self.outer)


def virtual_image(scan: xr.Dataset, disc: Disc) -> np.ndarray:
    """Sums over the ring in every pattern (scan_y, scan_x), read in blocks of rows.

    Raises:
        InputError: the recording has no patterns, or the ring has no pixels.
    """
    name = next((n for n, v in scan.data_vars.items() if {*SCAN, *DETECTOR} <= {*v.dims}), None)
    if name is None:
        raise InputError("the recording has no diffraction patterns; a detector needs them")
    patterns = scan[name].transpose(*SCAN, *DETECTOR)
    n_rows, n_columns, height, width = patterns.shape
    weights = disc.mask(height, width).ravel().astype(np.float32)
    if not weights.any():
        raise InputError(f"a ring from {disc.inner:g} to {disc.outer:g} px has no pixels")
    image = np.empty((n_rows, n_columns))
    step = max(1, int(BLOCK_BYTES // (n_columns * height * width * 4)))
    for start in range(0, n_rows, step):
        block = patterns[start : start + step].to_numpy().astype(np.float32)
        image[start : start + step] = np.nan_to_num(block).reshape(*block.shape[:2], -1) @ weights
    return image
