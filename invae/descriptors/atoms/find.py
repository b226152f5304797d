"""Atoms of an image: detection as maxima, sub-pixel positions from a centroid or a Gaussian fit."""

from dataclasses import dataclass, fields, replace

import numpy as np
import scipy.ndimage as ndi
from scipy.spatial import KDTree

from invae.config.atoms import FindConfig
from invae.descriptors.atoms.faint_sublattice import NEXT, repeated
from invae.descriptors.atoms.faults import cut_off, mended
from invae.descriptors.atoms.heights import heights_together
from invae.descriptors.atoms.refine import Shapes, centroid, draw, fit, heights, slow
from invae.descriptors.atoms.scan_jitter import lines_of, shift_of

BACKGROUND = 1.6
"""Sd of the Gaussian that gives the local background, in sds of the smoothing."""
NEAR = 25
"""Number of nearest maxima that determine the local height of strong atoms."""
STRONG = 0.9
"""Quantile of their heights that counts as strong."""
SD_FACTOR = 1.2
"""Correction of the sd: without the low frequencies of the spectrum atoms appear narrower by about this factor (measured)."""
CENTROID_FREEDOM = 1e-3
"""Sd of the prior on positions from the centroid, in sds of an atom."""
DRAWN = 4.0
"""Radius in which an atom is subtracted from the image, in its sds."""
BRIGHT = 0.6
"""Minimum height of strong atoms marked by the network, relative to the local height of strong atoms; lower ones are of a fainter
kind."""
PRESENT = 0.2
"""Minimum height of a faint atom, relative to equivalent atoms around it; below it the atom is absent."""
HIGHEST = 3.0
"""Largest value of a top in place of one that is cut off, relative to the cut; both above the median of the image."""
SKEWED = -0.9
"""Skewness of the rise below which the atoms of an image are dark. Blurred honeycombs of bright atoms, three plane waves, reach −0.82
between their dark centres; noise is at 0."""
TYPICAL = (0.005, 0.995)
"""Quantiles to which the rise is limited before its skewness is taken, against single dark or bright spots."""
LIKE = 0.65
"""Minimum mean rise at the neighbours of strong atoms, relative to their own rise, if all of them have the same surroundings. It lies
between one half, for a honeycomb of equal atoms, and a little below 1, because of the pixels of the average and a few weak
atoms."""
LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
"""Keeps the sd of white noise and removes linear background. Source: Immerkær 1996,
doi:10.1006/cviu.1996.0060."""


@dataclass(frozen=True)
class Scale:
    """Size and minimum distance of atoms [px]."""

    sd: float
    min_distance: float


def find_atoms(image: np.ndarray, *, config: FindConfig) -> Shapes:
    """Atoms of one frame (y, x); NaN pixels are masked and have no atoms.

    Slow changes of background and dose over the frame have no effect. The height of a dark atom is its depth.
    """
    if are_dark(image, config=config):
        image = -image
    known = np.isfinite(image)
    if not known.any() or np.ptp(image[known]) == 0:
        return _shapes(np.zeros(image.shape), np.zeros((0, 2)), 1.0, config=config)
    filled = mended(image)
    scale = scale_of(filled, config=config)
    by_network = config.method == "network"
    places = _marked(filled, known) if by_network else _strong(filled, known, scale, config=config)
    flat = cut_off(filled)
    if flat.any():
        filled = _with_tops(filled, flat, places, scale.sd)
    atoms = _shapes(filled, places, scale.sd, config=config)
    if config.faint is not None:
        bright = _bright(atoms)
        strong = (
            [bright] if by_network or len(bright.height) == len(atoms.height) else [atoms, bright]
        )
        faint = _faint(filled, known, atoms, strong, scale, config=config)
        if len(faint):
            places = np.concatenate([atoms.position, faint])
            atoms = _shapes(filled, places, scale.sd, config=config)
    inside = ((atoms.position >= 0) & (atoms.position <= np.array(image.shape) - 1)).all(axis=1)
    kept = inside & (atoms.height > 0)
    atoms = Shapes(*(getattr(atoms, part.name)[kept] for part in fields(Shapes)))
    height = heights_together(filled, atoms)
    if config.lines == "straighten":
        atoms = _straightened(atoms, scale.sd, len(image))
    return replace(atoms, height=height)


def are_dark(image: np.ndarray, *, config: FindConfig) -> bool:
    """Whether the atoms of a frame (y, x) are darker than what is between them, by the configuration or else by the image."""
    known = np.isfinite(image)
    if config.atoms != "auto" or not known.any() or np.ptp(image[known]) == 0:
        return config.atoms == "dark"
    filled = mended(image)
    rise = _rise(filled, scale_of(filled, config=config).sd, method="log")[known]
    rise = np.clip(rise, *np.quantile(rise, TYPICAL))
    return bool(((rise - rise.mean()) ** 3).mean() < SKEWED * rise.std() ** 3)


def _with_tops(image: np.ndarray, flat: np.ndarray, places: np.ndarray, sd: float) -> np.ndarray:
    """The image with the tops of Gaussians fitted to the flanks, in place of pixels that are cut off."""
    atoms = fit(image, places, sd=sd, left_out=flat)
    drawn = draw(
        image.shape,
        np.column_stack([atoms.height, atoms.position, np.log(atoms.sd)]),
        radius=DRAWN * sd,
    )
    ground = slow(np.where(flat, 0, image - drawn), sd=sd)
    return np.where(flat, np.clip(drawn + ground, image, HIGHEST * image.max()), image)


def _straightened(atoms: Shapes, sd: float, n_lines: int) -> Shapes:
    """The atoms after subtraction of the shifts of their scan lines along x."""
    lines = lines_of(atoms.position, atoms.height, sd=sd, n_lines=n_lines)
    moved = shift_of(lines, atoms.position[:, 0], sd=sd)
    return replace(atoms, position=atoms.position - moved[:, None] * np.array([0, 1]))


def _shapes(image: np.ndarray, places: np.ndarray, sd: float, *, config: FindConfig) -> Shapes:
    """Atoms located and measured by the configured method."""
    if config.refine == "gaussian" or not len(places):
        return fit(image, places, sd=sd)
    return fit(image, centroid(image, places, sd=sd), sd=sd, free=CENTROID_FREEDOM)


def _marked(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels (atom, 2) of atoms that the network marks."""
    from invae.segmentation.atom_finder import (  # imports torch; the other methods do not need it
        centres,
        probability,
    )

    return centres(probability(np.where(known, image, np.nan)[None])[0])


def _strong(
    image: np.ndarray, known: np.ndarray, scale: Scale, *, config: FindConfig
) -> np.ndarray:
    """Pixels (atom, 2) of atoms that each exceed noise and local background."""
    rise = _rise(image, scale.sd, method=config.method)
    places, height = _maxima(rise, known)
    noise = config.noise * _noise(image, scale.sd, method=config.method)
    significant = height > np.maximum(noise[tuple(places.T)], 0)
    places, height = places[significant], height[significant]
    isolated = _strongest(places, height, distance=scale.min_distance)
    places, height = places[isolated], height[isolated]
    return places[height > config.contrast * _strong_near(places, height)]


def _bright(atoms: Shapes) -> Shapes:
    """The atoms that are not much weaker than the strong atoms around them."""
    kept = atoms.height > BRIGHT * _strong_near(atoms.position, atoms.height)
    return Shapes(*(getattr(atoms, part.name)[kept] for part in fields(Shapes)))


def _faint(
    image: np.ndarray,
    known: np.ndarray,
    atoms: Shapes,
    strong: list[Shapes],
    scale: Scale,
    *,
    config: FindConfig,
) -> np.ndarray:
    """Positions (atom, 2) [px] of atoms that the lattice repeats beside strong ones, for each set of strong ones.

    A fainter kind of which the larger part is found already is hardly seen beside all atoms, only beside those of
    the stronger kind.
    """
    found = [_beside(image, here, scale, config=config) for here in strong if len(here.height)]
    if not found:
        return np.zeros((0, 2))
    places, equivalent = (np.concatenate(part) for part in zip(*found, strict=True))
    new = np.asarray(KDTree(atoms.position).query(places)[0]) > scale.min_distance
    kept = new & known[tuple(np.rint(places).astype(int).T)]
    places, equivalent = places[kept], equivalent[kept]
    return places[_strongest(places, equivalent, distance=scale.min_distance)]


def _beside(
    image: np.ndarray, strong: Shapes, scale: Scale, *, config: FindConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (place, 2) [px] where the lattice repeats a fainter kind beside strong atoms, or weak atoms on
    their sites, and the mean rise of equivalent atoms (place,).

    A site below a share of the height of equivalent atoms counts as empty.
    """
    drawn = np.column_stack([strong.height, strong.position, np.log(strong.sd)])
    residual = image - draw(image.shape, drawn, radius=DRAWN * scale.sd)
    rise, residual_rise = (
        _rise(part, scale.sd, method=config.method) for part in (image, residual)
    )
    pixels = tuple(np.rint(strong.position).astype(int).clip(0, np.array(image.shape) - 1).T)
    typical = float(np.median(rise[pixels]))
    least, here = (config.faint or 0.0) * typical, strong.position
    faint_sites, mean = repeated(residual_rise, here, least=least, distance=scale.min_distance)
    weak_sites, same = repeated(
        rise, here, least=LIKE * typical, distance=scale.min_distance, between=NEXT
    )
    places, equivalent = np.concatenate([faint_sites, weak_sites]), np.concatenate([mean, same])
    height = float(np.median(heights(image, here, sd=scale.sd))) / typical
    occupied = heights(residual, places, sd=scale.sd) > PRESENT * height * equivalent
    return places[occupied], equivalent[occupied]


def scale_of(image: np.ndarray, *, config: FindConfig) -> Scale:
    """Smoothing and minimum distance, from the configuration or else from the spectrum of the image.

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
    sd = config.scale or float(np.clip(SD_FACTOR / (2 * np.pi * rms), 0.7, max(0.7, 0.2 / planes)))
    return Scale(sd, config.min_distance or float(max(2 * sd, 0.4 / planes)))


def _rise(image: np.ndarray, sd: float, *, method: str) -> np.ndarray:
    """Rise of every smoothed pixel above the local background."""
    if method == "log":
        return -(sd**2) * ndi.gaussian_laplace(image, sd, mode="mirror")
    smooth = ndi.gaussian_filter(image, sd, mode="mirror")
    return smooth - ndi.gaussian_filter(image, BACKGROUND * sd, mode="mirror")


def _noise(image: np.ndarray, sd: float, *, method: str) -> np.ndarray:
    """Sd of the white noise in the rise, at every pixel."""
    variance = ndi.convolve(image, LAPLACE, mode="mirror") ** 2
    local = ndi.uniform_filter(variance, size=int(12 * sd) | 1, mode="mirror")
    half = int(np.ceil(5 * BACKGROUND * sd))
    point = np.zeros((2 * half + 1, 2 * half + 1))
    point[half, half] = 1
    return np.sqrt(local * (_rise(point, sd, method=method) ** 2).sum())


def _maxima(rise: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (maximum, 2) higher than those around them, without the rim, and their heights."""
    top = (rise == ndi.maximum_filter(rise, size=3)) & known
    top[[0, -1]] = False
    top[:, [0, -1]] = False
    places = np.argwhere(top)
    return places, rise[top]


def _strongest(places: np.ndarray, height: np.ndarray, *, distance: float) -> np.ndarray:
    """Mask of the positions without a higher one within the distance."""
    keep = np.ones(len(places), bool)
    if len(places) < 2:
        return keep
    pairs = KDTree(places).query_pairs(distance, output_type="ndarray")
    keep[np.where(height[pairs[:, 0]] < height[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = False
    return keep


def _strong_near(places: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Height of the strong atoms around every position."""
    if not len(places):
        return height
    _, near = KDTree(places).query(places, k=min(NEAR, len(places)))
    return np.quantile(height[near].reshape(len(places), -1), STRONG, axis=1)
