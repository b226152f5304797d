"""Poses of probes, drawn towards a surface over their region as far as noise explains the differences.

The pose of an even grain is constant, that of a bent one changes smoothly. The surface of a region is a polynomial of the position.

Sources: Efron & Morris 1973, doi:10.1080/01621459.1973.10481350, empirical Bayes estimates; Schwarz 1978, doi:10.1214/aos/1176344136, the
criterion that chooses the degree.
"""

from itertools import product

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from invae.analysis.grains import pose
from invae.analysis.grains.regions import Labels

FEWEST_INSIDE = 12
"""Smallest number of inner probes that show how much the pose varies in a region."""
PROBES_PER_TERM = 8
"""Smallest number of inner probes per coefficient of the surface."""
DEGREES = (0, 1, 2, 3)
LOCAL = 5
"""Side of the square of a local mean [scan step]."""
MEDIAN_SQUARE = 0.4549
"""Median of the square of a normal number of variance 1."""
OUTLIER = 3.0
"""Distance from the surface from which on a pose does not count in its fit [sd]."""

Poses = Float[np.ndarray, "row column number"]


def shrunk(poses: Poses, sds: Poses, regions: Labels) -> tuple[Poses, Poses]:
    """Poses and sds, drawn towards the surface of each pose over the region.

    Args:
        poses: relative to the region, by the prior of `pose.PRIOR_SD`; NaN without a lattice.
        sds: of the poses.
        regions: of the scan.
    """
    poses, sds = poses.copy(), sds.copy()
    for region in np.unique(regions):
        here = regions == region
        if np.isfinite(poses[here]).all():
            values, noise = poses[here], sds[here] ** 2
            # the estimates are those of a prior: without it, they scatter by more than their sd
            free = 1 / np.maximum(1 / noise - 1 / pose.PRIOR_SD**2, 1e-3 / pose.PRIOR_SD**2)
            drawn, variance = _drawn(values * free / noise, free, here)
            poses[here], sds[here] = drawn, np.sqrt(variance)
    return poses, sds


def _drawn(raw: np.ndarray, free: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses (probe, number) of a region and their variance, from estimates without a prior and their variance."""
    # at the edge, discs of the neighbour add to the differences
    inner = ndimage.binary_erosion(here, np.ones((3, 3)), border_value=1)
    inside = np.asarray(inner, bool)[here]
    inside = inside if inside.sum() >= FEWEST_INSIDE else np.ones(len(inside), bool)
    drawn, variance = np.empty_like(raw), np.empty_like(raw)
    for number in range(raw.shape[1]):
        values, noise = raw[:, number], free[:, number]
        surface, lever = _surface(values, noise, here, inside)
        apart = values - surface
        spread = (1.4826 * np.median(np.abs(apart[inside] - np.median(apart[inside])))) ** 2
        between = max(spread - np.median(noise), 1e-2 * np.median(noise))
        weight = between / (between + noise)
        reach = OUTLIER * np.sqrt(between + noise)
        drawn[:, number] = surface + weight * np.clip(apart, -reach, reach)
        variance[:, number] = weight * noise + lever + _misfit(apart, noise, here, inside)
    return drawn, variance


def _misfit(apart: np.ndarray, noise: np.ndarray, here: np.ndarray, inside: np.ndarray) -> float:
    """Variance of local means of the differences from the surface, beyond that of noise."""
    image, used = np.zeros(here.shape), np.zeros(here.shape)
    image[here], used[here] = np.where(inside, apart, 0.0), inside
    means = [np.asarray(ndimage.uniform_filter(one, LOCAL, mode="constant")) for one in (image, used)]  # fmt: skip
    share = np.maximum(means[1], 1e-9)
    local = (means[0] / share)[here]
    number = share[here] * LOCAL**2
    excess = np.median(local[inside] ** 2) / MEDIAN_SQUARE - np.median((noise / number)[inside])
    return max(float(excess), 0.0)


def _surface(
    values: np.ndarray, noise: np.ndarray, here: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The polynomial of the position that fits best by Schwarz's criterion, and its variance (probe,)."""
    place = np.argwhere(here)
    scaled = (place - place.mean(0)) / max(float(np.ptp(place, axis=0).max()) / 2, 1.0)
    best, least = (np.zeros(len(values)), noise), np.inf
    for degree in DEGREES:
        terms = polynomial(scaled, degree)
        if degree and inside.sum() < PROBES_PER_TERM * terms.shape[1]:
            break
        fitted, lever, cost = _fitted(terms, values, noise, inside)
        if cost < least:
            best, least = (fitted, lever), cost
    return best


def polynomial(place: Float[np.ndarray, "probe 2"], degree: int) -> Float[np.ndarray, "probe term"]:
    """Products of powers of both coordinates up to a degree, 1 first."""
    powers = sorted((sum(p), p) for p in product(range(degree + 1), repeat=2) if sum(p) <= degree)
    return np.stack([place[:, 0] ** a * place[:, 1] ** b for _, (a, b) in powers], axis=1)


def _fitted(
    terms: np.ndarray, values: np.ndarray, noise: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Robust weighted least squares: the surface, its variance, and Schwarz's criterion."""
    used, sd, scatter = inside, np.sqrt(noise), 1.0
    surface, covariance = np.zeros(len(values)), np.eye(terms.shape[1])
    for _ in range(3):
        rows = terms[used] / sd[used, None]
        covariance = np.linalg.pinv(rows.T @ rows)
        surface = terms @ (covariance @ (rows.T @ (values[used] / sd[used])))
        scatter = max(1.4826 * float(np.median(np.abs(values - surface)[inside] / sd[inside])), 1.0)
        used = inside & (np.abs(values - surface) < OUTLIER * scatter * sd)
    squares = np.minimum(((values - surface) / sd)[inside] ** 2, (OUTLIER * scatter) ** 2)
    lever = ((terms @ covariance) * terms).sum(1)
    return surface, lever, float(squares.sum() + terms.shape[1] * np.log(inside.sum()))
