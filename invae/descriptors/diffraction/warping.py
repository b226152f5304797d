"""Resampling of a detector's pattern by any map: an ellipse becomes round, or the patch is a polar grid, on which a turn is a shift.

Every detector pixel is divided into small squares; each is assigned to the patch pixel of its centre. Counts are distributed
electron by electron.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from invae.descriptors.diffraction.resampling import MIN_COVER, WHOLE

CUTS = 8
"""Number of squares along the side of a detector pixel."""

Place = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From (y, x) relative to the optic axis [detector pixel] to row and column of the patch, 0 at the outer edge of the first."""


@dataclass(frozen=True, eq=False)
class Warping:
    """Shares of detector pixels in patch pixels."""

    shares: sparse.csr_array
    """(patch pixel, detector pixel): share of the detector pixel that falls into the patch pixel."""
    share: np.ndarray
    """Share of every patch pixel that working detector pixels cover (window, window)."""
    inside: np.ndarray
    """bool (window, window): pixels that belong to the patch."""
    working: np.ndarray
    """bool (k_y, k_x)."""

    def valid(self, *, counts: bool) -> np.ndarray:
        """Valid pixels of the patch: inside it, and covered."""
        return self.inside & (self.share > (WHOLE if counts else MIN_COVER))

    def of(self, patterns: np.ndarray) -> np.ndarray:
        """Sums of patterns (…, k_y, k_x) over the patch's pixels, scaled to full cover, float32."""
        flat = np.where(self.working, patterns, 0).astype(np.float32)
        sums = (self.shares @ flat.reshape(-1, self.working.size).T).T
        patches = sums.reshape(*patterns.shape[:-2], *self.share.shape)
        return (patches / np.maximum(self.share, MIN_COVER)).astype(np.float32)

    def dealt(self, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Counts (…, k_y, k_x) over the patch's pixels as whole numbers: Poisson if the counts are, int64."""
        by_pixel = self.shares.tocsc()
        parts = np.diff(by_pixel.indptr)
        n_parts = int(parts.max(initial=0))
        slot = np.arange(n_parts) < parts[:, None]
        chance = np.zeros((self.working.size, n_parts + 1))
        chance[:, :-1][slot] = by_pixel.data
        chance[:, -1] = np.maximum(1 - chance.sum(1), 0)
        chance /= chance.sum(1, keepdims=True)
        flat = np.where(self.working, counts, 0).astype(np.int64).reshape(-1, self.working.size)
        moved = generator.multinomial(flat, chance)[..., :-1]
        target = np.zeros((self.working.size, n_parts), np.int64)
        target[slot] = by_pixel.indices
        counts_out = np.zeros((len(flat), self.share.size), np.int64)
        pixel = np.arange(self.working.size)
        for part in range(n_parts):
            one = np.ones(len(pixel), np.int64)
            sort = sparse.csr_array(
                (one, (pixel, target[:, part])), shape=(len(pixel), self.share.size)
            )
            counts_out += moved[..., part] @ sort
        return counts_out.reshape(*counts.shape[:-2], *self.share.shape)


def rounded(
    window: int, radius: tuple[float, float], *, ratio: float, angle: float
) -> tuple[Place, np.ndarray, np.ndarray]:
    """A square patch of ±radius on which an ellipse is a circle of the same area.

    Args:
        window: side of the patch [px].
        radius: half its side, (k_y, k_x) [detector pixel].
        ratio: longer over shorter half-axis of the ellipse.
        angle: direction of the longer one from k_x [rad], positive as `np.rot90`.

    Returns:
        The map of positions, areas of the patch's pixels [detector pixel²], and the mask of the inscribed circle.
    """
    along = np.array([-np.sin(angle), np.cos(angle)])
    longer, shorter = ratio**-0.5 - 1, ratio**0.5 - 1
    across = np.array([along[1], -along[0]])
    matrix = np.eye(2) + longer * np.outer(along, along) + shorter * np.outer(across, across)

    def place(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = (matrix[0, 0] * y + matrix[0, 1] * x, matrix[1, 0] * y + matrix[1, 1] * x)
        row, column = ((k / reach + 1) * window / 2 for k, reach in zip(moved, radius, strict=True))
        return row, column

    steps = np.arange(window) - (window - 1) / 2
    inside = np.hypot(steps[:, None], steps) <= window / 2
    area = 4 * radius[0] * radius[1] / window**2
    return place, np.full((window, window), area), inside


def polar(
    window: int, radius: tuple[float, float], *, ratio: float = 1.0, angle: float = 0.0
) -> tuple[Place, np.ndarray, np.ndarray]:
    """Rings from the centre outwards as rows, directions from +x as np.rot90 as columns; arguments and results as in `rounded`."""
    square, _, _ = rounded(window, radius, ratio=ratio, angle=angle)

    def place(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        row, column = (2 * k / window - 1 for k in square(y, x))
        turn = np.mod(np.arctan2(-row, column), 2 * np.pi) / (2 * np.pi)
        return np.hypot(row, column) * window, turn * window

    edges = np.pi * radius[0] * radius[1] * (np.arange(window + 1) / window) ** 2
    area = np.repeat(np.diff(edges)[:, None] / window, window, axis=1)
    return place, area, np.ones((window, window), bool)


def warping(
    working: np.ndarray,
    *,
    centre: tuple[float, float],
    window: int,
    onto: tuple[Place, np.ndarray, np.ndarray],
) -> Warping:
    """Patches of `window` × `window` pixels by a map about the optic axis.

    Args:
        working: bool (k_y, k_x), false for hot and dead pixels.
        centre: centre of the pattern, (k_y, k_x) [detector pixel].
        window: side of the patch [px].
        onto: result of `rounded` or `polar`.
    """
    place, area, inside = onto
    fine = [(np.arange(n * CUTS) + 0.5) / CUTS - 0.5 - c for n, c in zip(working.shape, centre, strict=True)]  # fmt: skip
    y, x = (grid.ravel() for grid in np.meshgrid(*fine, indexing="ij"))
    # points exactly on an edge go to the same side whatever the rounding
    row, column = (np.floor(k + 1e-9).astype(int) for k in place(y, x))
    index = np.arange(working.size).reshape(working.shape)
    pixel = np.repeat(np.repeat(index, CUTS, axis=0), CUTS, axis=1).ravel()
    inside_patch = (row >= 0) & (row < window) & (column >= 0) & (column < window)
    shares = sparse.coo_array(
        (
            np.full(inside_patch.sum(), CUTS**-2.0),
            (row[inside_patch] * window + column[inside_patch], pixel[inside_patch]),
        ),
        shape=(window * window, working.size),
    ).tocsr()
    covered = (shares @ working.ravel().astype(float)).reshape(window, window)
    # the squares make areas slightly uneven: the number of squares in a pixel counts, not its exact area
    whole = np.maximum((shares @ np.ones(working.size)).reshape(window, window), 0.9 * area)
    return Warping(sparse.csr_array(shares, dtype=np.float32), covered / whole, inside, working)
