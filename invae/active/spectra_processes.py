"""Gaussian processes that predict whole spectra, so that the target may change midway: one for each principal component."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invae.active.belief import Belief, Data, Measured
from invae.active.features import Feature
from invae.active.pool_process import Learned, PoolProcess, learn
from invae.errors import InputError

MOST_COMPONENTS = 5
SAMPLES = 12
"""Possible spectra of every candidate, from which mean and sd of the target follow."""
AT_ONCE = 4096
"""Candidates whose spectra are in memory together."""


@dataclass(frozen=True)
class SpectraSettings:
    """Principal components of the spectra, and the settings of their processes."""

    mean: np.ndarray
    """(energy,)"""
    components: np.ndarray
    """(component, energy)"""
    learned: tuple[Learned, ...]


def learn_spectra(features: Sequence[Feature], measured: Measured) -> SpectraSettings:
    """Components and settings from measured spectra.

    Raises:
        InputError: Only numbers were measured.
    """
    spectra = measured.spectra
    if not spectra.size:
        raise InputError("surrogate ensemble predicts spectra; give spectra to observe, not values")
    mean = spectra.mean(0)
    _, _, vectors = np.linalg.svd(spectra - mean, full_matrices=False)
    components = vectors[: max(1, min(MOST_COMPONENTS, len(spectra) // 4))]
    scores = (spectra - mean) @ components.T
    return SpectraSettings(
        mean, components, tuple(learn(features, _of(measured.data, one)) for one in scores.T)
    )


def believe_spectra(
    features: Sequence[Feature], settings: SpectraSettings, measured: Measured
) -> Belief:
    """What the predicted spectra say of the target."""
    scores = (measured.spectra - settings.mean) @ settings.components.T
    processes = [
        PoolProcess(features, learned, _of(measured.data, one))
        for learned, one in zip(settings.learned, scores.T, strict=True)
    ]
    each = [process.belief() for process in processes]

    def target(values: np.ndarray) -> np.ndarray:
        """The target of component scores (site, component)."""
        parts = [
            measured.scalarise(values[k : k + AT_ONCE] @ settings.components + settings.mean, None)
            for k in range(0, len(values), AT_ONCE)
        ]
        return np.concatenate(parts)

    def moments(mean: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # The same numbers at every proposal: the sd then differs by what was measured, not by chance.
        noise = np.random.default_rng(0).normal(size=(SAMPLES, *mean.shape))
        drawn = [target(mean + sd * one) for one in noise]
        return target(mean), np.std(drawn, axis=0, ddof=1)

    mean, sd = moments(*(np.stack([getattr(b, n) for b in each], 1) for n in ("mean", "sd")))
    left = (np.stack([getattr(b, n) for b in each], 1) for n in ("left_out_mean", "left_out_sd"))
    left_mean, left_sd = moments(*left)
    values = measured.data.values
    noise = np.sqrt(max(((values - left_mean) ** 2).mean() - (sd**2).mean(), 0.0))
    return Belief(
        mean,
        np.maximum(sd, 1e-9 * max(float(values.std()), 1e-300)),
        float(noise),
        lambda rng: target(np.stack([process.draw(rng) for process in processes], axis=1)),
        values,
        left_mean,
        left_sd,
    )


def _of(data: Data, scores: np.ndarray) -> Data:
    """One component of the measured spectra in place of the target."""
    return Data(data.sites, scores, np.zeros(len(scores)))
