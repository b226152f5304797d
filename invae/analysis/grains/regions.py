"""Regions of a scan whose patterns are equal within noise.

Neighbouring probes of one grain have the same pattern, so that their sum has many more electrons than one pattern. Regions are merged
from single probes by Ward's criterion along the grid of the scan; probes whose pattern is a mixture of two neighbouring regions then
go to the nearer one.

Source: Ward 1963, doi:10.1080/01621459.1963.10500845, the criterion of merging.
"""

import heapq
import warnings

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage
from scipy.optimize import nnls
from scipy.stats import chi2

SIGNIFICANCE = 1e-8
"""Probability under which a difference of two regions is no noise; several thousand merges are judged."""
NOISE_ROUNDS, WITHIN = 4, 0.8
"""Rounds of the estimate of the noise, and the share of pairs of neighbours that it uses."""
FEWEST = 6
"""Smallest number of probes in a region; smaller ones join a neighbour."""
NEAR = 2
"""Distance at which a region is a neighbour of a probe [scan step]."""
ROUNDS = 20
SAMPLED = 100
"""Number of the largest regions that are compared."""
SLIVER, MOST_MIXED = 4, 6
"""Distance of regions that may be mixed in a thin one [scan step], and their largest number."""
THIN = 3.5
"""Largest distance to the edge in a thin region, such as the mixed probes along a boundary [scan step]."""
SIMILAR = 0.2
"""Difference of two regions that are one, relative to the typical difference: the thickness may change it."""
MIXED = 0.5
"""Largest distance of a mixture from the best mixture of its neighbours, relative to the distance of these."""

Labels = Int[np.ndarray, "row column"]
Features = Float[np.ndarray, "row column feature"]


def whitened(features: Features) -> Features:
    """Features with uncorrelated noise of variance 1, estimated from differences between neighbours within a region.

    Differences across boundaries are larger than those of noise. The largest ones are left out, round by round.
    """
    down, right = np.diff(features, axis=0), np.diff(features, axis=1)
    steps = np.concatenate([d.reshape(-1, features.shape[-1]) for d in (down, right)])
    used, size = np.ones(len(steps), bool), features.shape[-1]
    floor = 1e-6 * np.diag(features.var((0, 1)) + np.finfo(float).tiny)
    covariance = floor
    for _ in range(NOISE_ROUNDS):
        covariance = steps[used].T @ steps[used] / (2 * used.sum()) + floor
        distance = (steps * np.linalg.solve(covariance, steps.T).T).sum(1)
        used = distance <= np.quantile(distance, WITHIN)
    values, vectors = np.linalg.eigh(covariance)
    white = features @ (vectors / np.sqrt(values))
    inside = (np.diff(white, axis=1) ** 2).sum(-1).ravel()
    # the trimming takes the tail of noise too: the median of a chi-square corrects the scale
    return white * np.sqrt(2 * chi2.median(size) / np.median(inside))


def find_regions(features: Features) -> Labels:
    """The region of every probe, numbered from 0.

    Args:
        features: of the patterns, with independent noise of variance 1.
    """
    labels = _joined(_merged(features), features)
    labels = _dissolved(labels, features)
    return _numbered(_without_fragments(labels, features))


def _merged(features: Features) -> Labels:
    """Regions by merging neighbours until the least difference is significant."""
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.feature_extraction.image import grid_to_graph

    rows, columns, size = features.shape
    # Ward's distance squared is twice the increase of the sum of squares
    limit = float(np.sqrt(2 * chi2.isf(SIGNIFICANCE, size)))
    model = AgglomerativeClustering(
        n_clusters=None,  # pyright: ignore[reportArgumentType]
        distance_threshold=limit,
        connectivity=grid_to_graph(rows, columns),
        linkage="ward",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the number of connected components")
        return model.fit_predict(features.reshape(-1, size)).reshape(rows, columns)


def _joined(labels: Labels, features: Features) -> Labels:
    """Labels after joining neighbours whose patterns are alike, the most similar ones first."""
    labels = _numbered(labels)
    centres, number = centres_of(features, labels)
    touching, size = neighbours_of(labels), features.shape[-1]
    limit = SIMILAR**2 * typical_difference(centres, number)
    parent = np.arange(len(number))
    queue: list[tuple[float, int, int]] = []

    def excess(a: int, b: int) -> float:
        """Squared difference beyond that of noise."""
        step = centres[a] - centres[b]
        return float(step @ step) - size * (1 / number[a] + 1 / number[b])

    for a, others in enumerate(touching):
        queue += [(excess(a, b), a, b) for b in others if a < b]
    heapq.heapify(queue)
    while queue and queue[0][0] < limit:
        value, a, b = heapq.heappop(queue)
        if parent[a] != a or parent[b] != b or value != excess(a, b):
            continue
        centres[a] = (number[a] * centres[a] + number[b] * centres[b]) / (number[a] + number[b])
        number[a] += number[b]
        parent[b] = a
        touching[a] = (touching[a] | touching[b]) - {a, b}
        for c in touching[a]:
            touching[c] = (touching[c] - {b}) | {a}
            heapq.heappush(queue, (excess(min(a, c), max(a, c)), min(a, c), max(a, c)))
    while (parent[parent] != parent).any():
        parent = parent[parent]
    return parent[labels]


def typical_difference(centres: np.ndarray, number: np.ndarray) -> float:
    """Median squared difference between two probes of different regions, without noise."""
    largest = np.argsort(-number, kind="stable")[:SAMPLED]
    step = centres[largest][:, None] - centres[largest]
    squares = (step**2).sum(-1) - centres.shape[1] * (1 / number[largest][:, None] + 1 / number[largest])  # fmt: skip
    pairs = np.outer(number[largest], number[largest])[np.triu_indices(len(largest), 1)]
    values = squares[np.triu_indices(len(largest), 1)]
    if not len(values):
        return 0.0
    order = np.argsort(values)
    share = np.cumsum(pairs[order]) / pairs.sum()
    return max(float(values[order][np.searchsorted(share, 0.5)]), 0.0)


def _without_fragments(labels: Labels, features: Features) -> Labels:
    """Connected labels; the probes of small fragments go to the most similar neighbour."""
    labels = _numbered(labels)
    number = np.bincount(labels.ravel())
    large = number >= FEWEST
    if not large.any():
        return labels
    kept = np.where(large[labels], labels, -1)
    return reassigned(kept, features, only_missing=True)


def centres_of(features: Features, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Mean features of every region (region, feature), and number of its probes (region,); −1 is no region."""
    used = labels.ravel() >= 0
    flat, own = features.reshape(-1, features.shape[-1])[used], labels.ravel()[used]
    number = np.bincount(own)
    sums = [np.bincount(own, values, len(number)) for values in flat.T]
    return np.stack(sums, axis=1) / np.maximum(number, 1)[:, None], number


def _dissolved(labels: Labels, features: Features) -> Labels:
    """Labels without regions that are too small or mixtures; their probes go to the nearest region in features."""
    labels = _numbered(labels)
    centres, number = centres_of(features, labels)
    depth, around = depth_of(labels), _around(labels)
    thick = (depth > THIN) & (number >= FEWEST)
    kept = number >= FEWEST
    if not kept.any():
        return np.zeros_like(labels)
    for region in np.flatnonzero(kept & ~thick):
        others = [n for n in around[region] if thick[n] or number[n] > 2 * number[region]]
        kept[region] = not _is_mixture(centres[region], number[region], centres[others])
    return reassigned(np.where(kept[labels], labels, -1), features)


def _is_mixture(centre: np.ndarray, number: int, others: np.ndarray) -> bool:
    """Whether a region is a mixture of others near it (region, feature)."""
    if len(others) < 2:
        return False
    nearest = others[np.argsort(((others - centre) ** 2).sum(1), kind="stable")[:MOST_MIXED]]
    apart = float(((nearest - nearest.mean(0)) ** 2).sum(1).mean()) * 2
    sums = 1e3 * np.sqrt(max(apart, 1e-12))  # the shares add up to 1
    matrix = np.vstack((nearest.T, np.full(len(nearest), sums)))
    shares, _ = nnls(matrix, np.append(centre, sums))
    residual = centre - shares @ nearest
    noise = 2 * len(centre) / number
    return bool(residual @ residual < noise + MIXED**2 * apart)


def _around(labels: Labels) -> list[set[int]]:
    """Regions near each region."""
    found: list[set[int]] = [set() for _ in range(int(labels.max()) + 1)]
    near = _near(labels, SLIVER)
    for place in range(near.shape[-1]):
        pairs = np.unique(np.stack((labels.ravel(), near[..., place].ravel()), axis=1), axis=0)
        for a, b in pairs[(pairs >= 0).all(1) & (pairs[:, 0] != pairs[:, 1])]:
            found[a].add(int(b))
    return found


def depth_of(labels: Labels) -> np.ndarray:
    """Largest distance to another region, for every region [scan step]."""
    inner = np.pad(labels, 1, mode="edge")
    edge = np.zeros(labels.shape, bool)
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        other = inner[down : down + labels.shape[0], right : right + labels.shape[1]]
        edge |= other != labels
    distance = np.asarray(ndimage.distance_transform_edt(~edge)) + 1
    return np.asarray(ndimage.maximum(distance, labels, np.arange(labels.max() + 1)))


def neighbours_of(labels: Labels) -> list[set[int]]:
    """Regions that touch each region."""
    touching: list[set[int]] = [set() for _ in range(int(labels.max()) + 1)]
    for first, second in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        for a, b in np.unique(np.stack((first.ravel(), second.ravel()), axis=1), axis=0):
            if a != b and a >= 0 and b >= 0:
                touching[a].add(int(b))
                touching[b].add(int(a))
    return touching


def reassigned(labels: Labels, features: Features, *, only_missing: bool = False) -> Labels:
    """Every probe, or every one without a region (−1), goes to the most similar region among those near it."""
    fixed = (labels >= 0) & only_missing
    centres, _ = centres_of(features, labels)
    for _ in range(ROUNDS):
        candidates = _near(labels, NEAR)
        distance = ((features[..., None, :] - centres[candidates]) ** 2).sum(-1)
        distance = np.where(candidates >= 0, distance, np.inf)
        best = np.take_along_axis(candidates, distance.argmin(-1)[..., None], axis=-1)[..., 0]
        best = np.where(fixed, labels, best)
        if (best == labels).all():
            break
        labels = best
    return labels


def _near(labels: Labels, reach: int) -> Int[np.ndarray, "row column place"]:
    """Labels in the square around every probe."""
    padded = np.pad(labels, reach, constant_values=-1)
    rows, columns = labels.shape
    steps = range(2 * reach + 1)
    return np.stack([padded[y : y + rows, x : x + columns] for y in steps for x in steps], axis=-1)


def _numbered(labels: Labels) -> Labels:
    """Connected regions, numbered from 0."""
    from skimage.measure import label

    return np.asarray(label(labels + 1, background=-1, connectivity=1)) - 1
