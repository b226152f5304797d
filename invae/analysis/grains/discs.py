"""Diffracted discs in the mean pattern of a region: positions and significance, without a crystal.

A matched filter, a disc less the ring around it, is divided by its noise. Its maxima are positions of discs. What lies evenly on rings,
diffuse or amorphous scattering, is subtracted first.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.signal import fftconvolve

MOST = 40
"""Largest number of discs of a region."""
SIGMAS = 5.0
"""Smallest significance of a disc in units of the noise of the filter."""
UNEVEN = 0.05
"""Part of the intensity on a ring that may change along it without a disc."""
EDGE = 0.1
"""Width of the edge of a disc, relative to its radius."""
BEAM = 1.5
"""Radius around the axis that is left out, because of the direct beam or its stop [radius of a disc]."""
RADII = np.geomspace(1.2, 12.0, 13)
"""Radii of discs that are tried [px]."""
NEAR_BEAM = np.linspace(0.75, 1.15, 9)
"""Radii that are tried, relative to that of the direct beam, which looks larger where it saturates the detector."""
EVEN = 0.3
"""Quantile of the intensity on a ring that counts as even."""
STRONGEST = 6
"""Number of discs of a region that decide about the radius."""

Image = Float[np.ndarray, "y x"]


@dataclass(frozen=True)
class Discs:
    """Discs of one pattern, the most significant first."""

    place: Float[np.ndarray, "disc axis"]
    """Position relative to the optic axis [px]."""
    sd: Float[np.ndarray, " disc"]
    """Sd of a coordinate [px]."""
    significance: Float[np.ndarray, " disc"]
    """Filter in units of its noise."""

    @property
    def weight(self) -> Float[np.ndarray, " disc"]:
        """Evidence for a disc, which grows slowly with its intensity."""
        return np.log1p(self.significance**2 / 2)


def disc_image(radius: float, *, half: int) -> Image:
    """A disc with a soft edge in the middle of a square of 2·half + 1 px, 1 inside."""
    y, x = np.indices((2 * half + 1, 2 * half + 1)) - half
    edge = np.clip((np.hypot(y, x) - radius) / max(EDGE * radius, 0.25), -50, 50)
    return 1 / (1 + np.exp(edge))


def find_discs(
    pattern: Image, n_patterns: float, *, valid: np.ndarray, centre: tuple[float, float], radius: float, uneven: float = UNEVEN
) -> Discs:  # fmt: skip
    """Discs in the mean pattern of a region, without the direct beam.

    Args:
        pattern: mean of the patterns [electron].
        n_patterns: number of patterns in the mean.
        valid: bool (y, x).
        centre: optic axis (y, x) [px].
        radius: of a disc [px].
        uneven: part of the intensity that may change without a disc.
    """
    significance = filtered(
        pattern, n_patterns, valid=valid, centre=centre, radius=radius, uneven=uneven
    )
    y, x = np.indices(pattern.shape)
    distance = np.hypot(y - centre[0], x - centre[1])
    reach = max(int(np.ceil(radius)), 1)
    highest = ndimage.maximum_filter(significance, 2 * reach + 1)
    is_peak = (significance == highest) & (significance > SIGMAS) & (distance > 2 * radius) & valid
    rows, columns = np.nonzero(is_peak)
    order = np.argsort(-significance[rows, columns], kind="stable")[:MOST]
    rows, columns = rows[order], columns[order]
    if not len(rows):
        return Discs(np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    heights = significance[rows, columns]
    places = _refined(significance, rows, columns, reach) - centre
    # half the radius per square root of the electrons; the significance is about that root where the background is low
    return Discs(places, 0.1 + radius / np.maximum(heights, 1.0), heights)


def filtered(
    pattern: Image, n_patterns: float, *, valid: np.ndarray, centre: tuple[float, float], radius: float, uneven: float
) -> Image:  # fmt: skip
    """The matched filter in units of its noise."""
    half = int(np.ceil(1.6 * radius)) + 2
    inside = disc_image(radius, half=half)
    ring = disc_image(1.5 * radius + 0.7, half=half) - disc_image(1.05 * radius + 0.5, half=half)
    y, x = np.indices(pattern.shape)
    valid = valid & (np.hypot(y - centre[0], x - centre[1]) > BEAM * radius)
    smooth = on_rings(pattern, valid=valid, centre=centre)
    working = valid.astype(float)
    excess = np.where(valid, pattern - smooth, 0.0)
    covered = [np.maximum(fftconvolve(working, k, mode="same"), 1e-6) for k in (inside, ring)]
    sums = [fftconvolve(excess, k, mode="same") for k in (inside, ring)]
    area = inside.sum()
    signal = (sums[0] / covered[0] - sums[1] / covered[1]) * area
    light = fftconvolve(np.where(valid, pattern, 0.0), inside**2, mode="same") / covered[0] * area
    noise = np.maximum(light, 0) + np.maximum(np.median(smooth[valid]), 0) * area
    variance = noise * (1 + area / ring.sum()) / n_patterns + (uneven * noise) ** 2
    tiny = 1e-9 * max(float(variance.max()), 1e-30)
    usable = (covered[0] > 0.6 * area) & (covered[1] > 0.3 * ring.sum())
    return np.where(usable, signal / np.sqrt(variance + tiny), 0.0)


def on_rings(pattern: Image, *, valid: np.ndarray, centre: tuple[float, float]) -> Image:
    """The even intensity on the ring of every pixel: a low quantile, which discs hardly change if they fill up to two thirds of a ring."""
    y, x = np.indices(pattern.shape)
    distance = np.hypot(y - centre[0], x - centre[1])
    ring = np.rint(distance).astype(int)
    smooth, own = ndimage.uniform_filter(pattern, 3)[valid], ring[valid]
    sorted_by = np.lexsort((smooth, own))
    number = np.bincount(own, minlength=int(ring.max()) + 1)
    first = np.concatenate(([0], np.cumsum(number)[:-1]))
    at = first + np.floor(EVEN * np.maximum(number - 1, 0)).astype(int)
    level = np.where(number > 0, smooth[sorted_by][np.minimum(at, len(own) - 1)], 0.0)
    return np.interp(distance, np.arange(len(number)), level)


def _refined(image: Image, rows: np.ndarray, columns: np.ndarray, reach: int) -> np.ndarray:
    """Maxima between pixels (disc, axis): the centre of mass of the upper half of the peak."""
    padded = np.pad(np.maximum(image, 0), reach)
    step = np.arange(-reach, reach + 1)
    window = padded[rows[:, None, None] + reach + step[:, None], columns[:, None, None] + reach + step]  # fmt: skip
    window = np.maximum(window - 0.5 * window.max((1, 2), keepdims=True), 0)
    total = np.maximum(window.sum((1, 2)), 1e-12)
    y = rows + (window.sum(2) * step).sum(1) / total
    x = columns + (window.sum(1) * step).sum(1) / total
    return np.stack((y, x), axis=1)


def radius_of_discs(
    patterns: Float[np.ndarray, "region y x"],
    n_patterns: np.ndarray,
    *,
    valid: np.ndarray,
    centre: tuple[float, float],
    beam: float | None,
) -> float:
    """The radius at which the strongest discs of all regions are most significant [px].

    Args:
        patterns: mean patterns.
        n_patterns: number of patterns in each mean.
        valid: bool (y, x).
        centre: optic axis [px].
        beam: radius of the direct beam, which the radius is near; None if it is not recorded.
    """
    scores = []
    tried = RADII[patterns.shape[-1] / 10 > RADII] if beam is None else beam * NEAR_BEAM
    for radius in tried:
        strongest = []
        for pattern, number in zip(patterns, n_patterns, strict=True):
            discs = find_discs(pattern, number, valid=valid, centre=centre, radius=float(radius), uneven=0.0)  # fmt: skip
            strongest.append(discs.significance[:STRONGEST].sum())
        scores.append(sum(strongest))
    return float(tried[int(np.argmax(scores))])
