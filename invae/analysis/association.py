"""Associations of latent variables and descriptors, with uncertainties.

Neighbouring patches overlap, so they are not independent: uncertainties come from resampling whole tiles of the image, and
predictions are scored on strips of the image that share no pixel with the strips of the fit.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.spatial import KDTree
from scipy.stats import rankdata

from invae import dims

N_RESAMPLES = 400
N_STRIPS = 4
N_NEIGHBOURS = 10
MAX_SITES = 20_000
"""Largest number of sites used, evenly chosen."""
MIN_SITES = 30
"""With fewer sites that have a finite descriptor, or fewer sites of the fit, the result is NaN."""
MIN_TILES = 5
"""With fewer tiles, the uncertainty is NaN."""
INTERVAL = (2.5, 97.5)
"""Percentiles of the resampled values."""


def associate(
    features: xr.Dataset,
    descriptors: xr.Dataset,
    spaces: Mapping[str, xr.DataArray],
    *,
    sites: xr.Dataset,
    window: float,
    seed: int,
) -> xr.Dataset:
    """Spearman's `rho (feature, descriptor)` and held-out `r2 (space, descriptor)`, with 95 % intervals.

    `r2` is the share of the variance of a descriptor that its ten nearest neighbours in a latent space predict.

    Args:
        features: one variable (site) per latent.
        descriptors: one variable (site) per descriptor; NaN where unknown.
        spaces: name → (site, …) coordinates in a latent space.
        sites: coords `y`, `x` (site) [pixel].
        window: side of a patch [pixel]; size of the tiles, and gap between strips.
        seed: of the resampling.
    """
    keep = _even(sites.sizes[dims.SITE])
    y, x = (sites[name].to_numpy()[keep].astype(float) for name in (dims.Y, dims.X))
    tile = np.unique((y // window) * 1_000_003 + x // window, return_inverse=True)[1]
    strip, along = _strips(y, x)
    rho = np.full((len(features.data_vars), len(descriptors.data_vars), 3), np.nan)
    r2 = np.full((len(spaces), len(descriptors.data_vars), 3), np.nan)
    for column, descriptor in enumerate(descriptors.data_vars.values()):
        target = descriptor.to_numpy()[keep].astype(float)
        known = np.isfinite(target)
        if known.sum() < MIN_SITES or np.ptp(target[known]) == 0:
            continue
        for row, feature in enumerate(features.data_vars.values()):
            values = feature.to_numpy()[keep].astype(float)
            rho[row, column] = _spearman(values[known], target[known], tile[known], seed=seed)
        for row, space in enumerate(spaces.values()):
            points = space.transpose(dims.SITE, ...).to_numpy()[keep].astype(float)
            predicted = _predict(
                points[known], target[known], strip[known], along[known], gap=window
            )
            r2[row, column] = _score(target[known], predicted, tile[known], seed=seed)
    return _labelled(
        rho, r2, *([str(name) for name in given] for given in (features, descriptors, spaces))
    )


def _even(length: int) -> np.ndarray:
    return np.unique(np.linspace(0, length - 1, min(length, MAX_SITES)).round().astype(np.int64))


def _strips(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strip of each site, across the longer side of the image, and its position along that side [pixel]."""
    along = y if np.ptp(y) > np.ptp(x) else x
    edges = np.quantile(along, np.linspace(0, 1, N_STRIPS + 1)[1:-1])
    return np.searchsorted(edges, along), along


def _spearman(
    first: np.ndarray, second: np.ndarray, tile: np.ndarray, *, seed: int
) -> tuple[float, float, float]:
    """Spearman's ρ and its interval; ranks are computed once, tiles are resampled."""
    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    sums = _by_tile(tile, np.ones_like(a), a, b, a * a, b * b, a * b)
    draws = _resampled(sums, seed=seed)
    return _with_interval(_correlation(sums.sum(axis=0)[None]), _correlation(draws))


def _correlation(sums: np.ndarray) -> np.ndarray:
    n, a, b, aa, bb, ab = sums.T
    variance = (aa - a * a / n) * (bb - b * b / n)
    return (ab - a * b / n) / np.sqrt(np.maximum(variance, np.finfo(float).tiny))


def _predict(
    points: np.ndarray, target: np.ndarray, strip: np.ndarray, along: np.ndarray, *, gap: float
) -> np.ndarray:
    """Prediction of the target of each site from its nearest neighbours outside its strip and at least `gap` away from it."""
    predicted = np.full(len(target), np.nan)
    for index in range(N_STRIPS):
        here = strip == index
        if not here.any():
            continue
        low, high = along[here].min() - gap, along[here].max() + gap
        there = (along <= low) | (along >= high)
        if there.sum() < MIN_SITES:
            continue
        _, nearest = KDTree(points[there]).query(points[here], k=N_NEIGHBOURS)
        predicted[here] = target[there][nearest].mean(axis=1)
    return predicted


def _score(
    target: np.ndarray, predicted: np.ndarray, tile: np.ndarray, *, seed: int
) -> tuple[float, float, float]:
    """R² of a prediction and its interval."""
    judged = np.isfinite(predicted)
    if judged.sum() < MIN_SITES:
        return np.nan, np.nan, np.nan
    values = target[judged] - target[judged].mean()
    residual = target[judged] - predicted[judged]
    sums = _by_tile(tile[judged], np.ones_like(values), values, values**2, residual**2)
    draws = _resampled(sums, seed=seed)
    return _with_interval(_share(sums.sum(axis=0)[None]), _share(draws))


def _share(sums: np.ndarray) -> np.ndarray:
    n, values, squares, residual = sums.T
    return 1 - residual / np.maximum(squares - values * values / n, np.finfo(float).tiny)


def _by_tile(tile: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Sums over each tile with sites, (tile, column)."""
    number = np.unique(tile, return_inverse=True)[1]
    return np.column_stack([np.bincount(number, weights=column) for column in columns])


def _resampled(sums: np.ndarray, *, seed: int) -> np.ndarray:
    """Sums over tiles drawn with replacement, (resample, column); none with too few tiles."""
    if len(sums) < MIN_TILES:
        return np.empty((0, sums.shape[1]))
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=N_RESAMPLES)
    return counts @ sums


def _with_interval(value: np.ndarray, draws: np.ndarray) -> tuple[float, float, float]:
    low, high = np.percentile(draws, INTERVAL) if len(draws) else (np.nan, np.nan)
    return float(value[0]), float(low), float(high)


def _labelled(
    rho: np.ndarray, r2: np.ndarray, features: list[str], descriptors: list[str], spaces: list[str]
) -> xr.Dataset:
    rank = "Spearman's rank correlation of latent variable and descriptor"
    share = "R² of the descriptor predicted from the latent variables, on held-out strips"
    ends = ("", "_low", "_high")
    notes = ("", ", lower end of the 95 % interval", ", upper end of the 95 % interval")
    variables = {}
    for index, (end, note) in enumerate(zip(ends, notes, strict=True)):
        variables[f"rho{end}"] = (
            ("feature", "descriptor"),
            rho[..., index],
            dims.attrs(rank + note),
        )
        variables[f"r2{end}"] = (("space", "descriptor"), r2[..., index], dims.attrs(share + note))
    coords = {"feature": features, "descriptor": descriptors, "space": spaces}
    return xr.Dataset(variables, coords=coords)


def circular_agreement(first: xr.DataArray, second: xr.DataArray, cluster: xr.DataArray) -> float:
    """Agreement of two angles [rad], 0…1: mean resultant length of their difference within each class.

    Angles of different classes have different zeros, so each class has its own offset; classes are weighted by size.
    """
    difference = np.exp(1j * (first.to_numpy() - second.to_numpy()))
    known, label = np.isfinite(difference), cluster.to_numpy()
    if not known.any():
        return float("nan")
    sums = [abs(difference[known & (label == k)].sum()) for k in np.unique(label[known])]
    return float(sum(sums) / known.sum())
