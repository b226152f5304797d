"""Lamellae without a network: stripes in which the out-of-plane amplitude is low, on both sides of the same sign."""

import numpy as np
import scipy.ndimage as ndi
from skimage.filters import apply_hysteresis_threshold
from skimage.morphology import skeletonize

from invae.config.describe import WallConfig
from invae.descriptors.domains.walls import EIGHT, islands, smoothed

N_DIRECTIONS = 8
"""Number of tested directions across a stripe, over half a turn."""
BRIGHTEST = 2.0
"""Amplitudes are clipped at so many times the typical one: dust is bright."""
SMOOTHING = 0.75
"""Sd of the Gaussian before depths are measured, in half widths of a stripe."""
SURROUNDINGS = 25
"""Number of scan lines over which the typical amplitude is taken."""
WEAK = 0.6
"""A stripe may fade to this share of its required largest depth."""
WIDEST = 8.0
"""Largest distance of the edge of a lamella from its centre line [px]."""
FULL = 0.7
"""Least amplitude outside of lamellae, relative to a typical domain."""
OUTSIDE_SD = 12.0
"""Sd of the Gaussian mean of the amplitude outside of lamellae [px]."""
WALL_DIP = 2.0
"""Half the width of the dip of the amplitude at a 180-degree wall [px]."""


def find_lamellae(
    polarization: np.ndarray,
    valid: np.ndarray,
    wall_180: np.ndarray,
    *,
    scan_lines: str,
    config: WallConfig,
) -> np.ndarray:
    """Insides of lamellae, bool (y, x): around the centre lines of stripes, where the amplitude is below half height.

    Half height is the mean of the amplitude at the centre line and that outside of lamellae. Arguments as for `find_stripes`.
    """
    line = find_stripes(polarization, valid, wall_180, scan_lines=scan_lines, config=config)
    if not line.any():
        return line
    size = _amplitude(polarization, valid, scan_lines=scan_lines, sd=1.0)
    nearest = ndi.distance_transform_edt(~line, return_distances=False, return_indices=True)
    distance = ndi.distance_transform_edt(~line)
    outside = _outside(size, valid)
    inside = size < (size[tuple(np.asarray(nearest))] + outside) / 2
    inside &= valid & (np.asarray(distance) <= WIDEST)
    if wall_180.any():
        to_wall = np.asarray(ndi.distance_transform_edt(~wall_180))
        inside &= (to_wall > WALL_DIP) | (to_wall >= distance)
    label, n_areas = islands(inside | line)
    has_line = np.zeros(n_areas + 1, bool)
    has_line[np.unique(label[line])] = True
    return np.asarray(ndi.binary_opening(ndi.binary_closing(has_line[label]))) & valid


def _outside(size: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Local mean of the amplitude outside of lamellae (y, x)."""
    strong = valid & (size > FULL)
    total, weight = (
        ndi.gaussian_filter(values.astype(np.float32), OUTSIDE_SD, mode="nearest")
        for values in (np.where(strong, size, 0), strong)
    )
    return np.divide(total, weight, out=np.ones_like(total), where=weight > 1e-3)


def _amplitude(
    polarization: np.ndarray, valid: np.ndarray, *, scan_lines: str, sd: float
) -> np.ndarray:
    """Smoothed amplitude (y, x), equal in all scan lines; NaN where unknown."""
    clipped = np.clip(polarization, -BRIGHTEST, BRIGHTEST)
    gain = line_gain(np.abs(clipped), valid, scan_lines=scan_lines)
    return np.abs(smoothed(clipped / gain, valid, sd=sd))


def lamella_edges(lamella: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Non-180-degree walls: pixels inside lamellae beside a valid pixel outside, bool (y, x)."""
    outside = valid & ~lamella
    return lamella & np.asarray(ndi.binary_dilation(outside))


def find_stripes(
    polarization: np.ndarray,
    valid: np.ndarray,
    wall_180: np.ndarray,
    *,
    scan_lines: str,
    config: WallConfig,
) -> np.ndarray:
    """Centre lines of stripes of low out-of-plane amplitude, one pixel wide, bool (y, x).

    The amplitude is also low at every 180-degree wall, so the neighbourhood of those is excluded.

    Args:
        polarization: signed, domains near ±1 (y, x).
        valid: bool (y, x).
        wall_180: skeleton of the 180-degree walls, bool (y, x).
        scan_lines: "rows" or "columns"; a scan line with a low amplitude is not a stripe.
        config: scale and depth of the stripes, least length.
    """
    scale = config.non180_scale
    size = _amplitude(polarization, valid, scan_lines=scan_lines, sd=SMOOTHING * scale)
    dip = depth(size, reach=2 * scale + 1)
    if wall_180.any():
        near = np.asarray(ndi.distance_transform_edt(~wall_180)) <= 2 * scale + WALL_DIP
        dip = np.where(near, 0, dip)
    ridges = apply_hysteresis_threshold(dip, WEAK * config.non180_depth, config.non180_depth)
    return without_short_pieces(skeletonize(ridges), min_length=config.min_length)


def line_gain(size: np.ndarray, valid: np.ndarray, *, scan_lines: str) -> np.ndarray:
    """Amplitude of each scan line relative to its surroundings, (y, 1) or (1, x); 1 is typical."""
    if scan_lines == "columns":
        return line_gain(size.T, valid.T, scan_lines="rows").T
    level = np.array(
        [np.median(row[here]) if here.any() else 0.0 for row, here in zip(size, valid, strict=True)]
    )
    around = ndi.median_filter(level, SURROUNDINGS, mode="nearest")
    gain = np.divide(level, around, out=np.ones_like(level), where=(around > 0) & (level > 0))
    return gain[:, None].astype(np.float32)


def depth(size: np.ndarray, *, reach: float) -> np.ndarray:
    """Depth of the amplitude below both sides, relative to the lower side; the largest over all
    directions.

    Both sides count, so that a step (a line that jumped) and the edge of a bright spot are not
    stripes.

    Args:
        size: amplitude (y, x), NaN where unknown.
        reach: distance of the two sides [px].
    """
    pad = int(np.ceil(reach))
    wide = np.pad(size, pad, constant_values=np.nan)
    deepest = np.zeros(size.shape, np.float32)
    for turn in range(N_DIRECTIONS):
        angle = np.pi * turn / N_DIRECTIONS
        step = np.rint(reach * np.array([np.sin(angle), np.cos(angle)])).astype(int)
        lower = np.minimum(_shifted(wide, step, pad), _shifted(wide, -step, pad))
        with np.errstate(invalid="ignore"):
            share = np.divide(lower - size, lower, out=np.zeros_like(size), where=lower > 0)
        deepest = np.fmax(deepest, share)
    return deepest


def _shifted(wide: np.ndarray, step: np.ndarray, pad: int) -> np.ndarray:
    height, width = wide.shape[0] - 2 * pad, wide.shape[1] - 2 * pad
    top, left = pad + step
    return wide[top : top + height, left : left + width]


def without_short_pieces(skeleton: np.ndarray, *, min_length: float) -> np.ndarray:
    """Connected pieces (8 neighbours) with at least `min_length` pixels, bool (y, x)."""
    pieces, n_pieces = islands(skeleton, structure=EIGHT)
    long_enough = np.bincount(pieces.ravel(), minlength=n_pieces + 1) >= min_length
    long_enough[0] = False
    return long_enough[pieces]
