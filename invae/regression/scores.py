"""Scores of predicted spectra."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Spectra = Float[np.ndarray, "site energy"]


def r2(predicted: Spectra, spectra: Spectra) -> float:
    """1 − Σ(p − s)² / Σ(s − s̄)², s̄ the mean spectrum of these sites; 0 for the mean, below 0 if worse than it."""
    total = ((spectra - spectra.mean(0)) ** 2).sum()
    return float(1 - ((predicted - spectra) ** 2).sum() / total) if total > 0 else float("nan")


def r2_by_energy(predicted: Spectra, spectra: Spectra) -> Float[np.ndarray, " energy"]:
    """The same for every channel alone."""
    total = ((spectra - spectra.mean(0)) ** 2).sum(0)
    return 1 - ((predicted - spectra) ** 2).sum(0) / np.where(total > 0, total, np.nan)


def relative_error(predicted: Spectra, spectra: Spectra) -> Float[np.ndarray, " site"]:
    """‖p − s‖ / ‖s‖ of every site."""
    return np.linalg.norm(predicted - spectra, axis=-1) / np.linalg.norm(spectra, axis=-1)


def peak_position(
    spectra: Spectra, axis: Float[np.ndarray, " energy"]
) -> Float[np.ndarray, " site"]:
    """Position of the maximum, by a parabola through three channels, in the unit of an evenly spaced axis."""
    top = spectra.argmax(1).clip(1, spectra.shape[1] - 2)
    site = np.arange(len(spectra))
    left, middle, right = (spectra[site, top + step] for step in (-1, 0, 1))
    curvature = left - 2 * middle + right
    offset = np.where(
        curvature < 0, 0.5 * (left - right) / np.where(curvature < 0, curvature, 1), 0
    )
    return axis[top] + offset.clip(-1, 1) * (axis[1] - axis[0])


def peak_errors(
    predicted: Spectra, spectra: Spectra, axis: Float[np.ndarray, " energy"]
) -> Float[np.ndarray, " strong"]:
    """Distances of the maxima, of sites whose spectrum is stronger than the lower quartile: elsewhere noise has the maximum."""
    height = spectra.max(1)
    strong = height > np.percentile(height, 25)
    return np.abs(peak_position(predicted, axis) - peak_position(spectra, axis))[strong]


def coverage(lower: Spectra, upper: Spectra, observed: Spectra) -> float:
    """Share of observed values inside their interval."""
    return float(((lower <= observed) & (observed <= upper)).mean())


def crps(mean: Spectra, sd: Spectra, observed: Spectra) -> float:
    """Continuous ranked probability score of Normals, mean over all values; lower is better, in the unit of the spectra.

    Source: Gneiting & Raftery 2007, doi:10.1198/016214506000001437, section 4.2.
    """
    from scipy.special import ndtr

    z = (observed - mean) / sd
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return float((sd * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))).mean())


def crps_of_samples(samples: Sequence[Spectra], observed: Spectra) -> float:
    """The same of equally likely samples.

    Source: Gneiting & Raftery 2007, eq. 21.
    """
    each = np.sort(np.stack(samples), axis=0)
    n = len(each)
    apart = np.abs(each - observed).mean(0)
    rank = (2 * np.arange(1, n + 1) - n - 1)[:, None, None]
    return float((apart - (rank * each).sum(0) / n**2).mean())


def recall(distance: Float[np.ndarray, "query candidate"], *, within: int) -> float:
    """Share of queries whose partner, the candidate of the same number, is among the nearest `within`."""
    own = np.diagonal(distance)[:, None]
    return float(((distance < own).sum(1) < within).mean())
