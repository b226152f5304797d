"""The bright-field disc: where the optic axis meets the detector, how wide the probe's cone is, and how round."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

ENOUGH = 400.0
"""Counts under the smoothing from which the disc's edge is clear of noise (5 %)."""
LARGEST_SD = 4.0
"""Widest smoothing before the edge is traced [pixel]."""
SMALLEST = 1.5
"""Radius below which a spot is no disc [pixel]."""
UNEVEN = 0.08
"""Largest rms departure of an edge from an ellipse, as a share of the radius."""
GAP = 0.8 * math.pi
"""Longest arc along which the edge may be off the detector [rad]."""
CONTRAST = 1.5
"""Least ratio of the disc to what surrounds it."""
ROUNDS = 12


@dataclass(frozen=True)
class Disc:
    """The bright-field disc on the detector."""

    centre: tuple[float, float]
    """(k_y, k_x) [pixel]; the middle of the first pixel is 0."""
    radius: float
    """Geometric mean of the half-axes [pixel]."""
    ellipse_ratio: float = 1.0
    """Longer over shorter half-axis."""
    ellipse_angle: float = 0.0
    """Direction of the longer one from k_x [rad], −π/2 … π/2, positive as `np.rot90` turns."""


def fit(mean: np.ndarray, *, n_patterns: int = 1) -> Disc | None:
    """The disc in a mean pattern (k_y, k_x), to a fraction of a pixel; none if there is no disc.

    The edge is the contour at half the disc's intensity; it may run off the detector. What is left of the departures from a
    circle after its first and second harmonics has to be small.

    Args:
        mean: Counts per pattern, faulty pixels filled.
        n_patterns: How many patterns it is the mean of; decides how much it is smoothed.
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
    # smoothing blunts the disc's own level, by which its edge would be placed too far out
    return _largest(image, _half_level(mean, rough), sd) or rough


def _largest(image: np.ndarray, level: float, sd: float) -> Disc | None:
    """The largest disc that a contour at a level encloses."""
    edges = sorted(find_contours(image, level), key=len, reverse=True)[:3]
    fits = [_ellipse(edge, sd) for edge in edges]
    found = [one for one in fits if one is not None and _inside(one, image.shape)]
    return max(found, key=lambda one: one.radius, default=None)


def _half_level(mean: np.ndarray, rough: Disc) -> float:
    """Half way between the intensity well inside a disc and that well outside."""
    y, x = np.indices(mean.shape)
    distance = np.hypot(y - rough.centre[0], x - rough.centre[1]) / rough.radius
    inside, outside = mean[distance < 0.7], mean[distance > 1.4]
    around = float(outside.mean()) if outside.size else 0.0
    return (float(inside.mean()) + around) / 2


def _smoothed(mean: np.ndarray, n_patterns: int) -> tuple[np.ndarray, float]:
    """The pattern smoothed until its bright part is clear of noise, and the sd that this took [pixel]."""
    bright = float(np.quantile(mean, 0.99)) * n_patterns
    sd = math.sqrt(ENOUGH / (4 * math.pi * max(bright, 1e-12)))
    if sd < 0.3:
        return mean.astype(float), 0.0
    sd = min(sd, LARGEST_SD)
    return ndimage.gaussian_filter(mean.astype(float), sd, mode="nearest"), sd


def _levels(image: np.ndarray) -> tuple[float, float]:
    """The usual intensity inside the disc and around it."""
    disc, around = float(ndimage.median_filter(image, 3).max()), 0.0  # no faulty pixel
    for _ in range(ROUNDS):
        bright = image > (disc + around) / 2
        if not bright.any() or bright.all():
            break
        disc, around = float(np.median(image[bright])), float(np.median(image[~bright]))
    return disc, around


def _ellipse(edge: np.ndarray, sd: float) -> Disc | None:
    """The ellipse through the points of an edge (point, 2); none if it is none."""
    if len(edge) < 8:
        return None
    centre = _circle(edge)
    kept = np.ones(len(edge), bool)
    for _ in range(ROUNDS):
        distance, _, waves = _waves(edge, centre)
        terms = np.linalg.lstsq(waves[kept], distance[kept], rcond=None)[0]
        rest = np.abs(distance - waves @ terms)
        kept = rest <= max(3 * 1.4826 * float(np.median(rest)), 1e-3)
        centre = centre + terms[1:3]
    distance, angle, waves = _waves(edge, centre)
    terms = np.linalg.lstsq(waves[kept], distance[kept], rcond=None)[0]
    rms = float(np.sqrt(np.mean((distance - waves @ terms) ** 2)))
    gap = float(np.max(np.diff(np.sort(angle), append=float(angle.min()) + 2 * math.pi)))
    radius, bulge = float(terms[0]), float(np.hypot(terms[3], terms[4]))
    if not radius > SMALLEST or rms > UNEVEN * radius + 0.2 or gap > GAP or 2 * bulge > radius:
        return None
    bulge /= radius
    # smoothing moves the half level of a disc inwards by sd² / 2 radius
    wide = (radius + sd**2 / (2 * radius)) * math.sqrt(1 - bulge**2)
    turn = 0.5 * math.atan2(terms[4], terms[3])
    return Disc((float(centre[0]), float(centre[1])), wide, (1 + bulge) / (1 - bulge), turn)


def _waves(edge: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance and direction of an edge from a centre, and how moves and an ellipse change the distance (point, 5)."""
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
    return all(0 <= place <= n - 1 for place, n in zip(disc.centre, shape, strict=True))
