"""Learners: a module, its loss on a batch, and the score by which epochs are compared. `Fit` trains any of them.

A new kind of model becomes trainable by one class that follows `Learner`, and by batches of its own. The loop, checkpoints,
resuming, early stop, learning rate, gradient clip and several processes are those of `Fit`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from invae.models.compilation import compile_function
from invae.models.evaluation import Evaluation, evaluate
from invae.models.inference import Noise
from invae.models.loss import Loss, Tally
from invae.models.objective import Objective
from invae.models.signals import Signals
from invae.models.vae import VAE
from invae.training.angle_histogram import angle_histogram

Own = TypeVar("Own")


@runtime_checkable
class Items(Protocol):
    """A batch: a number of items that can be divided among processes."""

    def __len__(self) -> int: ...

    def take(self: Own, places: slice, /) -> Own:
        """Some of the items."""
        ...


Batch = TypeVar("Batch", bound=Items)
BatchRead = TypeVar("BatchRead", bound=Items, covariant=True)
BatchLearned = TypeVar("BatchLearned", bound=Items, contravariant=True)


@runtime_checkable
class TrainingBatches(Protocol[BatchRead]):
    """Batches to learn from, epoch by epoch; equal numbers and seeds give equal batches."""

    @property
    def device(self) -> torch.device: ...

    @property
    def n_items(self) -> int:
        """Items in an epoch."""
        ...

    def __len__(self) -> int:
        """Batches in an epoch; some epochs may have a few more or fewer."""
        ...

    def epoch(self, number: int, *, seed: int) -> Iterator[BatchRead]:
        """The batches of an epoch, counted from 0."""
        ...


@runtime_checkable
class HeldOutBatches(Protocol[BatchRead]):
    """Batches to validate on."""

    def in_order(self) -> Iterator[BatchRead]:
        """The same batches each time; none if nothing is held out."""
        ...


@runtime_checkable
class Learner(Protocol[BatchLearned]):
    """What `Fit` trains. It keeps nothing from batch to batch outside its module."""

    @property
    def module(self) -> nn.Module:
        """Its parameters are trained; its whole state is in every checkpoint, and that of the best epoch remains in the end."""
        ...

    @property
    def measure(self) -> str:
        """Name of the term by which epochs are compared; higher is better."""
        ...

    @property
    def settled_from(self) -> float:
        """Share of the training from which epochs can be compared: the weights of the loss change no more."""
        ...

    def noise(self, n_items: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Random numbers that the loss of a batch needs, one row per item, on the generator's device."""
        ...

    def loss(self, batch: BatchLearned, noise: Mapping[str, Tensor], *, progress: float) -> Loss:
        """The loss on a batch to learn from, after a share of the training, 0–1."""
        ...

    def score(
        self, batch: BatchLearned, noise: Mapping[str, Tensor], *, progress: float
    ) -> Mapping[str, Tally]:
        """The terms on a held-out batch; changes nothing. `measure` is one of them."""
        ...


class VAELearner:
    """A variational autoencoder and its objective."""

    measure = "elbo"

    def __init__(self, model: VAE, objective: Objective, *, compiled: bool = False) -> None:
        """Take a model as it is.

        Args:
            model: On the batches' device.
            objective: What is minimised.
            compiled: Whether the model is compiled by `torch.compile`.
        """
        self.module, self.objective = model, objective
        self._evaluate: Callable[[VAE, Signals, Noise | None], Evaluation] = (
            compile_function(evaluate) if compiled else evaluate
        )

    @property
    def settled_from(self) -> float:
        """Where schedules and capacities have arrived."""
        return self.objective.settled_from

    def noise(self, n_items: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Standard normal values for every latent variable that is drawn."""
        return self.module.noise(n_items, generator)

    def loss(self, batch: Signals, noise: Noise, *, progress: float) -> Loss:
        """The objective, and how many sites have which angle."""
        evaluation = self._evaluate(self.module, batch, noise)
        loss = self.objective.weigh(evaluation, progress=progress)
        angles = angle_histogram(evaluation.posterior)
        return loss if angles is None else replace(loss, histograms={"angle": angles})

    def score(self, batch: Signals, noise: Noise, *, progress: float) -> Mapping[str, Tally]:
        """The terms of the ELBO and of the objective. The model stays in training mode: its terms are those of training."""
        evaluation = self._evaluate(self.module, batch, noise)
        return self.objective.weigh(evaluation, progress=progress).terms
