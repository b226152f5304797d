"""Probes with similar surroundings, whose patterns can be summed: non-local averaging of a scan.

One pattern of few electrons has little information, and a sum over neighbours is blurred. In a crystal many probes lie on the same
structure, and the patterns around each probe identify them. Every pattern is reduced to a few numbers: rings and their harmonics,
in units of noise, and of these the directions in which neighbouring probes are correlated. The features of a probe are a square of
these numbers around it, in the principal components above the noise. Surroundings are compared without rotation, so a sum has one
structure in one orientation.

Source: Buades, Coll & Morel 2005, doi:10.1137/040616024 (non-local means); Mevenkamp et al. 2015, doi:10.1186/s40679-015-0004-8,
use it on images of crystals, counting noise included. Reduction and comparison are our own.
"""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
from scipy.stats import chi2

RINGS = (0.0, 0.5, 0.8, 0.95, 1.05, 1.3, 1.7)
"""Edges of the rings, in radii of the disc: the inner disc, the outer disc, its edge, and the dark field."""
HARMONICS = 3
MIN_CORRELATED = 3
"""Minimum number of directions: two of the deflection, and the dark field."""
MIN_RATIO = 1.5
"""Minimum correlation of neighbours, relative to the largest one from noise alone."""
MIN_COMPONENTS, MAX_COMPONENTS = 4, 24
"""Limits on the number of principal components of surroundings."""
N_SAMPLES = 4096
"""Number of surroundings, evenly spaced, from which the principal components are computed."""
NOISE_QUANTILE = 0.99
"""Probability that noise alone keeps two probes of equal surroundings closer than the largest distance in a sum."""
BATCH = 4096
"""Number of probes per batch."""


def templates(
    working: np.ndarray, *, centre: tuple[float, float], radius: tuple[float, float]
) -> np.ndarray:
    """Rings and their harmonics as weights of detector pixels (template, k_y, k_x).

    Args:
        working: bool (k_y, k_x).
        centre: centre of the pattern [detector pixel].
        radius: radius of the bright-field disc along both axes [detector pixel].
    """
    y, x = (
        (np.arange(n) - middle) / size
        for n, middle, size in zip(working.shape, centre, radius, strict=True)
    )
    distance, angle = np.hypot(y[:, None], x), np.arctan2(-y[:, None], x)
    rings = []
    for low, high in pairwise(RINGS):
        ring = ((distance >= low) & (distance < high) & working).astype(np.float32)
        if ring.sum() > 2 * HARMONICS:
            rings += [ring]
            for frequency in range(1, HARMONICS + 1):
                rings += [ring * np.cos(frequency * angle), ring * np.sin(frequency * angle)]
    return np.stack(rings).astype(np.float32)


def reduced(patterns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Patterns (row, column, k_y, k_x) as one number for every template (row, column, template)."""
    flat = patterns.reshape(*patterns.shape[:2], -1).astype(np.float32)
    return flat @ weights.reshape(len(weights), -1).T


def noise_of_counts(mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Covariance of the templates' numbers from counting noise alone (template, template).

    Args:
        mean: mean pattern (k_y, k_x) [count].
        weights: templates.
    """
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    return (flat * np.maximum(mean, 0).ravel()) @ flat.T


def noise_between(numbers: np.ndarray) -> np.ndarray:
    """Noise covariance of values that are no counts: half the covariance of differences between neighbours in a row."""
    steps = np.diff(numbers.astype(np.float64), axis=1).reshape(-1, numbers.shape[-1])
    return steps.T @ steps / (2 * len(steps))


def features_of(numbers: np.ndarray, noise: np.ndarray, *, half: int) -> np.ndarray:
    """Features of every probe (row, column, direction): similar probes lie close together.

    Args:
        numbers: numbers of every probe (row, column, template).
        noise: their noise covariance (template, template).
        half: half the side of the square of surrounding probes [scan step].
    """
    correlated = _correlated(_white(numbers, noise))
    half = min(half, (min(correlated.shape[:2]) - 1) // 2)
    weight = _weights(half)
    inner = [slice(half, n - half) for n in correlated.shape[:2]]
    rows, columns = (np.arange(n)[cut] for n, cut in zip(correlated.shape[:2], inner, strict=True))
    whole = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    few = whole[np.linspace(0, len(whole) - 1, min(N_SAMPLES, len(whole))).astype(int)]
    samples = _surroundings(correlated, few, weight, half=half, offsets=_offsets(half))
    middle = samples.mean(0)
    values, vectors = _principal(samples - middle)
    features = np.empty((*correlated.shape[:2], len(values)), np.float32)
    for sites, offsets in _clipped_groups(correlated.shape[:2], half=half):
        kept = _flat_index(offsets, half=half, width=correlated.shape[-1])
        basis = vectors[kept]
        # values beyond the scan are unknown: a Normal prior with the variance of each component replaces them
        precision = basis.T @ basis + np.diag(1 / np.maximum(values - 1, 0.05))
        for start in range(0, len(sites), BATCH):
            part = sites[start : start + BATCH]
            values_here = (
                _surroundings(correlated, part, weight, half=half, offsets=offsets) - middle[kept]
            )
            features[part[:, 0], part[:, 1]] = np.linalg.solve(precision, basis.T @ values_here.T).T
    return features


def most_similar(
    features: np.ndarray,
    sites: np.ndarray,
    *,
    first_row: int,
    n_probes: int,
    fewest: int | None = None,
    reach: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The probes most similar to each site, itself included, as flat indices into `features`, and which of them are equal to it
    within noise, or among the `fewest` most similar ones (site, n_probes).

    Args:
        features: features of probes in whole rows of the scan from `first_row` on (row, column, direction).
        sites: (site, 2), row and column in the scan.
        first_row: first row of `features` in the scan.
        n_probes: number of probes per site.
        fewest: number of probes that count in any case; all when empty.
        reach: largest distance along each axis [scan step].
    """
    height, width = features.shape[:2]
    rows, columns = sites[:, 0] - first_row, sites[:, 1]
    left, right = max(columns.min() - reach, 0), min(columns.max() + reach + 1, width)
    around = features[:, left:right].reshape(height * (right - left), -1)
    own = features[rows, columns]
    distance_squared = (own**2).sum(1)[:, None] + (around**2).sum(1) - 2 * own @ around.T
    y, x = np.divmod(np.arange(len(around)), right - left)
    far = (np.abs(y - rows[:, None]) > reach) | (np.abs(x + left - columns[:, None]) > reach)
    distance_squared[far] = np.inf
    distance_squared[np.arange(len(sites)), rows * (right - left) + columns - left] = -np.inf
    chosen = np.sort(np.argpartition(distance_squared, n_probes - 1, axis=1)[:, :n_probes], axis=1)
    apart = np.take_along_axis(distance_squared, chosen, axis=1)
    most = np.full((len(sites), 1), np.inf)
    if fewest is not None and fewest < n_probes:
        by_noise = 2 * float(chi2.ppf(NOISE_QUANTILE, features.shape[-1]))
        most = np.maximum(np.partition(apart, fewest - 1, axis=1)[:, fewest - 1 : fewest], by_noise)
    return y[chosen] * width + x[chosen] + left, apart <= most


def _white(numbers: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Whitened numbers: independent noise of variance 1, mean 0."""
    values, vectors = np.linalg.eigh(noise)
    kept = values > 1e-9 * values.max()
    centred = numbers - numbers.mean((0, 1), dtype=np.float64)
    return centred @ (vectors[:, kept] / np.sqrt(values[kept]))


def _correlated(white: np.ndarray) -> np.ndarray:
    """Values along the directions in which neighbouring probes are correlated (row, column, direction); noise is uncorrelated."""
    width, total, n_pairs = white.shape[-1], 0.0, 0
    for first, second in ((white[:-1], white[1:]), (white[:, :-1], white[:, 1:])):
        total = total + first.reshape(-1, width).T @ second.reshape(-1, width)
        n_pairs += first.shape[0] * first.shape[1]
    values, vectors = np.linalg.eigh((total + np.transpose(total)) / 2 / n_pairs)
    from_noise = MIN_RATIO * max(-float(values[0]), 0.0)
    n_kept = max(MIN_CORRELATED, int((values > from_noise).sum()))
    return white @ vectors[:, ::-1][:, :n_kept]


def _offsets(half: int) -> np.ndarray:
    """Offsets in the square around a probe (place, 2), row by row."""
    steps = range(-half, half + 1)
    return np.array(list(product(steps, steps)))


def _weights(half: int) -> np.ndarray:
    """Weight of every offset: a Gaussian whose square has an sd of five eighths of half the side."""
    distance = (_offsets(half) ** 2).sum(1)
    return np.exp(-distance / (4 * (0.625 * max(half, 1)) ** 2))


def _surroundings(
    values: np.ndarray, sites: np.ndarray, weight: np.ndarray, *, half: int, offsets: np.ndarray
) -> np.ndarray:
    """Weighted values at offsets around probes (site, place × direction)."""
    place = sites[:, None] + offsets
    index = _place_index(offsets, half=half)
    around = values[place[..., 0], place[..., 1]] * weight[index][:, None]
    return around.reshape(len(sites), -1)


def _place_index(offsets: np.ndarray, *, half: int) -> np.ndarray:
    return (offsets[:, 0] + half) * (2 * half + 1) + offsets[:, 1] + half


def _flat_index(offsets: np.ndarray, *, half: int, width: int) -> np.ndarray:
    """Flat indices, into places × directions, of some offsets."""
    index = _place_index(offsets, half=half)
    return (index[:, None] * width + np.arange(width)).ravel()


def _principal(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances and directions of principal components above noise of variance 1 (direction,), (number, direction).

    Source: Marchenko & Pastur 1967, doi:10.1070/SM1967v001n04ABEH001994, for the largest variance from noise alone.
    """
    n_sites, n_numbers = centred.shape
    values, vectors = np.linalg.eigh(centred.T @ centred / n_sites)
    edge = (1 + np.sqrt(n_numbers / n_sites)) ** 2
    n_kept = int(np.clip((values > edge).sum(), MIN_COMPONENTS, MAX_COMPONENTS))
    return values[::-1][:n_kept], vectors[:, ::-1][:, :n_kept]


def _clipped_groups(
    shape: tuple[int, ...], *, half: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Groups of probes (site, 2) whose square is clipped equally by the scan, and the offsets inside (place, 2)."""
    clipped = [
        np.stack((np.minimum(np.arange(n), half), np.minimum(n - 1 - np.arange(n), half)), axis=1)
        for n in shape
    ]
    kinds = [np.unique(one, axis=0) for one in clipped]
    offsets = _offsets(half)
    for (up, down), (left, right) in product(*kinds):
        rows, columns = (
            np.flatnonzero((one == kind).all(1))
            for one, kind in zip(clipped, ((up, down), (left, right)), strict=True)
        )
        y, x = offsets.T
        inside = (y >= -up) & (y <= down) & (x >= -left) & (x <= right)
        sites = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
        yield sites, offsets[inside]
