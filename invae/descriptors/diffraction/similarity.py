"""Probes whose surroundings look alike, so that their patterns can be added up: non-local averaging of a scan.

One pattern of few electrons says little, and the sum of neighbours is blurred. In a crystal the same structure lies under many
probes; which ones, the patterns around each of them say together. Every pattern is reduced to a few numbers (rings and their
harmonics, in units of noise, and of these the directions in which neighbouring probes agree); a square of them around a probe is
what it is known by, in the principal directions that stand out of the noise. Surroundings are compared as they lie, not turned:
what is added up is one structure in one direction.

Source: Buades, Coll & Morel 2005, doi:10.1137/040616024 (non-local means); Mevenkamp et al. 2015, doi:10.1186/s40679-015-0004-8,
use it on images of crystals, counting noise included. Reduction and comparison are our own.
"""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np

RINGS = (0.0, 0.5, 0.8, 0.95, 1.05, 1.3, 1.7)
"""Edges of the rings, in discs: inside, towards the edge, the edge, and the dark field."""
HARMONICS = 3
FEWEST_AGREEING = 3
"""Directions that are kept in any case: two of the deflection, and the dark field."""
CLEARLY = 1.5
"""How much larger than what noise alone makes an agreement must be."""
FEWEST, MOST = 4, 24
"""Principal directions of surroundings."""
LEARNED = 4096
"""Surroundings from which the principal directions are learned, evenly chosen."""
AT_ONCE = 4096
"""Probes that are worked on together."""


def templates(
    working: np.ndarray, *, centre: tuple[float, float], radius: tuple[float, float]
) -> np.ndarray:
    """Rings and their harmonics as weights of detector pixels (template, k_y, k_x).

    Args:
        working: bool (k_y, k_x).
        centre: of the pattern [detector pixel].
        radius: of the bright-field disc along both axes [detector pixel].
    """
    y, x = (
        (np.arange(n) - middle) / size
        for n, middle, size in zip(working.shape, centre, radius, strict=True)
    )
    distance, angle = np.hypot(y[:, None], x), np.arctan2(-y[:, None], x)
    found = []
    for low, high in pairwise(RINGS):
        ring = ((distance >= low) & (distance < high) & working).astype(np.float32)
        if ring.sum() > 2 * HARMONICS:
            found += [ring]
            for frequency in range(1, HARMONICS + 1):
                found += [ring * np.cos(frequency * angle), ring * np.sin(frequency * angle)]
    return np.stack(found).astype(np.float32)


def reduced(patterns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Patterns (row, column, k_y, k_x) as one number for every template (row, column, template)."""
    flat = patterns.reshape(*patterns.shape[:2], -1).astype(np.float32)
    return flat @ weights.reshape(len(weights), -1).T


def noise_of_counts(mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Covariance of the templates' numbers by counting noise alone (template, template).

    Args:
        mean: pattern (k_y, k_x) [count].
        weights: templates.
    """
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    return (flat * np.maximum(mean, 0).ravel()) @ flat.T


def noise_between(numbers: np.ndarray) -> np.ndarray:
    """The same where values are no counts: half the covariance of differences between neighbours in a row."""
    steps = np.diff(numbers.astype(np.float64), axis=1).reshape(-1, numbers.shape[-1])
    return steps.T @ steps / (2 * len(steps))


def known_by(numbers: np.ndarray, noise: np.ndarray, *, half: int) -> np.ndarray:
    """What every probe is known by (row, column, direction): alike probes lie close together.

    Args:
        numbers: of every probe (row, column, template).
        noise: their covariance by noise (template, template).
        half: half the side of the square of probes that is looked at [scan step].
    """
    agreeing = _agreeing(_white(numbers, noise))
    half = min(half, (min(agreeing.shape[:2]) - 1) // 2)
    weight = _weights(half)
    inner = [slice(half, n - half) for n in agreeing.shape[:2]]
    rows, columns = (np.arange(n)[cut] for n, cut in zip(agreeing.shape[:2], inner, strict=True))
    whole = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    few = whole[np.linspace(0, len(whole) - 1, min(LEARNED, len(whole))).astype(int)]
    seen = _surroundings(agreeing, few, weight, half=half, offsets=_offsets(half))
    middle = seen.mean(0)
    values, vectors = _principal(seen - middle)
    found = np.empty((*agreeing.shape[:2], len(values)), np.float32)
    for sites, offsets in _alike_clipped(agreeing.shape[:2], half=half):
        kept = _flat_index(offsets, half=half, width=agreeing.shape[-1])
        some = vectors[kept]
        # what lies beyond the scan is unknown: a normal prior of the direction's own spread stands in for it
        doubt = some.T @ some + np.diag(1 / np.maximum(values - 1, 0.05))
        for start in range(0, len(sites), AT_ONCE):
            part = sites[start : start + AT_ONCE]
            told = _surroundings(agreeing, part, weight, half=half, offsets=offsets) - middle[kept]
            found[part[:, 0], part[:, 1]] = np.linalg.solve(doubt, some.T @ told.T).T
    return found


def alike(
    places: np.ndarray, sites: np.ndarray, *, first_row: int, n_probes: int, reach: int
) -> np.ndarray:
    """The probes most like each of some, themselves among them (site, n_probes), as flat indices into `places`.

    Args:
        places: what probes are known by, of whole rows of the scan from `first_row` on (row, column, direction).
        sites: (site, 2), row and column in the scan.
        first_row: of `places` in the scan.
        n_probes: how many.
        reach: farthest along each axis [scan step].
    """
    height, width = places.shape[:2]
    rows, columns = sites[:, 0] - first_row, sites[:, 1]
    left, right = max(columns.min() - reach, 0), min(columns.max() + reach + 1, width)
    around = places[:, left:right].reshape(height * (right - left), -1)
    own = places[rows, columns]
    apart = (own**2).sum(1)[:, None] + (around**2).sum(1) - 2 * own @ around.T
    y, x = np.divmod(np.arange(len(around)), right - left)
    far = (np.abs(y - rows[:, None]) > reach) | (np.abs(x + left - columns[:, None]) > reach)
    apart[far] = np.inf
    apart[np.arange(len(sites)), rows * (right - left) + columns - left] = -np.inf
    chosen = np.argpartition(apart, n_probes - 1, axis=1)[:, :n_probes]
    return np.sort(y[chosen] * width + x[chosen] + left, axis=1)


def _white(numbers: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Numbers in directions whose noise is 1 and independent, of mean 0."""
    values, vectors = np.linalg.eigh(noise)
    kept = values > 1e-9 * values.max()
    centred = numbers - numbers.mean((0, 1), dtype=np.float64)
    return centred @ (vectors[:, kept] / np.sqrt(values[kept]))


def _agreeing(white: np.ndarray) -> np.ndarray:
    """The directions in which neighbouring probes agree (row, column, direction); noise agrees with nobody."""
    width, total, n_pairs = white.shape[-1], 0.0, 0
    for first, second in ((white[:-1], white[1:]), (white[:, :-1], white[:, 1:])):
        total = total + first.reshape(-1, width).T @ second.reshape(-1, width)
        n_pairs += first.shape[0] * first.shape[1]
    values, vectors = np.linalg.eigh((total + np.transpose(total)) / 2 / n_pairs)
    by_chance = CLEARLY * max(-float(values[0]), 0.0)
    n_kept = max(FEWEST_AGREEING, int((values > by_chance).sum()))
    return white @ vectors[:, ::-1][:, :n_kept]


def _offsets(half: int) -> np.ndarray:
    """Places in the square around a probe (place, 2), row by row."""
    steps = range(-half, half + 1)
    return np.array(list(product(steps, steps)))


def _weights(half: int) -> np.ndarray:
    """Weight of every place in the square: a Gaussian whose square has an sd of five eighths of its half side."""
    distance = (_offsets(half) ** 2).sum(1)
    return np.exp(-distance / (4 * (0.625 * max(half, 1)) ** 2))


def _surroundings(
    values: np.ndarray, sites: np.ndarray, weight: np.ndarray, *, half: int, offsets: np.ndarray
) -> np.ndarray:
    """Weighted values at some places around some probes (site, place × direction)."""
    place = sites[:, None] + offsets
    index = _place_index(offsets, half=half)
    around = values[place[..., 0], place[..., 1]] * weight[index][:, None]
    return around.reshape(len(sites), -1)


def _place_index(offsets: np.ndarray, *, half: int) -> np.ndarray:
    return (offsets[:, 0] + half) * (2 * half + 1) + offsets[:, 1] + half


def _flat_index(offsets: np.ndarray, *, half: int, width: int) -> np.ndarray:
    """Which of all places × directions belong to some places."""
    index = _place_index(offsets, half=half)
    return (index[:, None] * width + np.arange(width)).ravel()


def _principal(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances and directions that stand out of noise of variance 1 (direction,), (number, direction).

    Source: Marchenko & Pastur 1967, doi:10.1070/SM1967v001n04ABEH001994, for the largest variance that noise makes.
    """
    n_sites, n_numbers = centred.shape
    values, vectors = np.linalg.eigh(centred.T @ centred / n_sites)
    edge = (1 + np.sqrt(n_numbers / n_sites)) ** 2
    n_kept = int(np.clip((values > edge).sum(), FEWEST, MOST))
    return values[::-1][:n_kept], vectors[:, ::-1][:, :n_kept]


def _alike_clipped(shape: tuple[int, ...], *, half: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Probes (site, 2) that see the same part of their square, and the places in it (place, 2)."""
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
