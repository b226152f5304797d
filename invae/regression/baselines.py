"""Classical predictors of spectra from image patches, to compare with: one row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from invae.errors import InputError
from invae.regression.gaussian_process import GaussianProcess
from invae.regression.invariants import ring_amplitudes
from invae.training.split import Split

Patches = Float[np.ndarray, "site channel y x"]
Spectra = Float[np.ndarray, "site energy"]
Predict = Callable[[Patches], Spectra]
MOST_FOR_TREES = 1500
"""Pairs from which a forest learns; more take minutes."""


@dataclass(frozen=True)
class Baseline:
    """A predictor that needs no network."""

    label: str
    fit: Callable[[Patches, Spectra], Predict]
    """Learns from pairs; returns the prediction."""


def _mean(patches: Patches, spectra: Spectra) -> Predict:
    return lambda other: np.broadcast_to(spectra.mean(0), (len(other), spectra.shape[1]))


def _flat(patches: Patches) -> np.ndarray:
    return patches.reshape(len(patches), -1)


def _n_components(patches: Patches, most: int) -> int:
    return max(1, min(most, len(patches) // 3, _flat(patches).shape[1]))


def _pca_ridge(patches: Patches, spectra: Spectra) -> Predict:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    pca = PCA(_n_components(patches, 40), random_state=0)
    model = make_pipeline(pca, RidgeCV(np.logspace(-3, 4, 8))).fit(_flat(patches), spectra)
    return lambda other: model.predict(_flat(other))


def _pls(patches: Patches, spectra: Spectra) -> Predict:
    from sklearn.cross_decomposition import PLSRegression

    model = PLSRegression(min(_n_components(patches, 15), spectra.shape[1]))
    model.fit(_flat(patches), spectra)
    return lambda other: model.predict(_flat(other))


def _nearest(patches: Patches, spectra: Spectra) -> Predict:
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline

    pca = PCA(_n_components(patches, 20), random_state=0)
    near = KNeighborsRegressor(min(7, len(patches)), weights="distance")
    model = make_pipeline(pca, near).fit(_flat(patches), spectra)
    return lambda other: model.predict(_flat(other))


def _forest(patches: Patches, spectra: Spectra) -> Predict:
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline

    used = np.linspace(0, len(patches) - 1, min(len(patches), MOST_FOR_TREES)).astype(int)
    pca = PCA(_n_components(patches, 40), random_state=0)
    trees = RandomForestRegressor(40, min_samples_leaf=2, max_features=0.4, random_state=0)
    model = make_pipeline(pca, trees).fit(_flat(patches[used]), spectra[used])
    return lambda other: np.asarray(model.predict(_flat(other)))


def _invariant_ridge(patches: Patches, spectra: Spectra) -> Predict:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 8)))
    model.fit(ring_amplitudes(patches), spectra)
    return lambda other: model.predict(ring_amplitudes(other))


def _process(patches: Patches, spectra: Spectra) -> Predict:
    process = GaussianProcess.fit(patches, spectra)
    return lambda other: process.predict(other).mean


BASELINES: Mapping[str, Baseline] = {
    "mean": Baseline("mean spectrum", _mean),
    "pca_ridge": Baseline("ridge regression on principal components", _pca_ridge),
    "pls": Baseline("partial least squares", _pls),
    "nearest": Baseline("7 nearest neighbours", _nearest),
    "forest": Baseline("random forest", _forest),
    "invariant_ridge": Baseline("ridge regression on |FFT| of rings", _invariant_ridge),
    "process": Baseline("Gaussian process on invariant features", _process),
}
"""By the names that results have. A new one is a row here."""


def predict_held_out(
    baseline: Baseline, patches: Patches, spectra: Spectra, splits: list[Split]
) -> Spectra:
    """Prediction of every site by a predictor that has not learned from it; NaN for sites of no split.

    Raises:
        InputError: Patches and spectra are not of the same number.
    """
    if len(patches) != len(spectra):
        raise InputError(f"{len(patches)} patches and {len(spectra)} spectra are no pairs")
    predicted = np.full(spectra.shape, np.nan)
    for split in splits:
        # The ridge has fixed penalties, and trees take variances below 1e-16 for zero: heights in m and currents in A would not count.
        size = _size(patches[split.training].astype(float), axis=(0, 2, 3))[:, None, None]
        scale = _size(spectra[split.training] - spectra[split.training].mean(0, dtype=float))
        predict = baseline.fit(patches[split.training] / size, spectra[split.training] / scale)
        predicted[split.held_out] = predict(patches[split.held_out] / size) * scale
    return predicted


def _size(values: np.ndarray, axis: tuple[int, ...] | None = None) -> np.ndarray:
    """Standard deviation, 1 where it is 0."""
    sd = np.asarray(values.std(axis=axis))
    return np.where(sd > 0, sd, 1.0)
