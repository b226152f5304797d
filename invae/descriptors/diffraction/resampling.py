"""A detector's pattern onto the pixels of a patch: what falls into each of them, to any fraction of a pixel.

Rows and columns are apart, so resampling is two small matrices. Counts are dealt out electron by electron instead of being cut
into fractions: a Poisson number of electrons, each sent one way or the other by chance, is two independent Poisson numbers.
"""

from dataclasses import dataclass

import numpy as np

LEAST_KNOWN = 0.5
"""Share of a patch pixel that must be covered by working detector pixels."""
WHOLE = 1 - 1e-3


@dataclass(frozen=True, eq=False)
class Resampling:
    """Where every detector pixel goes, along both axes."""

    rows: np.ndarray
    """(window, k_y): share of a detector row that falls into a row of the patch."""
    columns: np.ndarray
    """(window, k_x)."""
    share: np.ndarray
    """Share of every patch pixel that working detector pixels cover (window, window)."""
    working: np.ndarray
    """bool (k_y, k_x)."""

    def valid(self, *, counts: bool) -> np.ndarray:
        """Pixels of the patch that are to be believed: inside the inscribed circle, and covered."""
        steps = np.arange(len(self.rows)) - (len(self.rows) - 1) / 2
        inside = np.hypot(steps[:, None], steps) <= len(steps) / 2
        return inside & (self.share > (WHOLE if counts else LEAST_KNOWN))

    def of(self, patterns: np.ndarray) -> np.ndarray:
        """Sums of patterns (…, k_y, k_x) over the patch's pixels, made up for what is not covered, float32."""
        patterns = np.where(self.working, patterns, 0).astype(np.float32)
        sums = self.rows @ patterns @ self.columns.T
        return sums / np.maximum(self.share, LEAST_KNOWN).astype(np.float32)

    def dealt(self, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Counts (…, k_y, k_x) over the patch's pixels as whole numbers: Poisson if the counts are, int64."""
        counts = np.where(self.working, counts, 0).astype(np.int64)
        across = _deal(counts, self.columns, generator)
        return _deal(across.swapaxes(-1, -2), self.rows, generator).swapaxes(-1, -2)


def resampling(
    working: np.ndarray, *, centre: tuple[float, float], radius: tuple[float, float], window: int
) -> Resampling:
    """Patches of `window` pixels whose middle is at `centre` and whose sides are `radius` away.

    Args:
        working: bool (k_y, k_x), false for hot and dead pixels.
        centre: of the pattern, (k_y, k_x) [detector pixel].
        radius: (k_y, k_x) [detector pixel].
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
    """Counts (…, n) sent to the parts of the last axis, each electron by chance, (…, part)."""
    dealt = np.zeros((*counts.shape[:-1], len(shares)), np.int64)
    left, gone = counts.copy(), np.zeros(counts.shape[-1])
    for part, share in enumerate(shares.astype(np.float64)):
        here = np.flatnonzero(share)
        chance = np.clip(share[here] / np.maximum(1 - gone[here], share[here]), 0, 1)
        # float32 shares of a pixel that is all in one part may add up to a little less than 1
        chance[chance > 1 - 1e-6] = 1.0
        sent = generator.binomial(left[..., here], chance)
        dealt[..., part] = sent.sum(-1)
        left[..., here] -= sent
        gone[here] += share[here]
    return dealt
