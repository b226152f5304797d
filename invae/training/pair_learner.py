"""The learner of models of pairs."""

from collections.abc import Mapping

import torch
from torch import Tensor

from invae.config.pairs import PairsModelConfig
from invae.models.inference import Noise
from invae.models.loss import Loss, Tally
from invae.models.pairs.objective import WARM_UP, held_out_terms, pair_loss
from invae.models.pairs.pair_model import PairModel
from invae.models.signals import Signals


class PairLearner:
    """A model of image and spectrum, and what it minimises."""

    measure = "score"
    settled_from = WARM_UP

    def __init__(self, model: PairModel, config: PairsModelConfig) -> None:
        """Take a model that is on the batches' device."""
        self.module, self.config = model, config

    def noise(self, n_items: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Standard normal values: of the latent variables that are drawn, and of the view of the image."""
        return self.module.noise(n_items, generator)

    def loss(self, batch: Signals, noise: Noise, *, progress: float) -> Loss:
        """The weighted terms of the family."""
        return pair_loss(self.module, self.config, batch, noise, progress=progress)

    def score(self, batch: Signals, noise: Noise, *, progress: float) -> Mapping[str, Tally]:
        """The terms at the posterior means."""
        return held_out_terms(self.module, self.config, batch)
