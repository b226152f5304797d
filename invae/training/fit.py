"""The only training loop. It yields epochs; saving, showing and stopping early belong to the code that iterates."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal

import numpy as np
import torch
from torch import Tensor, nn

from invae.config import TrainingConfig
from invae.errors import TrainingDiverged
from invae.models.loss import Loss, Tally
from invae.training.device import n_cores, one_thread
from invae.training.distributed import ALONE, Part, Team
from invae.training.history import Epoch
from invae.training.learner import Batch, HeldOutBatches, Learner, TrainingBatches
from invae.training.pieces import Pieces

USUAL_EPOCHS = 60
LEAST_STEPS = 1500
"""A set of a hundred sites has not begun to be learned after sixty passes of two steps each."""
WARM_UP = 0.05
"""Share of the training over which the learning rate rises."""
NORMS = 64
"""Steps over which the usual norm of the gradient is the median."""
ROUNDING = 1e-9
NOISE, VALIDATION = 3, 4
"""Streams of random numbers that follow from one seed; the batches have others."""


Schedule = Callable[[float, float], float]
"""Learning rate of a step as a share of its peak, from where the step begins and ends, as shares of the training."""


def constant(start: float, end: float) -> float:
    """The peak throughout."""
    return 1.0


def cosine(start: float, end: float) -> float:
    """Warm-up, then a cosine to zero."""
    return min(1.0, (start + 1e-3) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(start, 1.0)))


SCHEDULES: Mapping[str, Schedule] = {"constant": constant, "cosine": cosine}


@dataclass(frozen=True)
class Plan:
    """How long a training lasts, and how large its steps are."""

    n_epochs: int
    """At most."""
    patience: int
    """Epochs without a better one before training stops."""
    learning_rate: float
    """Peak step of Adam."""
    schedule: Schedule
    """Learning rate over training."""
    gradient_clip: float | None = None
    """Largest norm of the gradient, relative to the running median norm; not clipped when empty."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Arithmetic of the networks; auto is bfloat16 on a GPU that has it, else float32."""
    averaging: float = 0.0
    """Decay of the running mean of the weights per step; 0 keeps the weights of the last step."""
    pieces: int = 1
    """Pieces of a batch whose gradients are computed in parallel."""

    @classmethod
    def of(cls, config: TrainingConfig, *, n_steps: int) -> "Plan":
        """The plan of a configuration where an epoch has `n_steps` steps."""
        epochs, patience = config.epochs, config.patience
        if epochs is None:
            epochs = max(USUAL_EPOCHS, math.ceil(LEAST_STEPS / max(n_steps, 1)))
            patience = math.ceil(config.patience * epochs / USUAL_EPOCHS)
        return cls(
            n_epochs=epochs,
            patience=patience,
            learning_rate=config.learning_rate,
            schedule=SCHEDULES[config.schedule],
            gradient_clip=config.gradient_clip,
            precision=config.precision,
            averaging=config.averaging,
            pieces=config.pieces,
        )


class Fit(Generic[Batch]):
    """A training under way: the learner, its optimizer and the epochs so far."""

    def __init__(
        self,
        learner: Learner[Batch],
        training: TrainingBatches[Batch],
        held_out: HeldOutBatches[Batch],
        *,
        plan: Plan,
        seed: int,
        team: Team = ALONE,
        workers: int | None = None,
    ) -> None:
        """Begin with the weights that the learner has.

        Args:
            learner: On the batches' device.
            training: Batches to learn from.
            held_out: Batches to validate on; may be empty.
            plan: How long, how fast.
            seed: Of the order of items and of the noise.
            team: The processes that train it together.
            workers: Pieces of a batch that are computed at a time on a processor; the number of cores when empty. Values do not depend
                on it.
        """
        module = learner.module
        team.copy_weights(module)
        self.team, self.learner, self.plan, self.seed = team, learner, plan, seed
        self.training, self.held_out = training, held_out
        weights = [p for p in module.parameters() if p.requires_grad]
        # One kernel for all weights: 0.4 ms a step on the CPU, `foreach` 1.2 ms.
        self.optimizer = torch.optim.Adam(weights, lr=plan.learning_rate, fused=True)
        self.pieces = Pieces(weights, most=plan.pieces)
        self.workers = workers or n_cores() if training.device.type == "cpu" else 1
        self.clip = GradientClip(weights, ratio=plan.gradient_clip)
        self.average = WeightAverage(weights, decay=plan.averaging)
        self.history: list[Epoch] = []
        self.best = _copy(module)

    def epochs(self) -> Iterator[Epoch]:
        """Train from the present state to the last epoch, or until the score has stopped rising.

        Until the last epoch the processor works with one thread (`one_thread`). While weights of the loss still change, the score says nothing of later epochs: an epoch can be the best one, or count
        as one without improvement, only if all weights have settled by its end. The last epoch always counts. Afterwards the
        module has the best epoch's state.

        Raises:
            TrainingDiverged: A term became infinite or not a number.
        """
        with one_thread(), self.pieces.computed_by(self.workers):
            while len(self.history) < self.plan.n_epochs and not self._has_stopped():
                epoch = self._epoch(len(self.history))
                if epoch.best:
                    with self.average.in_use():
                        self.best = _copy(self.learner.module)
                self.history.append(epoch)
                yield epoch
            self.learner.module.load_state_dict(self.best)

    def _epoch(self, number: int) -> Epoch:
        start = time.perf_counter()
        terms, histograms = self._train(number)
        seconds = time.perf_counter() - start
        with self.average.in_use():
            held_out = self.validate()
        score = (held_out or terms)[self.learner.measure]
        return Epoch(
            epoch=number,
            training=terms,
            held_out=held_out,
            learning_rate=float(self.optimizer.param_groups[0]["lr"]),
            best=self._counts(number) and score > self._best_score(),
            angles=histograms.get("angle", []),
            seconds=time.perf_counter() - start,
            patches_per_second=self.training.n_items / max(seconds, 1e-9),
            measure=self.learner.measure,
        )

    def validate(self) -> dict[str, float]:
        """Terms on the held-out items, with the same noise each time; changes nothing. Empty without such items."""
        means, generator = Means(), self._generator(VALIDATION)
        progress = min((len(self.history) + 1) / self.plan.n_epochs, 1.0)
        with torch.no_grad(), self._precision():
            for batch in self.held_out.in_order():
                part = self.team.part(len(batch))
                own, noise = self._own(batch, generator, part)
                means.add(self.learner.score(own, noise, progress=progress), counts=part.share > 0)
        return means.values(self.team)

    def _train(self, epoch: int) -> tuple[dict[str, float], dict[str, list[int]]]:
        """Terms and histograms of a pass over the training items."""
        means, histograms, generator = Means(), Histograms(), self._generator(NOISE, epoch)
        for step, batch in enumerate(self.training.epoch(epoch, seed=self.seed)):
            start, end = (self._progress(epoch, done) for done in (step, step + 1))
            self._set_rate(self.plan.schedule(start, end))
            part = self.team.part(len(batch))
            for loss in self._step(batch, generator, part, progress=start):
                means.add(loss.terms, counts=part.share > 0)
                histograms.add(loss.histograms, counts=part.share > 0)
        values = means.values(self.team)
        self._refuse_divergence(values, epoch)
        return values, histograms.values(self.team)

    def _step(
        self, batch: Batch, generator: torch.Generator, part: Part, *, progress: float
    ) -> Sequence[Loss]:
        """One step of the optimizer; the losses of the pieces of the batch."""

        def loss_of(piece: Part) -> Loss:
            with self._precision():  # which is a setting of every thread
                return self.learner.loss(*_taken(own, noise, piece), progress=progress)

        with self._precision():
            own, noise = self._own(batch, generator, part)
        self.optimizer.zero_grad()
        losses = self.pieces.backward(loss_of, len(own), share=part.share)
        self.team.sum_gradients(self.clip.weights)
        self.clip()
        self.optimizer.step()
        self.average.update()
        return losses

    def _progress(self, epoch: int, n_steps: int) -> float:
        """Share of the training after some steps of an epoch."""
        return (epoch + n_steps / len(self.training)) / self.plan.n_epochs

    def _set_rate(self, share: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * share

    def _own(
        self, batch: Batch, generator: torch.Generator, part: Part
    ) -> tuple[Batch, dict[str, Tensor]]:
        """This process' part of a batch, and its part of the noise, which is drawn for the whole batch."""
        noise = dict(self.learner.noise(len(batch), generator))
        return (batch, noise) if self.team.size == 1 else _taken(batch, noise, part)

    def _refuse_divergence(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            if not math.isfinite(value):
                clip = self.plan.gradient_clip
                remedy = "" if clip is None else f" or the gradient clip ({clip:g})"
                raise TrainingDiverged(
                    f"{name} became {value} in epoch {epoch}; lower the learning rate "
                    f"(it is {self.plan.learning_rate:g}){remedy}"
                )

    def _best_score(self) -> float:
        return max((e.score for e in self.history if self._counts(e.epoch)), default=-math.inf)

    def _counts(self, epoch: int) -> bool:
        """Whether the weights of the loss have settled by the end of an epoch."""
        settled_from = min(self.learner.settled_from, 1.0)
        return (epoch + 1) / self.plan.n_epochs >= settled_from - ROUNDING

    def _has_stopped(self) -> bool:
        last_best = max((e.epoch for e in self.history if e.best), default=len(self.history) - 1)
        return len(self.history) - 1 - last_best >= self.plan.patience

    def n_expected(self) -> int:
        """Number of epochs that the training will probably have: all, or, after epochs without a better score, those until it stops."""
        last_best = max((e.epoch for e in self.history if e.best), default=None)
        if last_best is None or len(self.history) - 1 - last_best < self.plan.patience / 3:
            return self.plan.n_epochs
        return min(self.plan.n_epochs, last_best + 1 + self.plan.patience)

    def _generator(self, *stream: int) -> torch.Generator:
        state = np.random.SeedSequence([self.seed, *stream]).generate_state(1, np.uint64)
        return torch.Generator(self.training.device).manual_seed(int(state[0]) >> 1)

    def _precision(self) -> AbstractContextManager[Any]:
        """Arithmetic of the networks; geometry and likelihood stay in float32."""
        device, asked = self.training.device.type, self.plan.precision
        able = device == "cuda" and torch.cuda.is_bf16_supported()
        low = asked == "bfloat16" or (asked == "auto" and able)
        return torch.autocast(device, dtype=torch.bfloat16, enabled=low)


def _taken(
    batch: Batch, noise: Mapping[str, Tensor], part: Part
) -> tuple[Batch, dict[str, Tensor]]:
    """A part of a batch, and its part of the noise."""
    if part.share == 1:
        return batch, dict(noise)
    return batch.take(part.place), {name: value[part.place] for name, value in noise.items()}


class GradientClip:
    """Keeps a step from being much larger than the last ones; stays on the device."""

    def __init__(self, weights: list[nn.Parameter], *, ratio: float | None) -> None:
        """Clip norms above `ratio` times the median of the last `NORMS`; none where there is no ratio."""
        self.weights, self.ratio = weights, ratio
        self.norms = torch.full((NORMS,), math.nan, device=weights[0].device)
        self.count = 0

    def __call__(self) -> None:
        if self.ratio is None:
            return
        gradients = [w.grad for w in self.weights if w.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        limit = self.ratio * self.norms.nanmedian()
        scale = (limit / norm).nan_to_num(nan=1.0).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)
        self.norms[self.count % NORMS] = torch.minimum(norm, norm * scale)
        self.count += 1


class WeightAverage:
    """Running mean of the weights over the steps: single steps scatter about it.

    Source: Polyak & Juditsky 1992, doi:10.1137/0330046; an exponential mean instead of the plain one.
    """

    def __init__(self, weights: list[nn.Parameter], *, decay: float) -> None:
        """Begin with the present weights; with a decay of 0 nothing is kept or exchanged."""
        self.weights, self.decay, self.count = weights, decay, 0
        self.means = [w.detach().clone() for w in weights] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step; the first steps count more, so that the start is forgotten."""
        if not self.decay:
            return
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for mean, weight in zip(self.means, self.weights, strict=True):
            mean.lerp_(weight.detach(), 1 - decay)
        self.count += 1

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The module computes with the means inside, and with its own weights afterwards."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for weight, mean in zip(self.weights, self.means, strict=bool(self.decay)):
            own = weight.clone()
            weight.copy_(mean)
            mean.copy_(own)


class Means:
    """Means of terms over items, summed on the device: one wait per epoch, not per step."""

    def __init__(self) -> None:
        self._totals: dict[str, Tensor | float] = {}
        self._counts: dict[str, Tensor | int] = {}

    def add(self, terms: Mapping[str, Tally], *, counts: bool = True) -> None:
        """Add a batch, or only the names of its terms."""
        for name, tally in terms.items():
            total = (
                tally.total.detach().double() if isinstance(tally.total, Tensor) else tally.total
            )
            self._totals[name] = self._totals.get(name, 0.0) + (total if counts else 0.0)
            self._counts[name] = self._counts.get(name, 0) + (tally.count if counts else 0)

    def values(self, team: Team = ALONE) -> dict[str, float]:
        """Means so far over all processes, by term; without terms known for no item, empty if there was no batch."""
        totals, counts = team.sum_by_name(self._totals), team.sum_by_name(self._counts)
        return {name: totals[name] / n for name, n in counts.items() if n}


class Histograms:
    """Sums of histograms over batches, on the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, histograms: Mapping[str, Tensor], *, counts: bool = True) -> None:
        """Add a batch, or only the names of its histograms."""
        for name, histogram in histograms.items():
            own = histogram if counts else torch.zeros_like(histogram)
            self._sums[name] = self._sums[name] + own if name in self._sums else own

    def values(self, team: Team = ALONE) -> dict[str, list[int]]:
        """Counts of all processes, by name."""
        return {
            name: [int(count) for count in team.sum(summed).tolist()]
            for name, summed in self._sums.items()
        }


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
