"""Deviations of a scan from its lattice, around every probe.

One pattern of few electrons has little information, but a crystal repeats itself over the whole scan. The lattice that the maps of a scan
share is detected in their spectra. Every map is folded onto the unit cell, and the folded maps give the expected value at each probe. A
matched filter over all maps measures how much of the expected signal each neighbourhood shows: less where an atom is missing, where the
lattice is destroyed, and where it ends.

Source: Turin 1960, doi:10.1109/TIT.1960.1057571 (matched filters); the statistic is this project's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import scipy.ndimage as ndi
from scipy.optimize import minimize

LEAST_SIDE = 16
"""Scans with a shorter side show too few cells [probe]."""
FINER = 4
"""Zero padding: samples of the spectrum along each axis per sample of the scan."""
SLOWEST = 1.5
"""A lattice has at least so many periods over the shorter side."""
FASTEST = 0.45
"""Highest frequency of a lattice [1/scan step]."""
N_PEAKS = 10
"""Number of strongest peaks of the spectrum; two of them span the lattice."""
LEAST_ANGLE = 0.3
"""Smallest sine of the angle between two directions of a lattice."""
ORDERS_SOUGHT, ORDERS_KEPT = 2, 3
"""Harmonics along each direction that detect a lattice, and that fold maps."""
SIGNIFICANT = 10.0
"""Standard deviations of noise by which the spectrum must exceed its surroundings at the frequencies of a lattice: the best of white noise stays
below 8.5."""
FLOOR = 0.05
"""Lower limit of the background at a frequency, as a share of the mean power: with nearly no noise, everything would exceed it."""
LEAST_SHARE = 0.3
"""Smallest share of the lattice in the common signal of neighbouring probes: edges and domains also have peaks in their spectra."""
PLACE = 0.3
"""Sd of a neighbourhood, in spacings of the lattice's lines: about half the distance of neighbouring atoms."""
MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Deviation:
    """Deviations of a scan from its lattice."""

    missing: np.ndarray
    """Missing signal of the lattice in the neighbourhood of each probe, as a robust z-score (row, column)."""
    information: float
    """Share of the lattice in the variance of single probes, from 0 to 1: the information of one pattern."""


def deviations_from_lattice(fields: np.ndarray, *, from_zero: np.ndarray) -> Deviation | None:
    """Deviations of the neighbourhoods of probes from the common lattice of some fields; None without a lattice.

    Args:
        fields: values of every probe (row, column, field).
        from_zero: (field,) bool: whether 0 means vacuum, so that the mean belongs to the lattice too.
    """
    if min(fields.shape[:2]) < LEAST_SIDE:
        return None
    lively = np.nanstd(fields, axis=(0, 1)) > 0
    fields, from_zero = fields[..., lively].astype(np.float64), from_zero[lively]
    if fields.shape[-1] == 0:
        return None
    middle, spread = np.nanmean(fields, axis=(0, 1)), np.nanstd(fields, axis=(0, 1))
    values = np.nan_to_num((fields - middle) / spread)
    directions = find_lattice(values)
    if directions is None:
        return None
    folded, noise = _folded(values, directions)
    information = float(np.mean(folded.var((0, 1)) / (folded.var((0, 1)) + noise)))
    if information <= LEAST_SHARE * _in_common(values):
        return None
    mean = np.where(from_zero, middle / spread, 0.0)
    expected, measured = ((each + mean) / np.sqrt(noise) for each in (folded, values))
    sd = PLACE / np.linalg.norm(directions, axis=1).max()
    return Deviation(_missing(measured, expected, sd=sd), information)


def _in_common(values: np.ndarray) -> float:
    """Mean product of the values of neighbouring probes (row, column, field), at least 0: approximately their variance without noise."""
    down, right = (values[1:] * values[:-1]).mean(), (values[:, 1:] * values[:, :-1]).mean()
    return max(float(down + right) / 2, 0.0)


def find_lattice(values: np.ndarray) -> np.ndarray | None:
    """Two frequencies (direction, axis) [1/scan step] whose harmonics exceed the spectrum most; None if none do.

    Args:
        values: fields of mean 0 and sd 1 (row, column, field).
    """
    spectrum, background = _spectrum(values)
    peaks = _peaks(spectrum / background, values.shape)
    best, most = None, 0.0
    for pair in combinations(peaks, 2):
        if _spans(*pair):
            excess = _excess(values, background, np.stack(pair))
            best, most = (np.stack(pair), excess) if excess > most else (best, most)
    if best is None:
        return None
    step = 0.2 / max(values.shape[:2])
    start = best.ravel() + np.concatenate((np.zeros((1, 4)), step * np.eye(4)))
    refined = minimize(
        lambda flat: -_excess(values, background, flat.reshape(2, 2)),
        best.ravel(),
        method="Nelder-Mead",
        options={"initial_simplex": start, "maxiter": 200},
    )
    return refined.x.reshape(2, 2) if -refined.fun > SIGNIFICANT else None


def _spectrum(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power per probe, summed over fields (k_y, k_x), and the typical power at that distance from frequency 0."""
    n_y, n_x, n_fields = values.shape
    waves = np.fft.fft2(values, s=(FINER * n_y, FINER * n_x), axes=(0, 1))
    power = (np.abs(waves) ** 2).sum(-1) / (n_y * n_x * n_fields)
    ring = np.rint(_distance(values.shape) * min(n_y, n_x) / 2).astype(int)
    usual = ndi.median(power, ring, np.arange(ring.max() + 1))
    # the median of a mean of n exponential variables lies below its mean
    return power, np.maximum(np.asarray(usual)[ring] / (1 - 1 / (3 * n_fields)), FLOOR)


def _distance(shape: tuple[int, ...]) -> np.ndarray:
    """Frequency of every sample of the spectrum [1/scan step]."""
    y, x = (np.fft.fftfreq(FINER * n) for n in shape[:2])
    return np.hypot(y[:, None], x)


def _peaks(spectrum: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The strongest peaks of one half of a spectrum (peak, axis) [1/scan step]."""
    distance = _distance(shape)
    inside = (distance >= SLOWEST / min(shape[:2])) & (distance <= FASTEST)
    y, x = (np.fft.fftfreq(n) for n in spectrum.shape)
    inside &= x >= 0
    highest = ndi.maximum_filter(spectrum, 2 * FINER + 1, mode="wrap")
    rows, columns = np.nonzero(inside & (spectrum == highest))
    order = np.argsort(-spectrum[rows, columns], kind="stable")[:N_PEAKS]
    return np.stack((y[rows[order]], x[columns[order]]), axis=1)


def _spans(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two frequencies point in different directions."""
    across = abs(first[0] * second[1] - first[1] * second[0])
    return bool(across > LEAST_ANGLE * np.linalg.norm(first) * np.linalg.norm(second))


def _harmonics(directions: np.ndarray, *, orders: int, fastest: float) -> Iterator[np.ndarray]:
    """Sums of multiples of two frequencies, one per pair of opposite signs (axis,)."""
    steps = range(-orders, orders + 1)
    for first, second in product(steps, steps):
        frequency = first * directions[0] + second * directions[1]
        if (first, second) > (0, 0) and np.linalg.norm(frequency) <= fastest:
            yield frequency


def _excess(values: np.ndarray, background: np.ndarray, directions: np.ndarray) -> float:
    """Excess of the spectrum over its background at the frequencies of a lattice, in standard deviations of noise."""
    n_y, n_x, n_fields = values.shape
    excess, number = 0.0, 0
    for frequency in _harmonics(directions, orders=ORDERS_SOUGHT, fastest=FASTEST):
        row, column = (
            np.exp(-2j * np.pi * part * np.arange(n))
            for part, n in zip(frequency, (n_y, n_x), strict=True)
        )
        wave = np.tensordot(column, np.tensordot(row, values, axes=(0, 0)), axes=(0, 0))
        power = (np.abs(wave) ** 2).sum() / (n_y * n_x * n_fields)
        place = np.rint(frequency * FINER * np.array([n_y, n_x])).astype(int)
        excess += power / background[place[0], place[1]] - 1
        number += 1
    return float(excess * np.sqrt(n_fields / max(number, 1)))


def _folded(values: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Periodic part of the fields (row, column, field), and variance of the residual (field,).

    Every harmonic is shrunk by its share of noise, as in a Wiener filter.
    """
    n_y, n_x, n_fields = values.shape
    y, x = np.indices((n_y, n_x)).reshape(2, -1)
    waves = [np.ones(n_y * n_x)]
    for frequency in _harmonics(directions, orders=ORDERS_KEPT, fastest=0.5):
        phase = 2 * np.pi * (frequency[0] * y + frequency[1] * x)
        waves += [np.cos(phase), np.sin(phase)]
    basis, flat = np.stack(waves, axis=1), values.reshape(-1, n_fields)
    weights = np.linalg.lstsq(basis, flat)[0]
    noise = ((flat - basis @ weights) ** 2).sum(0) / max(len(flat) - basis.shape[1], 1)
    noise = np.maximum(noise, 1e-9)
    pairs = weights[1:].reshape(-1, 2, n_fields)
    by_chance = 4 * noise / len(flat) / np.maximum((pairs**2).sum(1), 1e-30)
    shrunk = pairs * np.maximum(1 - by_chance, 0)[:, None]
    return (basis[:, 1:] @ shrunk.reshape(-1, n_fields)).reshape(values.shape), noise


def _missing(measured: np.ndarray, expected: np.ndarray, *, sd: float) -> np.ndarray:
    """Robust z-score of the missing signal in Gaussian neighbourhoods (row, column).

    Args:
        measured: fields in units of their noise (row, column, field).
        expected: the periodic part of the fields.
        sd: of a neighbourhood [scan step].
    """
    shown, whole = (measured * expected).sum(-1), (expected**2).sum(-1)
    usual = shown.sum() / max(float(whole.sum()), 1e-12)
    lacking = ndi.gaussian_filter(usual * whole - shown, sd, mode="constant")
    # the square of a Gaussian of this sd is a Gaussian of sd/√2: the variance of the sum, up to a factor
    scale = np.sqrt(ndi.gaussian_filter(whole, sd / np.sqrt(2), mode="constant"))
    lacking /= np.maximum(scale, 1e-12 * scale.max())
    middle = np.median(lacking)
    spread = MAD_TO_SD * np.median(np.abs(lacking - middle))
    return (lacking - middle) / max(float(spread), 1e-12)
