"""Training of a small network on all measurements at once, by the one training loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from invae.models.loss import Loss, Tally
from invae.training.fit import Fit, Plan, cosine
from invae.training.random_batches import NothingHeldOut, RandomBatches

STEPS_PER_EPOCH = 20


@dataclass(frozen=True)
class Measurements:
    """Inputs and standardised values of all measured candidates."""

    inputs: Float[Tensor, "site number"]
    values: Float[Tensor, " site"]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, places: slice) -> "Measurements":
        """Some of them."""
        return Measurements(self.inputs[places], self.values[places])


class WholeDataLearner:
    """A module and its loss on all measurements, with a penalty on the squares of some weights."""

    measure, settled_from = "minus_loss", 1.0

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[Measurements], Tensor],
        *,
        decay: float,
        decaying: nn.Module,
    ) -> None:
        """Begin with the weights that the module has.

        Args:
            module: The network that is trained.
            loss: Of all measurements.
            decay: Weight of half the sum of squares.
            decaying: The part of the module whose weights are penalised.
        """
        self.module, self._loss, self._decay, self._decaying = module, loss, decay, decaying

    def noise(self, n_items: int, generator: object) -> dict[str, Tensor]:
        """None."""
        return {}

    def loss(self, batch: Measurements, noise: Mapping[str, Tensor], *, progress: float) -> Loss:
        """The loss and the penalty."""
        squares = sum((weight.square().sum() for weight in self._decaying.parameters()), 0.0)
        total = self._loss(batch) + 0.5 * self._decay * squares
        return Loss(total, {self.measure: Tally(-total.detach() * len(batch), len(batch))})

    def score(
        self, batch: Measurements, noise: Mapping[str, Tensor], *, progress: float
    ) -> Mapping[str, Tally]:
        """Minus the loss."""
        return self.loss(batch, noise, progress=progress).terms


def train(
    learner: WholeDataLearner, data: Measurements, *, n_steps: int, rate: float, seed: int
) -> None:
    """Train for some steps on all measurements at once."""

    def draw(rng: np.random.Generator, n_items: int) -> Measurements:
        return data

    n_epochs = max(1, n_steps // STEPS_PER_EPOCH)
    plan = Plan(n_epochs, n_epochs, learning_rate=rate, schedule=cosine)
    batches = RandomBatches(draw, len(data), STEPS_PER_EPOCH)
    for _ in Fit(learner, batches, NothingHeldOut(), plan=plan, seed=seed).epochs():
        pass
