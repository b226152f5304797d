"""Resampling of a detector's pattern to the pixels of a patch, by exact overlap of pixels.

Rows and columns are separable, so resampling is two small matrices. Counts are distributed electron by electron, not divided into
fractions: if each of a Poisson number of electrons is assigned at random to one of two pixels, both have independent Poisson
numbers.
"""

from dataclasses import dataclass

import numpy as np

MIN_COVER = 0.5
"""Minimum share of a patch pixel that working detector pixels cover."""
WHOLE = 1 - 1e-3


@dataclass(frozen=True, eq=False)
class Resampling:
    """Shares of detector pixels in patch pixels, along both axes."""

    rows: np.ndarray
    """(window, k_y): share of a detector row that falls into a row of the patch."""
    columns: np.ndarray
    """(window, k_x)."""
    share: np.ndarray
    """Share of every patch pixel that working detector pixels cover (window, window)."""
    working: np.ndarray
    """bool (k_y, k_x)."""

    def valid(self, *, counts: bool) -> np.ndarray:
        """Valid pixels of the patch: inside the inscribed circle, and covered."""
        steps = np.arange(len(self.rows)) - (len(self.rows) - 1) / 2
        inside = np.hypot(steps[:, None], steps) <= len(steps) / 2
        return inside & (self.share > (WHOLE if counts else MIN_COVER))

    def of(self, patterns: np.ndarray) -> np.ndarray:
        """Sums of patterns (…, k_y, k_x) over the patch's pixels, scaled to full cover, float32."""
        patterns = np.where(self.working, patterns, 0).astype(np.float32)
        sums = self.rows @ patterns @ self.columns.T
        return sums / np.maximum(self.share, MIN_COVER).astype(np.float32)

    def dealt(self, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Counts (…, k_y, k_x) over the patch's pixels as whole numbers: Poisson if the counts are, int64."""
        counts = np.where(self.working, counts, 0).astype(np.int64)
        across = _deal(counts, self.columns, generator)
        return _deal(across.swapaxes(-1, -2), self.rows, generator).swapaxes(-1, -2)


def resampling(
    working: np.ndarray, *, centre: tuple[float, float], radius: tuple[float, float], window: int
) -> Resampling:
    """Patches of `window` pixels with their middle at `centre` and their sides at a distance of `radius`.

    Args:
        working: bool (k_y, k_x), false for hot and dead pixels.
        centre: centre of the pattern, (k_y, k_x) [detector pixel].
        radius: half the side of the patch (k_y, k_x) [detector pixel].
        window: side of the patch [px].
    """
    rows, columns = (
        overlap(n, centre=middle, radius=reach, window=window)
        for n, middle, reach in zip(working.shape, centre, radius, strict=True)
    )
    areas = [2 * reach / window for reach in radius]
    share = rows @ working.astype(float) @ columns.T / (areas[0] * areas[1])
    return Resampling(rows.astype(np.float32), columns.astype(np.float32), share, working)


def overlap(n_pixels: int, *, centre: float, radius: float, window: int) -> np.ndarray:
    """Share of every detector pixel that lies in each of `window` equal parts of ±radius (window, n_pixels)."""
    edges = np.linspace(centre - radius, centre + radius, window + 1) + 0.5
    pixel = np.arange(n_pixels)
    return np.clip(
        np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel), 0, 1
    )


def _deal(counts: np.ndarray, shares: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Counts (…, n) distributed at random to the parts of the last axis, electron by electron (…, part)."""
    dealt = np.zeros((*counts.shape[:-1], len(shares)), np.int64)
    remaining, used = counts.copy(), np.zeros(counts.shape[-1])
    for part, share in enumerate(shares.astype(np.float64)):
        here = np.flatnonzero(share)
        chance = np.clip(share[here] / np.maximum(1 - used[here], share[here]), 0, 1)
        # float32 shares of a pixel inside one part may sum to a little less than 1
        chance[chance > 1 - 1e-6] = 1.0
        moved = generator.binomial(remaining[..., here], chance)
        dealt[..., part] = moved.sum(-1)
        remaining[..., here] -= moved
        used[here] += share[here]
    return dealt
