"""How well a measurement agrees with its repetition: the ceiling of every prediction."""

import numpy as np
import xarray as xr

from invae import dims
from invae.regression.measures import Axis

FEWEST = 8
"""Fewest sites with a repetition."""
REPEATS = ("cycle", "repetition", "sweep")
"""Coordinates along the axis whose values number repetitions."""


def reliability(patches: xr.Dataset, axis: Axis) -> xr.Dataset | None:
    """Integrals of two repetitions, and their correlation `r`; none where nothing was repeated.

    Repetitions are two cycles of a spectrum, or two spectra of one place.

    Args:
        patches: Descriptors with `spectrum` and the coordinates of sites.
        axis: Of the spectra.
    """
    spectra = patches["spectrum"].to_numpy().astype(float)
    halves = _cycles(patches, axis)
    if halves is not None:
        first, second = (np.trapezoid(spectra[:, h], axis.values[h], axis=1) for h in halves)
        source = "two cycles of every spectrum"
    else:
        one, other = _same_places(patches)
        if len(one) < FEWEST:
            return None
        first, second = (np.trapezoid(spectra[s], axis.values, axis=1) for s in (one, other))
        source = "two spectra of the same place"
    r = float(np.corrcoef(first, second)[0, 1]) if min(first.std(), second.std()) > 0 else 0.0
    words = "integral over the axis, {} repetition"
    return xr.Dataset(
        {
            "first": ("repeated", first, dims.attrs(words.format("first"), axis.band_units)),
            "second": ("repeated", second, dims.attrs(words.format("second"), axis.band_units)),
            "r": ((), r, dims.attrs("correlation of the two repetitions")),
        },
        attrs={"source": source},
    )


def noise_ceiling(patches: xr.Dataset, measured: np.ndarray) -> float:
    """R² of a prediction whose errors are the noise alone: 1 − Σσ² / Σ(s − s̄)²; NaN where the noise is unknown."""
    if "spectrum_sd" not in patches.variables:
        return float("nan")
    noise = (patches["spectrum_sd"].to_numpy() ** 2).sum() * measured.shape[1]
    total = ((measured - measured.mean(0)) ** 2).sum()
    return float(np.clip(1 - noise / total, 0, 1))


def _cycles(patches: xr.Dataset, axis: Axis) -> tuple[np.ndarray, np.ndarray] | None:
    """Places along the axis of the first and the second cycle."""
    for name in REPEATS:
        if name in patches.coords and patches[name].dims == (axis.name,):
            numbers = np.unique(patches[name].to_numpy())
            if len(numbers) > 1:
                values = patches[name].to_numpy()
                return np.flatnonzero(values == numbers[0]), np.flatnonzero(values == numbers[1])
    half, odd = divmod(len(axis.values), 2)
    first, second = axis.values[:half], axis.values[half : 2 * half]
    extent = float(np.ptp(axis.values))
    if odd or half < 2 or extent == 0 or np.abs(first - second).max() > 0.01 * extent:
        return None
    return np.arange(half), np.arange(half, 2 * half)


def _same_places(patches: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The first two sites of every place with several."""
    place = np.stack([patches[name].to_numpy() for name in (dims.FRAME, dims.Y, dims.X)], axis=1)
    _, number = np.unique(np.round(place, 2), axis=0, return_inverse=True)
    order = np.argsort(number.ravel(), kind="stable")
    number = number.ravel()[order]
    begins = np.r_[True, number[1:] != number[:-1]]
    follows = np.r_[~begins[1:], False]
    one = np.flatnonzero(begins & follows)
    return order[one], order[one + 1]
