"""The only loop. It yields epochs; saving, showing and stopping early belong to whoever iterates."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from invae.config import TrainingConfig
from invae.errors import TrainingDiverged
from invae.models.batch import Patches
from invae.models.inference import Noise
from invae.models.objective import Evaluation, Objective, Tally, evaluate
from invae.models.vae import VAE
from invae.training.angle_histogram import AngleCounts
from invae.training.annotations import SiteKnown
from invae.training.batches import Batches
from invae.training.distributed import ALONE, Part, Team

USUAL_EPOCHS = 60
LEAST_STEPS = 1500
"""A set of a hundred sites has not begun to be learned after sixty passes of two steps each."""
WARM_UP = 0.05
"""Share of the training over which the learning rate rises."""
NORMS = 64
"""Steps over which the usual norm of the gradient is the median."""
ROUNDING = 1e-9
SHUFFLING, NOISE, JUDGING = 2, 3, 4
"""Streams of random numbers that follow from one seed."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training sites came to; means per patch [nats], by term."""

    epoch: int
    training: Mapping[str, float]
    """`elbo`, `log_likelihood`, `kl_<latent>` and what else the objective has (`capacity_<latent>`, `penalty_<name>`, …)."""
    held_out: Mapping[str, float]
    """The same on held-out sites, after the epoch; empty if there are none."""
    learning_rate: float
    best: bool
    """Whether this is the best epoch so far, of those that count (see `Fit.epochs`)."""
    angles: Sequence[int] = ()
    """Training sites by the angle found, in equal bins from −π to π; empty for a family without angle."""
    seconds: float = field(default=0.0, compare=False)
    """Time it took, judging included [s]."""
    patches_per_second: float = field(default=0.0, compare=False)
    """Speed of training alone."""

    @property
    def score(self) -> float:
        """What epochs are judged by: the held-out ELBO, or the training one [nats per patch]."""
        return (self.held_out or self.training)["elbo"]

    def to_json(self) -> dict[str, Any]:
        """All but the times: equal runs give equal histories."""
        values = asdict(self)
        del values["seconds"], values["patches_per_second"]
        return values


def length(config: TrainingConfig, *, n_steps: int) -> tuple[int, int]:
    """Epochs at most, and epochs to wait for a better one, where an epoch has `n_steps` steps."""
    if config.epochs is not None:
        return config.epochs, config.patience
    epochs = max(USUAL_EPOCHS, math.ceil(LEAST_STEPS / max(n_steps, 1)))
    return epochs, math.ceil(config.patience * epochs / USUAL_EPOCHS)


class Fit:
    """A training under way: the model, its optimizer and how far it is."""

    def __init__(
        self,
        model: VAE,
        training: Batches,
        held_out: Batches,
        *,
        config: TrainingConfig,
        objective: Objective,
        seed: int,
        team: Team = ALONE,
    ) -> None:
        """Begin with the model as it is.

        Args:
            model: On the batches' device.
            training: Batches to learn from.
            held_out: Batches to judge by; may be empty.
            config: How long, how fast.
            objective: What is minimised.
            seed: Of the order of patches and of the latents drawn.
            team: The processes that train it together.
        """
        team.begin_alike(model)
        self.team = team
        self.model, self.training, self.held_out = model, training, held_out
        self.config, self.objective, self.seed = config, objective, seed
        weights = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(weights, lr=config.learning_rate, foreach=True)
        self.clip = GradientClip(weights, ratio=config.gradient_clip)
        self.n_epochs, self.patience = length(config, n_steps=len(training))
        self.hinted: list[tuple[int, Batches]] = []
        self.history: list[Epoch] = []
        self.best = {name: value.clone() for name, value in model.state_dict().items()}
        self.evaluate: Callable[[VAE, Patches, Noise | None], Evaluation] = (
            torch.compile(evaluate) if config.compile else evaluate
        )

    def epochs(self) -> Iterator[Epoch]:
        """Train, from where it stands to the last epoch or until the score has stopped rising.

        While weights of the objective still change, the plain ELBO says nothing of what is to come: an epoch counts as the best
        one, and as one without a better, only if all schedules and capacities have arrived by its end. The last always counts.
        The model has the best epoch's weights afterwards.

        Raises:
            TrainingDiverged: The loss became infinite or not a number.
        """
        while len(self.history) < self.n_epochs and not self._has_stopped():
            began = time.perf_counter()
            trained, angles = self._train(len(self.history))
            seconds = time.perf_counter() - began
            judged = self.judge()
            score = (judged or trained)["elbo"]
            number = len(self.history)
            others = (e.score for e in self.history if self._counts(e.epoch))
            best = self._counts(number) and score > max(others, default=-math.inf)
            epoch = Epoch(
                epoch=number,
                training=trained,
                held_out=judged,
                learning_rate=float(self.optimizer.param_groups[0]["lr"]),
                best=best,
                angles=angles,
                seconds=time.perf_counter() - began,
                patches_per_second=len(self.training.sites) / max(seconds, 1e-9),
            )
            if best:
                self.best = {k: v.clone() for k, v in self.model.state_dict().items()}
            self.history.append(epoch)
            yield epoch
        self.model.load_state_dict(self.best)

    def hint(self, told: SiteKnown, *, n_epochs: int) -> None:
        """Train the first epochs with what is told of the sites instead of what is known; hints that end first, first."""
        source = self.training.source.telling(told)
        self.hinted.append((n_epochs, replace(self.training, source=source)))

    def judge(self) -> dict[str, float]:
        """Terms on the held-out sites, the same noise each time; changes nothing. Empty without such sites."""
        mean = Means()
        source = self._random(JUDGING)
        progress = min((len(self.history) + 1) / self.n_epochs, 1.0)
        with torch.no_grad(), self._precision():
            for batch in self.held_out.in_order():
                part = self.team.part(len(batch))
                found = self._look(batch, source, part)
                mean.add(
                    self.objective.weigh(found, progress=progress).terms, counts=part.share > 0
                )
        return mean.values(self.team)

    def _train(self, epoch: int) -> tuple[dict[str, float], list[int]]:
        mean, angles, source = Means(), AngleCounts(), self._random(NOISE, epoch)
        batches = next((told for end, told in self.hinted if epoch < end), self.training)
        for step, batch in enumerate(batches.shuffled(self.seed, SHUFFLING, epoch)):
            progress = (epoch + step / len(self.training)) / self.n_epochs
            self._set_rate(progress)
            part = self.team.part(len(batch))
            with self._precision():
                found = self._look(batch, source, part)
                weighed = self.objective.weigh(found, progress=progress)
            self.optimizer.zero_grad()
            (weighed.loss * part.share).backward()
            self.team.add_gradients(self.clip.weights)
            self.clip()
            self.optimizer.step()
            mean.add(weighed.terms, counts=part.share > 0)
            if part.share > 0:
                angles.add(found)
        values = mean.values(self.team)
        if not all(map(math.isfinite, values.values())):
            raise TrainingDiverged(
                f"the ELBO became {values['elbo']} in epoch {epoch}; lower the learning rate "
                f"(it is {self.config.learning_rate:g}) or the gradient clip ({self.config.gradient_clip:g})"
            )
        return values, angles.values(self.team)

    def _look(self, batch: Patches, source: torch.Generator, part: Part) -> Evaluation:
        """This process' part of a batch, with its part of the noise."""
        noise = self.model.noise(len(batch), source)
        if self.team.size > 1:
            batch = batch.take(part.place)
            noise = {name: value[part.place] for name, value in noise.items()}
        return self.evaluate(self.model, batch, noise)

    def _set_rate(self, done: float) -> None:
        """Learning rate after a share of the training: constant, or warm-up and a cosine to zero."""
        factor = 1.0
        if self.config.schedule == "cosine":
            warm = min(1.0, (done + 1e-3) / WARM_UP)
            factor = warm * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def _counts(self, epoch: int) -> bool:
        """Whether the objective's weights have arrived by the end of an epoch."""
        return (epoch + 1) / self.n_epochs >= min(self.objective.settled_from, 1.0) - ROUNDING

    def _has_stopped(self) -> bool:
        last_best = max((e.epoch for e in self.history if e.best), default=len(self.history) - 1)
        return len(self.history) - 1 - last_best >= self.patience

    def _random(self, *stream: int) -> torch.Generator:
        state = np.random.SeedSequence([self.seed, *stream]).generate_state(1, np.uint64)
        return torch.Generator(self.training.device).manual_seed(int(state[0]) >> 1)

    def _precision(self) -> AbstractContextManager[Any]:
        """Arithmetic of the networks; geometry and likelihood stay in float32."""
        device = self.training.device.type
        able = device == "cuda" and torch.cuda.is_bf16_supported()
        low = self.config.precision == "bfloat16" or (self.config.precision == "auto" and able)
        return torch.autocast(device, dtype=torch.bfloat16, enabled=low)


class GradientClip:
    """Keeps a step from being much larger than the last ones; stays on the device."""

    def __init__(self, weights: list[nn.Parameter], *, ratio: float) -> None:
        """Clip norms above `ratio` times the median of the last `NORMS`."""
        self.weights, self.ratio = weights, ratio
        self.norms = torch.full((NORMS,), math.nan, device=weights[0].device)
        self.count = 0

    def __call__(self) -> None:
        gradients = [w.grad for w in self.weights if w.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        limit = self.ratio * self.norms.nanmedian()
        scale = (limit / norm).nan_to_num(nan=1.0).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)
        self.norms[self.count % NORMS] = torch.minimum(norm, norm * scale)
        self.count += 1


class Means:
    """Means of terms over patches, summed on the device: one wait per epoch, not per step."""

    def __init__(self) -> None:
        self._totals: dict[str, Tensor | float] = {}
        self._counts: dict[str, Tensor | int] = {}

    def add(self, terms: Mapping[str, Tally], *, counts: bool = True) -> None:
        """Count a batch in, or only that it has these terms."""
        for name, tally in terms.items():
            total = (
                tally.total.detach().double() if isinstance(tally.total, Tensor) else tally.total
            )
            self._totals[name] = self._totals.get(name, 0.0) + (total if counts else 0.0)
            self._counts[name] = self._counts.get(name, 0) + (tally.count if counts else 0)

    def values(self, team: Team = ALONE) -> dict[str, float]:
        """Means so far over all processes, by term; without those known for no patch, empty if there was no batch."""
        totals, counts = team.add_up(self._totals), team.add_up(self._counts)
        return {name: totals[name] / n for name, n in counts.items() if n}
