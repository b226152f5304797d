"""Surrogates: what predicts the target at every candidate from the measured ones. One row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from invae.active import features
from invae.active.belief import Belief, Measured
from invae.active.candidates import Candidates
from invae.active.features import Feature
from invae.active.pool_process import Learned, PoolProcess, learn
from invae.active.spectra_processes import SpectraSettings, believe_spectra, learn_spectra
from invae.config.search import AcquisitionName, SearchConfig
from invae.errors import ConfigError
from invae.regression.measures import Axis


class Pool:
    """Candidates and everything that is computed of them once."""

    def __init__(
        self, candidates: Candidates, config: SearchConfig, model: "Foreknowledge | None" = None
    ) -> None:
        self.candidates, self.config, self._model = candidates, config, model

    @cached_property
    def content(self) -> Feature:
        """What the patches show."""
        return features.content(self.candidates.patches)

    @cached_property
    def place(self) -> Feature:
        """Where they are."""
        return features.place(self.candidates.yx, self.candidates.frame)

    @cached_property
    def plain(self) -> np.ndarray:
        """Content without a choice of variant (site, value)."""
        return self.content.variants[len(self.content.variants) // 2]

    @property
    def chosen(self) -> tuple[Feature, ...]:
        """The features of the configuration."""
        return tuple(getattr(self, name) for name in self.config.features)

    @property
    def model(self) -> "Foreknowledge":
        """What a trained model says of the candidates.

        Raises:
            ConfigError: No model was given.
        """
        if self._model is None:
            raise ConfigError(
                f"surrogate {self.config.surrogate!r} needs a trained model of pairs; give model="
            )
        return self._model


@dataclass(frozen=True)
class Foreknowledge:
    """What a model that was trained on other specimens says of the candidates."""

    spectra: Float[np.ndarray, "site energy"]
    """Predicted spectra."""
    latents: Float[np.ndarray, "site latent"] | None
    """Latent variables; none of a model without networks."""
    axis: Axis
    """Of the spectra."""


@dataclass(frozen=True)
class Surrogate:
    """A predictor of the target."""

    label: str
    learn: Callable[[Pool, Measured], Any]
    """Settings from the measurements; done again as they grow."""
    believe: Callable[[Pool, Any, Measured], Belief]
    """Prediction of every candidate with these settings."""
    acquisition: AcquisitionName
    """The acquisition that does best with it."""


def _learn_process(pool: Pool, measured: Measured) -> Learned:
    return learn(pool.chosen, measured.data)


def _believe_process(pool: Pool, learned: Learned, measured: Measured) -> Belief:
    return PoolProcess(pool.chosen, learned, measured.data).belief()


def _transferred(pool: Pool, measured: Measured) -> tuple[Feature, ...]:
    """Predicted target and latent variables of the model, and the place."""
    predicted = measured.scalarise(pool.model.spectra, pool.model.axis)[:, None]
    known = Feature((features.scaled(predicted),), (0.5, 1.0, 2.0), (0.0, 1.0, 5.0))
    latents = pool.model.latents
    shown = pool.content if latents is None else features.latents(latents)
    return known, shown, pool.place


def _learn_transfer(pool: Pool, measured: Measured) -> tuple[tuple[Feature, ...], Learned]:
    made = _transferred(pool, measured)
    return made, learn(made, measured.data)


def _believe_features(
    pool: Pool, learned: tuple[tuple[Feature, ...], Learned], measured: Measured
) -> Belief:
    made, settings = learned
    return PoolProcess(made, settings, measured.data).belief()


def _learn_spectra(pool: Pool, measured: Measured) -> SpectraSettings:
    return learn_spectra(pool.chosen, measured)


def _believe_spectra(pool: Pool, learned: SpectraSettings, measured: Measured) -> Belief:
    return believe_spectra(pool.chosen, learned, measured)


def _learn_deep_kernel(pool: Pool, measured: Measured) -> tuple[tuple[Feature, ...], Learned]:
    from invae.active.deep_kernel import deep_kernel

    return deep_kernel(_network_inputs(pool), measured.data, seed=pool.config.seed)


def _learn_last_layer(pool: Pool, measured: Measured) -> tuple[tuple[Feature, ...], Learned]:
    from invae.active.deep_kernel import last_layer

    return last_layer(_network_inputs(pool), measured.data, seed=pool.config.seed)


def _network_inputs(pool: Pool) -> np.ndarray:
    """Inputs of a network (site, value): latent variables of a model if there is one, else the content; and the place."""
    model = pool._model
    known = None if model is None else model.latents
    parts = [features.scaled(known) if known is not None else pool.plain]
    parts = parts if "content" in pool.config.features else []
    if "place" in pool.config.features:
        parts.append(features.scaled(pool.place.variants[0]))
    joined = np.hstack(parts)
    return joined / np.maximum(joined.std(0).max(), 1e-12)


def _nothing(pool: Pool, measured: Measured) -> None:
    return None


def _ignorant(pool: Pool, learned: None, measured: Measured) -> Belief:
    """The mean of the measured values everywhere."""
    n, values = len(pool.candidates), measured.data.values
    mean = float(values.mean()) if len(values) else 0.0
    sd = float(values.std()) if len(values) > 1 else 1.0
    return Belief(
        np.full(n, mean),
        np.full(n, max(sd, 1e-12)),
        0.0,
        lambda rng: rng.normal(mean, sd, n),
        values,
        np.full(len(values), mean),
        np.full(len(values), max(sd, 1e-12)),
    )


SURROGATES: Mapping[str, Surrogate] = {
    "gp": Surrogate("Gaussian process", _learn_process, _believe_process, "ucb"),
    "dkl": Surrogate("deep kernel learning", _learn_deep_kernel, _believe_features, "ucb"),
    "ensemble": Surrogate(
        "Gaussian processes of whole spectra", _learn_spectra, _believe_spectra, "ucb"
    ),
    "transfer": Surrogate(
        "Gaussian process on a trained model", _learn_transfer, _believe_features, "thompson"
    ),
    "last-layer": Surrogate("Bayesian last layer", _learn_last_layer, _believe_features, "ucb"),
    "random": Surrogate("random sites", _nothing, _ignorant, "variance"),
    "raster": Surrogate("sites in the order of a raster", _nothing, _ignorant, "variance"),
}
"""By the name in the configuration. A new one is a row here."""

BLIND = ("random", "raster")
"""Surrogates that predict nothing; the order of their sites is fixed beforehand."""
