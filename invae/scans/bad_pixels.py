"""Hot and dead pixels of a detector, detected in a sample of its patterns."""

from typing import Literal

import numpy as np
from scipy import ndimage

FEWEST = 8
"""Fewest patterns; with less a single bright pixel may be chance."""
SIGMAS = 7.0
"""Smallest deviation of a bad pixel from its neighbours, in units of the scatter of its mean."""
SHARE = 0.5
"""Smallest relative deviation of a bad pixel from its neighbours: gains differ by a few per cent."""
STEEPNESS = 4.0
"""Smallest deviation of a hot pixel in units of the difference among its neighbours: diffraction spots are steep too."""
LIT = 0.25
"""Fraction of the brightness of bright pixels above which a pixel is used to estimate the scatter of counts."""
PIXELS = 4096
"""Largest number of pixels used for that estimate."""
FLOOR = 0.01
"""Fraction of the brightness of bright pixels below which a difference is no defect."""
MOST = 0.02
"""Largest fraction of bad pixels; more belong to the pattern of the sample."""
DARK = 25
"""Percentile of the mean pattern that is dark."""
MATTERS = 0.1
"""Least share of a dark level in the sum of a pattern."""
GAP = 2
"""Largest distance from a blind pixel to lit ones on both sides [pixel]."""
FEWEST_BLIND = 4
"""Smaller groups of blind pixels are single dead pixels."""
WIDEST = 4
"""Largest distance from its border over which a gap is filled [pixel]."""
SATURATED = 0.5
"""If other pixels exceed this fraction of the largest value of the type, that value may be a saturated one."""
MOST_MARKED = 0.5
"""Largest fraction of pixels that a detector marks as masked."""
LARGEST_STOP = 0.3
"""Largest fraction of pixels that a beam stop covers."""
FEWEST_STOPPED = 9
"""Smaller groups of pixels without a count are no beam stop."""
COMPACT = 4.0
"""Largest area of a beam stop with its arm, relative to the largest circle in it; gaps between chips are long."""
CERTAIN = 5.0
"""Counts of a pixel in all patterns of the sample above which its neighbours should have counts too."""
SURROUNDED = 0.8
"""Smallest part of the border of a beam stop that has counts; its arm reaches the edge of the detector."""
_AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def find(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks of hot and of dead pixels (k_y, k_x).

    A pixel is compared with the second-brightest (hot) or third-darkest (dead) of its eight neighbours, so that pairs of hot and
    lines of dead pixels are detected. At the edge of a disc at least three neighbours lie on either side, so that it is no defect.

    Args:
        patterns: A sample from all over the scan (pattern, k_y, k_x).
    """
    n, *shape = patterns.shape
    none = np.zeros(shape, bool)
    if n < FEWEST or min(shape) < 3:
        return none, none
    mean = _typical_mean(patterns)
    scatter = _gain(patterns) / (n / 2)  # half of the parts are in the typical mean
    # hot: the image is mirrored beyond its border; dead: the border is repeated, so that a feature may end there
    around = np.maximum(np.sort(_neighbours(mean, "reflect"), axis=0), 0)
    dark, bright = around[2], around[-2]
    floor = FLOOR * np.quantile(mean, 0.99)
    steep = np.maximum(SHARE * bright, STEEPNESS * (bright - dark))
    least = SIGMAS * np.sqrt(scatter * (bright + 1 / n))
    hot = mean - bright > np.maximum(np.maximum(least, steep), floor)
    around = np.maximum(np.sort(_neighbours(mean, "edge"), axis=0), 0)
    dark, bright = around[2], around[-2]
    steep = np.maximum(SHARE * dark, bright - dark)
    # few counts scatter unevenly; their square roots do not
    significant = 2 * (np.sqrt(dark) - np.sqrt(np.maximum(mean, 0))) > SIGMAS * np.sqrt(scatter)
    dead = significant & (dark - mean > np.maximum(steep, floor))
    return hot, dead


def marked(patterns: np.ndarray) -> np.ndarray:
    """Pixels (k_y, k_x) that the detector marks as masked: −1, or the largest value of the type, in every pattern.

    Args:
        patterns: A sample from all over the scan (pattern, k_y, k_x), in the type of the file.
    """
    none = np.zeros(patterns.shape[1:], bool)
    if patterns.dtype.kind not in "iu" or len(patterns) < FEWEST:
        return none
    marker = np.iinfo(patterns.dtype).max if patterns.dtype.kind == "u" else -1
    always = (patterns == marker).all(axis=0)
    if not always.any() or always.mean() > MOST_MARKED:
        return none
    others = patterns[:, ~always]
    is_marker = others.max() < SATURATED * marker if marker > 0 else others.min() >= 0
    return always if is_marker else none


def blind(patterns: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels (k_y, k_x) without a count in any pattern between lit ones: gaps between chips, the bar of a beam stop.

    Args:
        patterns: A sample from all over the scan (pattern, k_y, k_x).
        known: Pixels that are not marked as masked, bool (k_y, k_x).
    """
    mean = np.where(known, patterns.mean(axis=0, dtype=float), 0)
    if len(patterns) < FEWEST or not (mean > 0).any():
        return np.zeros(mean.shape, bool)
    empty = known & ~np.any(patterns != 0, axis=0)
    lit = mean > LIT * np.quantile(mean[mean > 0], 0.99)
    found = empty & (_between(lit, 0) | _between(lit, 1))
    found = empty & (_between(lit | found, 0) | _between(lit | found, 1))  # where two gaps cross
    label = np.zeros(found.shape, np.int32)
    ndimage.label(found, np.ones((3, 3)), output=label)
    sizes = np.bincount(label.ravel())
    sizes[0] = 0
    return sizes[label] >= FEWEST_BLIND


def stop(patterns: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels (k_y, k_x) behind a beam stop: no value in any pattern, around the middle of all counts, lit all around.

    Args:
        patterns: A sample from all over the scan (pattern, k_y, k_x).
        known: Pixels that are not masked, bool (k_y, k_x).
    """
    none = np.zeros(known.shape, bool)
    counts = np.where(known, np.maximum(patterns.sum(axis=0, dtype=float), 0), 0)
    if len(patterns) < FEWEST or not counts.any():
        return none
    dark = ~known | ~np.any(patterns != 0, axis=0)
    label = np.zeros(dark.shape, np.int32)
    ndimage.label(dark, output=label)
    y, x = np.rint(np.asarray(ndimage.center_of_mass(counts))).astype(int)
    found = (label == label[y, x]) if dark[y, x] else none
    if found.sum() < FEWEST_STOPPED or found.mean() > LARGEST_STOP:
        return none
    if found.sum() > COMPACT * np.pi * depth_in(found).max() ** 2:
        return none
    border = ndimage.binary_dilation(found, np.ones((3, 3))) & ~found
    return found if (counts[border] >= CERTAIN).mean() >= SURROUNDED else none


def depth_in(region: np.ndarray) -> np.ndarray:
    """Distance of every pixel of a region from the nearest pixel outside of it [pixel], 0 outside (k_y, k_x)."""
    depth = ndimage.distance_transform_edt(region)
    assert isinstance(depth, np.ndarray)
    return depth


def bridged(mean: np.ndarray, hidden: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The pattern (k_y, k_x) with hidden pixels replaced by the nearest valid one: what goes on behind a beam stop.

    Args:
        mean: Counts per pattern.
        hidden: Pixels behind the stop, bool (k_y, k_x).
        valid: Pixels that measure, bool (k_y, k_x).
    """
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    assert isinstance(nearest, np.ndarray)
    return np.where(hidden, mean[tuple(nearest)], mean)


def _between(lit: np.ndarray, axis: int) -> np.ndarray:
    """Pixels with a lit one on both sides, near along an axis."""
    sides = []
    for way in (1, -1):
        near = np.zeros_like(lit)
        for distance in range(1, GAP + 1):
            shifted = np.roll(lit, way * distance, axis)
            edge = [slice(None), slice(None)]
            edge[axis] = slice(0, distance) if way > 0 else slice(-distance, None)
            shifted[tuple(edge)] = False
            near |= shifted
        sides.append(near)
    return sides[0] & sides[1]


def dark_level(mean: np.ndarray, valid: np.ndarray) -> float:
    """The level below 0 of the dark part of a mean pattern (k_y, k_x); 0 if it changes no sum much."""
    values = mean[valid]
    if not values.size:
        return 0.0
    level = float(np.percentile(values, DARK))
    matters = -level * values.size > MATTERS * float(np.abs(values).sum())
    return level if level < 0 and matters else 0.0


def too_many(bad: np.ndarray) -> bool:
    """Whether the bad pixels are so many that they belong to the pattern, not to the detector."""
    return float(bad.mean()) > MOST


def filled(mean: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The pattern (k_y, k_x) with every invalid pixel replaced by the median of its valid neighbours, wide gaps from their borders."""
    if valid.all() or min(mean.shape) < 3 or not valid.any():
        return mean
    values = np.where(valid, mean, np.nan)
    for _ in range(WIDEST):
        around = _neighbours(values, "reflect")
        reached = np.isnan(values) & ~np.isnan(around).all(axis=0)
        if not reached.any():
            break
        values[reached] = np.nanmedian(around[:, reached], axis=0)
    return np.where(np.isnan(values), float(np.median(mean[valid])), values)


def _typical_mean(patterns: np.ndarray) -> np.ndarray:
    """A mean pattern that is robust against one pattern with a cosmic ray: the middle of the means of four parts."""
    parts = np.sort([patterns[start::4].mean(axis=0, dtype=float) for start in range(4)], axis=0)
    return parts[1:3].mean(axis=0)


def _gain(patterns: np.ndarray) -> float:
    """Variance over mean of a counting pixel: 1 for single electrons."""
    mean = patterns.mean(axis=0, dtype=float)
    lit = np.flatnonzero(mean > LIT * np.quantile(mean, 0.99))
    if not len(lit):
        return 0.0
    sample = lit[:: -(-len(lit) // PIXELS)]
    counts = patterns.reshape(len(patterns), -1)[:, sample]
    return float(np.median(counts.var(axis=0, dtype=float) / mean.flat[sample]))


def _neighbours(image: np.ndarray, beyond: Literal["reflect", "edge"]) -> np.ndarray:
    """The eight neighbours of every pixel (8, k_y, k_x)."""
    rows, columns = image.shape
    padded = np.pad(image, 1, mode=beyond)
    return np.stack([padded[1 + y : 1 + y + rows, 1 + x : 1 + x + columns] for y, x in _AROUND])
