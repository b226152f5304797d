"""The bright-field disc: its centre, which is the optic axis, its radius and its ellipticity."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

ENOUGH = 400.0
"""Counts within the smoothing kernel at which the edge of the disc is clear of noise (5 %)."""
LARGEST_SD = 4.0
"""Largest sd of the smoothing before the edge is traced [pixel]."""
SMALLEST = 1.5
"""Smallest radius of a disc [pixel]."""
UNEVEN = 0.08
"""Largest rms deviation of an edge from an ellipse, relative to the radius."""
GAP = 0.8 * math.pi
"""Longest arc of the edge that may lie outside the detector [rad]."""
CONTRAST = 1.5
"""Smallest ratio of the intensity of the disc to that of its surroundings."""
SHARP = 2.5
"""Smallest ratio of the intensities on both sides of the edge of a disc; around a beam stop the scattering falls off more slowly."""
SEEN = 0.5
"""Smallest part of the rings on both sides of an edge that must be measured."""
ROUNDS = 12


@dataclass(frozen=True)
class Disc:
    """The bright-field disc on the detector."""

    centre: tuple[float, float]
    """Position (k_y, k_x) [pixel]; the centre of the first pixel is 0."""
    radius: float
    """Geometric mean of the half-axes [pixel]."""
    ellipse_ratio: float = 1.0
    """Longer over shorter half-axis."""
    ellipse_angle: float = 0.0
    """Direction of the longer half-axis from k_x [rad], −π/2 … π/2, positive as `np.rot90`."""


def fit(mean: np.ndarray, *, n_patterns: int = 1) -> Disc | None:
    """The disc in a mean pattern (k_y, k_x) with sub-pixel accuracy; none if there is no disc.

    The edge is the contour at half the intensity of the disc; it may leave the detector. After the first and second harmonics its
    remaining deviation from a circle must be small.

    Args:
        mean: Counts per pattern, with bad pixels filled.
        n_patterns: Number of patterns in the mean; it determines the smoothing.
    """
    if min(mean.shape) < 4 or not mean.max() > 0:
        return None
    image, sd = _smoothed(mean, n_patterns)
    disc, around = _levels(image)
    if disc < CONTRAST * max(around, 0.0) or disc <= 0:
        return None
    rough = _largest(image, (disc + around) / 2, sd)
    if rough is None:
        return None
    # smoothing lowers the level of the disc, which would place its edge too far out
    return _largest(image, _half_level(mean, rough), sd) or rough


def has_edge(mean: np.ndarray, found: Disc, valid: np.ndarray) -> bool:
    """Whether the intensity falls steeply at the edge of a disc, by pixels that measure.

    Args:
        mean: Counts per pattern (k_y, k_x).
        found: The disc.
        valid: Pixels that measure, bool (k_y, k_x).
    """
    y, x = np.indices(mean.shape)
    distance = np.hypot(y - found.centre[0], x - found.centre[1]) / found.radius
    levels = []
    for inner, outer in ((0.75, 0.95), (1.05, 1.25)):
        ring = (distance >= inner) & (distance < outer)
        if not ring.any() or valid[ring].mean() < SEEN:
            return False
        levels.append(float(mean[ring & valid].mean()))
    return levels[0] > SHARP * max(levels[1], 0.0)


def _largest(image: np.ndarray, level: float, sd: float) -> Disc | None:
    """The largest disc enclosed by a contour at a level."""
    edges = sorted(find_contours(image, level), key=len, reverse=True)[:3]
    fits = [_ellipse(edge, sd) for edge in edges]
    discs = [fit for fit in fits if fit is not None and _inside(fit, image.shape)]
    return max(discs, key=lambda candidate: candidate.radius, default=None)


def _half_level(mean: np.ndarray, rough: Disc) -> float:
    """The mean of the intensities well inside and well outside of a disc."""
    y, x = np.indices(mean.shape)
    distance = np.hypot(y - rough.centre[0], x - rough.centre[1]) / rough.radius
    inside, outside = mean[distance < 0.7], mean[distance > 1.4]
    around = float(outside.mean()) if outside.size else 0.0
    return (float(inside.mean()) + around) / 2


def _smoothed(mean: np.ndarray, n_patterns: int) -> tuple[np.ndarray, float]:
    """The pattern, smoothed until its bright part is clear of noise, and the sd of the smoothing [pixel]."""
    bright = float(np.quantile(mean, 0.99)) * n_patterns
    sd = math.sqrt(ENOUGH / (4 * math.pi * max(bright, 1e-12)))
    if sd < 0.3:
        return mean.astype(float), 0.0
    sd = min(sd, LARGEST_SD)
    return ndimage.gaussian_filter(mean.astype(float), sd, mode="nearest"), sd


def _levels(image: np.ndarray) -> tuple[float, float]:
    """The typical intensities inside the disc and around it."""
    disc, around = (
        float(ndimage.median_filter(image, 3).max()),
        0.0,
    )  # the median removes single bad pixels
    for _ in range(ROUNDS):
        bright = image > (disc + around) / 2
        if not bright.any() or bright.all():
            break
        disc, around = float(np.median(image[bright])), float(np.median(image[~bright]))
    return disc, around


def _ellipse(edge: np.ndarray, sd: float) -> Disc | None:
    """The ellipse through the points of an edge (point, 2); none if the edge is no ellipse."""
    if len(edge) < 8:
        return None
    centre = _circle(edge)
    used = np.ones(len(edge), bool)
    for _ in range(ROUNDS):
        distance, _, waves = _waves(edge, centre)
        terms = np.linalg.lstsq(waves[used], distance[used], rcond=None)[0]
        residual = np.abs(distance - waves @ terms)
        used = residual <= max(3 * 1.4826 * float(np.median(residual)), 1e-3)
        centre = centre + terms[1:3]
    distance, angle, waves = _waves(edge, centre)
    terms = np.linalg.lstsq(waves[used], distance[used], rcond=None)[0]
    rms = float(np.sqrt(np.mean((distance - waves @ terms) ** 2)))
    gap = float(np.max(np.diff(np.sort(angle), append=float(angle.min()) + 2 * math.pi)))
    radius, bulge = float(terms[0]), float(np.hypot(terms[3], terms[4]))
    if not radius > SMALLEST or rms > UNEVEN * radius + 0.2 or gap > GAP or 2 * bulge > radius:
        return None
    bulge /= radius
    # smoothing moves the half level of a disc inwards by sd² / 2 radius
    mean_radius = (radius + sd**2 / (2 * radius)) * math.sqrt(1 - bulge**2)
    angle_of_long_axis = 0.5 * math.atan2(terms[4], terms[3])
    ratio = (1 + bulge) / (1 - bulge)
    return Disc((float(centre[0]), float(centre[1])), mean_radius, ratio, angle_of_long_axis)


def _waves(edge: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance and direction of an edge from a centre, and the change of the distance by shifts and an ellipse (point, 5)."""
    y, x = (edge - centre).T
    angle = np.arctan2(-y, x)
    waves = [np.ones_like(y), -np.sin(angle), np.cos(angle), np.cos(2 * angle), np.sin(2 * angle)]
    return np.hypot(y, x), angle, np.stack(waves, axis=1)


def _circle(edge: np.ndarray) -> np.ndarray:
    """Centre of the circle through points (point, 2), least squares in the squared distance.

    Source: Kåsa 1976, doi:10.1109/TIM.1976.6312298.
    """
    matrix = np.column_stack([2 * edge, np.ones(len(edge))])
    return np.linalg.lstsq(matrix, (edge**2).sum(axis=1), rcond=None)[0][:2]


def _inside(disc: Disc, shape: tuple[int, ...]) -> bool:
    return all(0 <= position <= n - 1 for position, n in zip(disc.centre, shape, strict=True))
