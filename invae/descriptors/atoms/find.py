"""Atoms of an image: found as maxima, placed between the pixels by a centroid or a Gaussian."""

from dataclasses import dataclass, fields, replace

import numpy as np
import scipy.ndimage as ndi
from scipy.spatial import KDTree

from invae.config.atoms import FindConfig
from invae.descriptors.atoms.faint_sublattice import NEXT, repeated
from invae.descriptors.atoms.heights import heights_together
from invae.descriptors.atoms.refine import Shapes, centroid, draw, fit, heights
from invae.descriptors.atoms.scan_jitter import lines_of, shift_of

SURROUNDINGS = 1.6
"""Sd of the surroundings that an atom is compared with, in sds of the smoothing."""
NEAR = 25
"""Maxima that say how strong the strong atoms near by are."""
STRONG = 0.9
"""Quantile of their heights that is called strong."""
WIDER = 1.2
"""The low frequencies left out of the spectrum make atoms look narrower by about this (measured)."""
HELD = 1e-3
"""Freedom of positions that the centroid has settled, in sds of an atom."""
DRAWN = 4.0
"""Radius in which an atom is taken away from the image, in its sds."""
BRIGHT = 0.6
"""Of the height of the strong atoms near by: what the network marks and is lower is of a fainter kind."""
PRESENT = 0.2
"""Of the height of its likes around it: an atom that is lower is not there."""
LIKE = 0.65
"""Least mean rise of the strong atoms' neighbours where all of them see the same ones around them, as a share of their own: between a
half, for a honeycomb of equal atoms, and what the pixels of the average and a few weak atoms leave of 1."""
LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
"""Keeps the sd of white noise and removes all that is linear. Source: Immerkær 1996,
doi:10.1006/cviu.1996.0060."""


@dataclass(frozen=True)
class Scale:
    """How large atoms are and how near each other [px]."""

    sd: float
    min_distance: float


def find_atoms(image: np.ndarray, *, config: FindConfig) -> Shapes:
    """Atoms of one frame (y, x), bright on dark; NaN is not known and holds none.

    Neither a slow change of background nor one of dose over the frame matters.
    """
    known = np.isfinite(image)
    if not known.any() or np.ptp(image[known]) == 0:
        return _shapes(np.zeros(image.shape), np.zeros((0, 2)), 1.0, config=config)
    filled = _filled(image, known)
    scale = scale_of(filled, config=config)
    by_network = config.method == "network"
    places = _marked(filled, known) if by_network else _strong(filled, known, scale, config=config)
    found = _shapes(filled, places, scale.sd, config=config)
    if config.faint is not None:
        strong = _bright(found) if by_network else found
        faint = _faint(filled, known, found, strong, scale, config=config)
        if len(faint):
            places = np.concatenate([found.position, faint])
            found = _shapes(filled, places, scale.sd, config=config)
    inside = ((found.position >= 0) & (found.position <= np.array(image.shape) - 1)).all(axis=1)
    kept = inside & (found.height > 0)
    found = Shapes(*(getattr(found, part.name)[kept] for part in fields(Shapes)))
    height = heights_together(filled, found)
    if config.lines == "straighten":
        found = _straightened(found, scale.sd, len(image))
    return replace(found, height=height)


def _straightened(found: Shapes, sd: float, n_lines: int) -> Shapes:
    """The atoms with what their lines moved them along x taken off."""
    lines = lines_of(found.position, found.height, sd=sd, n_lines=n_lines)
    moved = shift_of(lines, found.position[:, 0], sd=sd)
    return replace(found, position=found.position - moved[:, None] * np.array([0, 1]))


def _shapes(image: np.ndarray, places: np.ndarray, sd: float, *, config: FindConfig) -> Shapes:
    """Atoms placed and measured as the configuration says."""
    if config.refine == "gaussian" or not len(places):
        return fit(image, places, sd=sd)
    return fit(image, centroid(image, places, sd=sd), sd=sd, free=HELD)


def _marked(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels (atom, 2) of atoms that the network marks."""
    from invae.segmentation.atom_finder import (  # torch, which the other methods need not
        centres,
        probability,
    )

    return centres(probability(np.where(known, image, np.nan)[None])[0])


def _strong(
    image: np.ndarray, known: np.ndarray, scale: Scale, *, config: FindConfig
) -> np.ndarray:
    """Pixels (atom, 2) of atoms that rise above noise and surroundings one by one."""
    rise = _rise(image, scale.sd, method=config.method)
    places, height = _maxima(rise, known)
    noise = config.noise * _noise(image, scale.sd, method=config.method)
    sure = height > np.maximum(noise[tuple(places.T)], 0)
    places, height = places[sure], height[sure]
    alone = _strongest(places, height, distance=scale.min_distance)
    places, height = places[alone], height[alone]
    return places[height > config.contrast * _strong_near(places, height)]


def _bright(found: Shapes) -> Shapes:
    """The atoms that are not much weaker than the strong ones near by."""
    kept = found.height > BRIGHT * _strong_near(found.position, found.height)
    return Shapes(*(getattr(found, part.name)[kept] for part in fields(Shapes)))


def _faint(
    image: np.ndarray,
    known: np.ndarray,
    found: Shapes,
    strong: Shapes,
    scale: Scale,
    *,
    config: FindConfig,
) -> np.ndarray:
    """Places (atom, 2) [px] of atoms that the lattice repeats: a fainter kind beside the strong ones, and
    weak ones in place of strong ones.

    One that is lower than a share of what its likes are is missing.
    """
    if not len(strong.height):
        return strong.position
    drawn = np.column_stack([strong.height, strong.position, np.log(strong.sd)])
    left = image - draw(image.shape, drawn, radius=DRAWN * scale.sd)
    rise, rest = (_rise(part, scale.sd, method=config.method) for part in (image, left))
    pixels = tuple(np.rint(strong.position).astype(int).clip(0, np.array(image.shape) - 1).T)
    usual = float(np.median(rise[pixels]))
    least, here = (config.faint or 0.0) * usual, strong.position
    beside, mean = repeated(rest, here, least=least, distance=scale.min_distance)
    instead, same = repeated(
        rise, here, least=LIKE * usual, distance=scale.min_distance, between=NEXT
    )
    places, likes = np.concatenate([beside, instead]), np.concatenate([mean, same])
    height = float(np.median(heights(image, here, sd=scale.sd))) / usual
    there = heights(left, places, sd=scale.sd) > PRESENT * height * likes
    new = np.asarray(KDTree(found.position).query(places)[0]) > scale.min_distance
    kept = there & new & known[tuple(np.rint(places).astype(int).T)]
    places, likes = places[kept], likes[kept]
    return places[_strongest(places, likes, distance=scale.min_distance)]


def scale_of(image: np.ndarray, *, config: FindConfig) -> Scale:
    """Smoothing and least distance, as configured or else from the spectrum of the image.

    Gaussian atoms of sd s have the power exp(−4π²s²q²), so s = 1/(2π·rms q) over all frequencies q
    that rise above the noise. The strongest frequency is that of the lattice planes; neighbours of
    square, hexagonal and honeycomb lattices are at least 2/3 of a plane's distance apart.
    """
    if config.scale is not None and config.min_distance is not None:
        return Scale(config.scale, config.min_distance)
    flat = image - image.mean()
    taper = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.rfft2(flat * taper)) ** 2
    rows, columns = np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1])
    frequency = np.hypot(rows[:, None], columns)
    white = np.median(power[frequency > 0.35])
    excess = np.where(power > 25 * white, power - white, 0) * (frequency > 6 / min(image.shape))
    if not excess.any():
        return Scale(config.scale or 2.0, config.min_distance or 2 * (config.scale or 2.0))
    planes = frequency.flat[np.argmax(excess * frequency)]
    excess = np.where(frequency > 0.7 * planes, excess, 0)
    rms = np.sqrt(np.average(frequency**2, weights=excess))
    sd = config.scale or float(np.clip(WIDER / (2 * np.pi * rms), 0.7, max(0.7, 0.2 / planes)))
    return Scale(sd, config.min_distance or float(max(2 * sd, 0.4 / planes)))


def _filled(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The image, float64, with the usual value where it is not known."""
    return np.where(known, image, np.median(image[known])).astype(np.float64)


def _rise(image: np.ndarray, sd: float, *, method: str) -> np.ndarray:
    """How far every pixel, smoothed, rises above its surroundings."""
    if method == "log":
        return -(sd**2) * ndi.gaussian_laplace(image, sd, mode="mirror")
    smooth = ndi.gaussian_filter(image, sd, mode="mirror")
    return smooth - ndi.gaussian_filter(image, SURROUNDINGS * sd, mode="mirror")


def _noise(image: np.ndarray, sd: float, *, method: str) -> np.ndarray:
    """Sd of the white noise left in the rise, everywhere."""
    variance = ndi.convolve(image, LAPLACE, mode="mirror") ** 2
    local = ndi.uniform_filter(variance, size=int(12 * sd) | 1, mode="mirror")
    half = int(np.ceil(5 * SURROUNDINGS * sd))
    point = np.zeros((2 * half + 1, 2 * half + 1))
    point[half, half] = 1
    return np.sqrt(local * (_rise(point, sd, method=method) ** 2).sum())


def _maxima(rise: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (maximum, 2) higher than those around them, not on the rim, and their heights."""
    top = (rise == ndi.maximum_filter(rise, size=3)) & known
    top[[0, -1]] = False
    top[:, [0, -1]] = False
    places = np.argwhere(top)
    return places, rise[top]


def _strongest(places: np.ndarray, height: np.ndarray, *, distance: float) -> np.ndarray:
    """Which of the places have none higher within the distance."""
    keep = np.ones(len(places), bool)
    if len(places) < 2:
        return keep
    pairs = KDTree(places).query_pairs(distance, output_type="ndarray")
    keep[np.where(height[pairs[:, 0]] < height[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = False
    return keep


def _strong_near(places: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Height of the strong atoms around every place."""
    if not len(places):
        return height
    _, near = KDTree(places).query(places, k=min(NEAR, len(places)))
    return np.quantile(height[near].reshape(len(places), -1), STRONG, axis=1)
