"""Training of a VAE: fresh weights, hints for the first epochs, and, for a model with classes, a model without them before."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from invae.config import ModelConfig, TrainingConfig
from invae.errors import ConfigError
from invae.models.build import build
from invae.models.objective import Objective
from invae.models.signals import IMAGE, Signals
from invae.models.vae import VAE
from invae.progress import Progress
from invae.training.annotations import SiteAnnotations
from invae.training.batches import Batches, HintedBatches
from invae.training.checkpoint import START_FOLDER, OnEpoch, ignore, run_epochs, write_checkpoint
from invae.training.distributed import ALONE, Team
from invae.training.fit import Fit, Plan
from invae.training.history import Epoch
from invae.training.initialisation import (
    ANGLE_HINT_SHARE,
    CLASS_HINT_SHARE,
    angle_hints,
    groups_of,
    hinted_epochs,
    infers_free_angle,
    inherited_weights,
    orient_patterns,
    split_epochs,
    without_classes,
)
from invae.training.learner import VAELearner
from invae.training.signal_sources import SignalSource
from invae.training.split import Split
from invae.training.standardisation import set_scale
from invae.verdict.symptoms import StartPatterns


@dataclass(frozen=True)
class Span:
    """The epochs of one model among those of the whole training."""

    before: int
    """Epochs of the models trained earlier."""
    total: int


@dataclass(frozen=True)
class Outcome:
    """A trained model, and its training."""

    model: VAE
    config: ModelConfig
    """Of the model: with fewer classes than were asked for where some of them were one kind."""
    history: list[Epoch]
    start: StartPatterns | None = None
    """Patterns of the model without classes that was trained before."""


@dataclass(frozen=True)
class VAETraining:
    """Data and settings of a training of one model, or of two in succession."""

    source: SignalSource
    split: Split
    config: TrainingConfig
    seed: int
    device: torch.device
    checkpoints: Path | None
    progress: Progress
    team: Team = ALONE
    workers: int | None = None
    """Pieces of a batch that are computed at a time; the number of cores when empty."""

    def batches(self, sites: np.ndarray) -> Batches:
        """Some sites of the source."""
        return Batches(self.source, sites, self.config.batch_size, self.device)

    def from_fresh_weights(self, config: ModelConfig, on_epoch: OnEpoch) -> Outcome:
        """A trained model, and its history."""
        model = self._fresh(config)
        fit = self._fit(model, config, n_epochs=self.config.epochs)
        span = Span(0, fit.plan.n_epochs)
        return Outcome(model, config, self._run(fit, self.checkpoints, span, on_epoch))

    def from_groups(self, config: ModelConfig, on_epoch: OnEpoch) -> Outcome:
        """A trained model with classes that begins from the groups of one without classes, and its history."""
        n_steps = len(self.batches(self.split.training))
        first, second = split_epochs(self.config, Plan.of(self.config, n_steps=n_steps).n_epochs)
        start = self._without_classes(config, Span(0, first + second), n_epochs=first)
        groups = groups_of(
            start,
            self.batches(self.split.training),
            n_classes=config.n_classes[0],
            seed=self.seed,
            join_surplus=self.config.surplus_classes == "join",
            grouping=self.config.class_start,
        )
        config = config.model_copy(update={"n_classes": (groups.n_classes,)})
        model = self._fresh(config)
        model.load_state_dict(inherited_weights(model, start))
        fit = self._fit(model, config, n_epochs=second, of_classes=groups.hint)
        history = self._run(fit, self.checkpoints, Span(first, first + second), on_epoch)
        return Outcome(model, config, history, groups.start)

    def orient(self, model: VAE, config: ModelConfig) -> None:
        """Choose which way up a trained model's patterns are, unless they were turned onto each other from the beginning.

        Compared with patches themselves, patterns of one kind stay closer together than compared with a few decoded ones.
        """
        if self.config.angle_start == "free" or config.rotation.zero == "dipole":
            orient_patterns(model, self.batches(self.split.training))

    def _without_classes(self, config: ModelConfig, span: Span, *, n_epochs: int) -> VAE:
        """The trained model without classes, with its own checkpoint."""
        config = without_classes(config, poses=self.config.start_poses)
        model = self._fresh(config)
        if self.config.class_start == "harmonics" and not infers_free_angle(model):
            raise ConfigError(
                "training.class_start: harmonics groups patches at any angle and needs a model with the pose rotation, "
                "pose_inference: exact and no prior of the angle; set class_start: groups"
            )
        folder = None if self.checkpoints is None else self.checkpoints / START_FOLDER
        if folder is not None:
            folder.mkdir(exist_ok=True)
        self._run(self._fit(model, config, n_epochs=n_epochs), folder, span, ignore)
        self.orient(model, config)
        return model

    def _fresh(self, config: ModelConfig) -> VAE:
        model = build(config, self.source.geometries[IMAGE], seed=self.seed).to(self.device)
        set_scale(model, self.source, self.split.training)
        return model

    def _fit(
        self,
        model: VAE,
        config: ModelConfig,
        *,
        n_epochs: int | None,
        of_classes: np.ndarray | None = None,
    ) -> Fit[Signals]:
        """A training that begins with hints: of the angles, and of the classes if there are such hints."""
        # Hints of the angles follow from the model: every process takes them from equal weights.
        self.team.copy_weights(model)
        batches = self.batches(self.split.training)
        training = self.config.model_copy(update={"epochs": n_epochs})
        plan = Plan.of(training, n_steps=len(batches))
        hints = self._hints(model, plan.n_epochs, of_classes=of_classes)
        return Fit(
            VAELearner(model, Objective.of(config), compiled=training.compile),
            HintedBatches(batches, hints),
            self.batches(self.split.held_out).cached(),
            plan=plan,
            seed=self.seed,
            team=self.team,
            workers=self.workers,
        )

    def _hints(
        self, model: VAE, n_epochs: int, *, of_classes: np.ndarray | None
    ) -> list[tuple[int, SiteAnnotations]]:
        """Annotations for the first epochs: with hints of classes and angles, then of the angles alone."""
        hints: list[tuple[int, SiteAnnotations]] = []
        turn = None
        if self.config.angle_start == "aligned":
            turn = angle_hints(model, self.batches(self.split.training))
        annotations = replace(self.source.known, turn=turn)
        if of_classes is not None:
            until = hinted_epochs(n_epochs, share=CLASS_HINT_SHARE)
            hints.append((until, replace(annotations, hint=of_classes)))
        if turn is not None:
            hints.append((hinted_epochs(n_epochs, share=ANGLE_HINT_SHARE), annotations))
        return hints

    def _run(
        self, fit: Fit[Signals], folder: Path | None, span: Span, on_epoch: OnEpoch
    ) -> list[Epoch]:
        """All epochs from the last checkpoint on; checkpoints at intervals, and one at the end if another model follows."""

        def report(epoch: Epoch) -> None:
            on_epoch(epoch)
            later = span.total - span.before - fit.plan.n_epochs
            self.progress(span.before + epoch.epoch + 1, span.before + fit.n_expected() + later)

        seconds = self.config.checkpoint_seconds
        run_epochs(fit, folder=folder, seconds_between=seconds, on_epoch=report)
        end = span.before + fit.plan.n_epochs
        if folder is not None and self.team.leads and end < span.total:
            write_checkpoint(folder, fit)
        self.progress(end, span.total)
        return fit.history
