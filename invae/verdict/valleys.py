"""Valleys: whether two groups of sites are apart, from the density of their patterns along the line that separates them best.

0: the density has no dip between the groups, they are one cloud. 1: there is nothing between them.
"""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

FEWEST = 8
"""Fewest sites of a group for which a valley is measured."""
N_SPLITS = 4
"""Random halvings; of a single one, the valley between two pieces of one kind scattered up to 0.6."""
SHRINKAGE = 0.1
"""Weight of equal, independent spreads in the spread within the groups."""
NARROW = 0.25
"""Width of the kernel of the density, in units of the spread along the line."""
STEPS = 40
WHOLE_FROM = 30
"""Smallest group that is searched for a valley inside."""
LEAST_PART = 0.08
"""Smallest share of a group that counts as a part of it: fewer sites are outliers."""
APART = 0.35
"""Groups without a deeper valley between them are one kind. Pieces of one kind have up to 0.34, kinds under strong noise 0.38 and more."""


def valley(
    patterns: Float[np.ndarray, "site number"],
    label: Int[np.ndarray, " site"],
    first: int,
    second: int,
) -> float:
    """Depth of the valley between two groups, 0–1; 0 if one of them has too few sites.

    The line is fitted on one half of the sites, and the other half is placed on it: on the same half, any two groups in many
    dimensions would look apart. Halves change places, and several halvings are taken together.
    """
    sides = [patterns[label == group] for group in (first, second)]
    if min(map(len, sides)) < FEWEST:
        return 0.0
    rng = np.random.default_rng(0)
    along = np.concatenate([_crossed(sides, rng) for _ in range(N_SPLITS)])
    return _depth(along)


def _crossed(
    sides: Sequence[Float[np.ndarray, "_ number"]], rng: np.random.Generator
) -> Float[np.ndarray, " place"]:
    """Places of all sites along lines fitted on the other half: 0 is the middle of the first group, 1 of the second.

    Not finite where the line separates nothing.
    """
    halves = [np.array_split(rng.permutation(side), 2) for side in sides]
    places = []
    for fitted, seen in ((0, 1), (1, 0)):
        line = _line(halves[0][fitted], halves[1][fitted])
        along = [half[seen] @ line for half in halves]
        begin, end = (np.median(values) for values in along)
        with np.errstate(divide="ignore", invalid="ignore"):
            places.append((np.concatenate(along) - begin) / (end - begin))
    return np.concatenate(places)


def _line(
    first: Float[np.ndarray, "_ number"], second: Float[np.ndarray, "_ number"]
) -> Float[np.ndarray, " number"]:
    """The direction that separates two groups best: a shrunken linear discriminant."""
    within = np.concatenate([first - first.mean(0), second - second.mean(0)])
    sd = within.std(0)
    sd = np.where(sd > 0, sd, 1.0)
    spread = (within / sd).T @ (within / sd) / len(within)
    shrunken = (1 - SHRINKAGE) * spread + SHRINKAGE * np.eye(len(sd))
    return np.linalg.solve(shrunken, (second.mean(0) - first.mean(0)) / sd) / sd


def _depth(along: Float[np.ndarray, " place"]) -> float:
    """Depth of the density's dip between 0 and 1, relative to the lower of its ends."""
    from scipy.stats import gaussian_kde

    if not np.isfinite(along).all() or np.ptp(along) == 0:
        return 0.0
    density = gaussian_kde(along, NARROW)(np.linspace(0, 1, STEPS))
    return float(1 - density.min() / min(density[0], density[-1]))


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


def shallowest(
    patterns: Float[np.ndarray, "site number"], label: Int[np.ndarray, " site"], n_groups: int
) -> float:
    """The shallowest valley between two of `n_groups` groups; 0 if some are empty, or have too few sites."""
    groups = np.unique(label)
    if len(groups) < n_groups:
        return 0.0
    beside = ((int(a), int(b)) for n, a in enumerate(groups) for b in groups[n + 1 :])
    return min((valley(patterns, label, *pair) for pair in beside), default=1.0)


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
