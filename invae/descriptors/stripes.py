"""Non-180-degree walls: stripes in which the out-of-plane amplitude is low, on both sides of the same sign."""

import numpy as np
import scipy.ndimage as ndi
from skimage.feature import hessian_matrix, hessian_matrix_eigvals
from skimage.filters import apply_hysteresis_threshold
from skimage.morphology import skeletonize

from invae.config.describe import WallConfig
from invae.descriptors.walls import EIGHT, smoothed

SURROUNDINGS = 4.0
"""The amplitude around a stripe is averaged over so many of its half widths."""
WEAK = 0.5
"""A stripe may fade to this share of the depth that it must reach somewhere."""
DIP = 0.5
"""σ²·∂²a/∂n² at the middle of a parabolic dip, per unit of its depth within σ."""


def find_stripes(
    polarization: np.ndarray,
    valid: np.ndarray,
    wall_180: np.ndarray,
    *,
    config: WallConfig,
) -> np.ndarray:
    """Middle lines of the stripes of low out-of-plane amplitude, one pixel wide, bool (y, x).

    The amplitude also dips at every 180-degree wall, so the neighbourhood of those is left out.

    Args:
        polarization: signed, domains near ±1 (y, x).
        valid: bool (y, x).
        wall_180: skeleton of the 180-degree walls, bool (y, x).
        config: scale and depth of the stripes, least length.
    """
    scale = config.non180_scale
    size = np.abs(smoothed(polarization, valid, sd=scale / 2))
    known = np.isfinite(size)
    around = smoothed(size, known, sd=SURROUNDINGS * scale)
    filled = np.where(known, size, np.where(np.isfinite(around), around, 0))
    hessian = hessian_matrix(filled, sigma=scale, use_gaussian_derivatives=False)
    across = hessian_matrix_eigvals(hessian)[0] * scale**2
    dip = np.divide(across, DIP * around, out=np.zeros_like(filled), where=around > 0)
    reach = 2 * scale + config.smoothing
    near_180 = ndi.distance_transform_edt(~wall_180) <= reach if wall_180.any() else wall_180
    inside = ndi.binary_erosion(known, EIGHT, iterations=int(np.ceil(scale)), border_value=1)
    dip = np.where(inside & ~near_180, dip, 0)
    ridges = apply_hysteresis_threshold(dip, WEAK * config.non180_depth, config.non180_depth)
    return without_short_pieces(skeletonize(ridges), min_length=config.min_length)


def without_short_pieces(skeleton: np.ndarray, *, min_length: float) -> np.ndarray:
    """Connected pieces (8 neighbours) with at least `min_length` pixels, bool (y, x)."""
    pieces, n_pieces = ndi.label(skeleton, EIGHT)
    long_enough = np.bincount(pieces.ravel(), minlength=n_pieces + 1) >= min_length
    long_enough[0] = False
    return long_enough[pieces]
