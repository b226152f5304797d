"""Hot and dead pixels of a detector, found from a sample of its patterns."""

from typing import Literal

import numpy as np

FEWEST = 8
"""Patterns below which a single bright pixel may be chance."""
SIGMAS = 7.0
"""How far beyond the scatter of its mean a faulty pixel is from its neighbours."""
SHARE = 0.5
"""How far it is from them at least, as a share of what they count: gains differ by a few per cent."""
STEEPNESS = 4.0
"""How much further than its neighbours are from each other a hot pixel is: diffraction spots are steep too."""
LIT = 0.25
"""Share of the bright pixels above which a pixel shows how counts scatter."""
PIXELS = 4096
"""As many of them are enough to tell."""
FLOOR = 0.01
"""Differences below this share of the bright pixels are no fault."""
MOST = 0.02
"""Share of the detector above which what was found is no fault but the sample's own pattern."""
_AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def find(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hot and dead pixels (k_y, k_x), two masks.

    A pixel is held against the second-brightest (hot) or third-darkest (dead) of its eight neighbours, so that pairs of hot and
    lines of dead ones are found; at the edge of a disc there are at least three on either side, and it stays.

    Args:
        patterns: A sample from all over the scan (pattern, k_y, k_x).
    """
    n, *shape = patterns.shape
    nothing = np.zeros(shape, bool)
    if n < FEWEST or min(shape) < 3:
        return nothing, nothing
    mean = _typical_mean(patterns)
    scatter = _gain(patterns) / (n / 2)  # half of the parts are in the typical mean
    # beyond the border lies what is inside for the hot; for the dead the border itself, so that a feature may end there
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
    clear = 2 * (np.sqrt(dark) - np.sqrt(np.maximum(mean, 0))) > SIGMAS * np.sqrt(scatter)
    dead = clear & (dark - mean > np.maximum(steep, floor))
    return hot, dead


def too_many(bad: np.ndarray) -> bool:
    """Whether so many pixels stand out that it must be what is recorded, not the detector."""
    return float(bad.mean()) > MOST


def filled(mean: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The pattern (k_y, k_x) with the median of the neighbours that are valid where a pixel is not."""
    if valid.all() or min(mean.shape) < 3 or not valid.any():
        return mean
    known = np.where(valid, mean, np.nan)
    around = _neighbours(known, "reflect")
    level = float(np.median(mean[valid]))
    none = np.isnan(around).all(axis=0)
    around[0][none] = level
    return np.where(valid, mean, np.nanmedian(around, axis=0))


def _typical_mean(patterns: np.ndarray) -> np.ndarray:
    """The mean pattern, not moved by one pattern that a cosmic ray hit: the middle of the means of four parts."""
    parts = np.sort([patterns[start::4].mean(axis=0, dtype=float) for start in range(4)], axis=0)
    return parts[1:3].mean(axis=0)


def _gain(patterns: np.ndarray) -> float:
    """Variance over mean of a pixel that counts: 1 for single electrons."""
    mean = patterns.mean(axis=0, dtype=float)
    lit = np.flatnonzero(mean > LIT * np.quantile(mean, 0.99))
    if not len(lit):
        return 0.0
    some = lit[:: -(-len(lit) // PIXELS)]
    counts = patterns.reshape(len(patterns), -1)[:, some]
    return float(np.median(counts.var(axis=0, dtype=float) / mean.flat[some]))


def _neighbours(image: np.ndarray, beyond: Literal["reflect", "edge"]) -> np.ndarray:
    """The eight neighbours of every pixel (8, k_y, k_x)."""
    rows, columns = image.shape
    padded = np.pad(image, 1, mode=beyond)
    return np.stack([padded[1 + y : 1 + y + rows, 1 + x : 1 + x + columns] for y, x in _AROUND])
