"""Square patches around sites, with sub-pixel interpolation."""

import numpy as np
import scipy.ndimage as ndi

CUBIC = 3
INSIDE = 1 - 1e-3
"""Smallest interpolated share of valid pixels of a valid patch pixel: 1 up to rounding."""


def offsets(window: int) -> np.ndarray:
    """Positions of a patch's pixels relative to its centre [px]: at half integers if the window is
    even.
    """
    return np.arange(window) - (window - 1) / 2


def cut(
    values: np.ndarray, valid: np.ndarray, centres: np.ndarray, *, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patches (site, window, window) of one frame and which of their pixels are valid; zero where
    they are not.

    Cubic splines; the grid of pixels is symmetric about the site, so that a patch of a frame turned
    by `np.rot90` is the patch turned.

    Args:
        values: (y, x); invalid pixels are ignored.
        valid: bool (y, x).
        centres: sites (site, 2), (y, x) [px].
        window: side of the patch [px].
    """
    places = sample_points(centres, window=window)
    flat = places.reshape(2, -1)
    filled = np.where(valid, values, 0).astype(np.float64)
    cubes = ndi.map_coordinates(filled, flat, order=CUBIC, mode="mirror")
    share = ndi.map_coordinates(valid.astype(np.float64), flat, order=1, mode="constant", cval=0)
    believed = (share > INSIDE).reshape(places.shape[1:])
    patches = np.where(believed, cubes.reshape(believed.shape), 0).astype(np.float32)
    return patches, believed


def sample_points(centres: np.ndarray, *, window: int) -> np.ndarray:
    """Positions (2, site, window, window) in the frame of every pixel of every patch [px]."""
    steps = offsets(window)
    rows = centres[:, 0, None, None] + steps[:, None]
    columns = centres[:, 1, None, None] + steps
    return np.stack(np.broadcast_arrays(rows, columns))


def valid_share(valid: np.ndarray, centres: np.ndarray, *, window: int) -> np.ndarray:
    """Share of each patch that is valid and inside the frame, to the nearest whole pixel
    (site,).
    """
    height, width = valid.shape
    sums = np.pad(valid.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    start = np.rint(centres - (window - 1) / 2).astype(np.int64)
    top, left = np.clip(start[:, 0], 0, height), np.clip(start[:, 1], 0, width)
    bottom = np.clip(start[:, 0] + window, 0, height)
    right = np.clip(start[:, 1] + window, 0, width)
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return inside / window**2
