"""Valleys: whether two groups of sites are apart, from the density of their patterns along the line that separates them best.

0: the density has no dip between the groups, they are one cloud. 1: there is nothing between them.
"""

import warnings
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

FEWEST = 8
"""Fewest sites of a group, and half of that in the half on which the line is fitted."""
LOOKED_AT = 3
"""Fewest sites of a group in the half on which the density is looked at."""
NARROW = 0.25
"""Width of the kernel of the density, in units of the spread along the line."""
STEPS = 60
WHOLE_FROM = 30
"""Smallest group that is searched for a valley inside."""
LEAST_PART = 0.08
"""Smallest share of a group that counts as a part of it: fewer sites are outliers."""
APART = 0.5
"""Groups without a deeper valley between them are one kind."""


def valley(
    patterns: Float[np.ndarray, "site number"],
    label: Int[np.ndarray, " site"],
    first: int,
    second: int,
) -> float:
    """Depth of the valley between two groups, 0–1; 0 if one of them has too few sites to tell.

    The line is fitted on one half of the sites, and the density looked at on the other: on the same half, any two groups in
    many dimensions would look apart.
    """
    from scipy.stats import gaussian_kde
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    sites = np.flatnonzero((label == first) | (label == second))
    sites = np.random.default_rng(0).permutation(sites)
    fitted, seen = np.split(sites, [len(sites) // 2])
    if np.ptp(patterns[fitted], axis=0).max(initial=0) <= 0:
        return 0.0
    if min(_count(label, sites, first, second)) < FEWEST:
        return 0.0
    if min(_count(label, fitted, first, second)) < FEWEST // 2:
        return 0.0
    if min(_count(label, seen, first, second)) < LOOKED_AT:
        return 0.0
    line = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=1)
    along = line.fit(patterns[fitted], label[fitted]).transform(patterns[seen])[:, 0]
    begin, end = (float(np.median(along[label[seen] == group])) for group in (first, second))
    if np.ptp(along) <= 0:
        return 0.0
    density = gaussian_kde(along, NARROW)
    lowest = density(np.linspace(begin, end, STEPS)).min()
    return float(1 - lowest / density([begin, end]).min())


def _count(label: np.ndarray, sites: np.ndarray, *groups: int) -> list[int]:
    return [int((label[sites] == group).sum()) for group in groups]


def pairs(label: Int[np.ndarray, " site"]) -> Iterator[tuple[int, int]]:
    """All pairs of groups that have enough sites."""
    counts = np.bincount(label)
    large = np.flatnonzero(counts > FEWEST)
    yield from ((int(a), int(b)) for n, a in enumerate(large) for b in large[n + 1 :])


def shallowest_between(
    patterns: Float[np.ndarray, "site number"], label: Int[np.ndarray, " site"]
) -> tuple[float, tuple[int, int] | None]:
    """The shallowest valley between two groups, and these groups; 1 if there are not two."""
    found = {pair: valley(patterns, label, *pair) for pair in pairs(label)}
    if not found:
        return 1.0, None
    pair = min(found, key=lambda pair: found[pair])
    return found[pair], pair


def deepest_inside(
    patterns: Float[np.ndarray, "site number"], label: Int[np.ndarray, " site"]
) -> tuple[float, int | None]:
    """The deepest valley inside a group, and this group; 0 if none has two parts."""
    depths = {int(k): _inside(patterns[label == k]) for k in np.unique(label)}
    group = max(depths, key=lambda k: depths[k], default=None)
    if group is None or depths[group] == 0:
        return 0.0, None
    return depths[group], group


def _inside(patterns: Float[np.ndarray, "site number"]) -> float:
    """The valley between the two parts of one group, by a mixture of two."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(patterns) < WHOLE_FROM:
        return 0.0
    standard = (patterns - patterns.mean(0)) / (patterns.std(0) + 1e-9)
    mixture = GaussianMixture(2, random_state=0, reg_covar=1e-3, n_init=2)
    with (
        warnings.catch_warnings()
    ):  # equal patterns are no two parts, which the shares below notice
        warnings.simplefilter("ignore", ConvergenceWarning)
        part = mixture.fit_predict(standard)
    if min(part.mean(), 1 - part.mean()) < LEAST_PART:
        return 0.0
    return valley(patterns, part, 0, 1)


def joined(
    patterns: Float[np.ndarray, "site number"],
    label: Int[np.ndarray, " site"],
    *,
    fewest: int = 2,
    apart: float = APART,
) -> list[list[int]]:
    """The groups that are one kind, together: pairs are joined, the shallowest valley first, until all others are apart.

    After every step the valleys of the joined group are measured anew: a few sites between two kinds would chain them otherwise.

    Args:
        patterns: Of every site.
        label: Group of every site.
        fewest: Number of groups that is left at least.
        apart: Depth from which a valley keeps groups apart.
    """
    kinds = [[int(group)] for group in np.unique(label)]
    label = np.searchsorted(np.unique(label), label)
    depths: dict[tuple[int, int], tuple[float, float]] = {}
    alive = list(range(len(kinds)))
    while len(alive) > fewest:
        for n, a in enumerate(alive):
            for b in alive[n + 1 :]:
                if (a, b) not in depths:
                    depths[a, b] = valley(patterns, label, a, b), _distance(patterns, label, a, b)
        (a, b), (depth, _) = min(depths.items(), key=lambda item: item[1])
        if depth >= apart:
            break
        label[label == b] = a
        kinds[a] += kinds[b]
        alive.remove(b)
        depths = {pair: value for pair, value in depths.items() if not {a, b} & {*pair}}
    return [sorted(kinds[group]) for group in alive]


def _distance(patterns: np.ndarray, label: np.ndarray, first: int, second: int) -> float:
    """Distance of the means of two groups: of pairs without a valley, the nearest is joined first."""
    means = [patterns[label == group].mean(0) for group in (first, second)]
    return float(np.linalg.norm(means[0] - means[1]))
