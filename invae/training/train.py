"""Training as a whole: a source of patches and a configuration become a trained model, or the folder of one."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from invae.config import ComputeConfig, ModelConfig, TrainingConfig
from invae.errors import InputError
from invae.models.batch import Patches, StandardiseNumbers
from invae.models.build import build
from invae.models.families import completed
from invae.models.likelihoods import Limits, noise_of
from invae.models.objective import Objective
from invae.models.vae import VAE
from invae.progress import Progress, silent
from invae.training import distributed
from invae.training.annotations import SiteKnown
from invae.training.batches import Batches, HintedBatches, PatchSource
from invae.training.checkpoint import (
    START_FOLDER,
    OnEpoch,
    device_of,
    ignore,
    remove_checkpoint,
    run_epochs,
    write_checkpoint,
)
from invae.training.dataset import training_set
from invae.training.distributed import ALONE, Team
from invae.training.fit import Epoch, Fit, Plan
from invae.training.initialisation import (
    ALIGNED_SHARE,
    GROUPED_SHARE,
    aligned,
    divided,
    grouped,
    hinted,
    inherited,
    needs_start,
    settle,
    without_classes,
)
from invae.training.learner import VAELearner
from invae.training.model_folder import Trained, save, save_parts
from invae.training.split import Split, thin

if TYPE_CHECKING:
    from invae.storage.provenance import Receipt

JUDGED_SITES = 2000
"""Sites from which scales and the range of the content are taken."""
CONTENT_QUANTILES = (0.025, 0.975)


def limits_of(config: ModelConfig) -> Limits | None:
    """Values that the likelihood takes; any when empty."""
    return noise_of(config.likelihood, n_channels=1).limits


def train(
    patches: Path | Sequence[Path],
    target: Path,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    receipt: "Receipt",
    compute: ComputeConfig,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> None:
    """The stage: descriptors.zarr → model/. Killed and run again, it goes on from its last checkpoint.

    Where `torchrun` has started several processes, all train and the first one writes.

    Args:
        patches: A finished descriptor store, or several of patches of one kind.
        target: Folder of the model, made when the training is done.
        model: What is trained.
        training: How.
        seed: Of weights, order, noise and held-out blocks.
        receipt: Of this stage.
        compute: Where.
        progress: Told the epochs done.
        on_epoch: Told every epoch, for a live curve.

    Raises:
        InputError: The patches cannot be trained on.
        TrainingDiverged: The loss became infinite or not a number.
    """
    from invae.storage import store

    paths = [patches] if isinstance(patches, Path) else list(patches)
    drawn = training_set(paths, limits=limits_of(model), share=training.held_out, seed=seed)
    device = device_of(compute.device)
    with store.writing(target), distributed.team(device) as team:
        if team.leads:
            store.begin(target, receipt.key)
        team.wait()
        partial = store.begin(target, receipt.key)
        trained = train_on(
            drawn.source,
            drawn.split,
            model=model,
            training=training,
            seed=seed,
            device=device,
            channels=drawn.channels,
            pixel_size_nm=drawn.pixel_size_nm,
            checkpoints=partial,
            progress=progress,
            on_epoch=on_epoch,
            team=team,
        )
        if team.leads:
            save(partial, trained)
            save_parts(partial, drawn.parts)
            remove_checkpoint(partial)
            store.publish(partial, target, receipt)


def train_on(
    source: PatchSource,
    split: Split,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    device: torch.device,
    channels: tuple[str, ...],
    pixel_size_nm: float | None = None,
    checkpoints: Path | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
    team: Team = ALONE,
) -> Trained:
    """A model trained on some sites of a source; with a folder for checkpoints it goes on from the last one."""
    split = Split(thin(split.training, training.max_patches), split.held_out)
    known = source.known
    model = completed(
        model,
        n_classes=known.n_labels,
        n_targets=known.n_targets,
        n_conditions=known.n_conditions,
    )
    course = Course(source, split, training, seed, device, checkpoints, progress, team)
    if needs_start(model, training, n_sites=len(split.training)):
        made, history = course.from_groups(model, on_epoch)
    else:
        made, history = course.run(model, on_epoch)
    course.orient(made, model)
    return Trained(
        model=made.eval(),
        config=model,
        channels=channels,
        pixel_size_nm=pixel_size_nm,
        content_range=content_range(made, course.batches(split.training)),
        seed=seed,
        history=history,
        split=split,
        training=training,
    )


@dataclass(frozen=True)
class Span:
    """Where the epochs of one model lie among those of the whole training."""

    before: int
    total: int


@dataclass(frozen=True)
class Course:
    """One training, of one model or of two after each other: on what, how long, and who is told."""

    source: PatchSource
    split: Split
    training: TrainingConfig
    seed: int
    device: torch.device
    checkpoints: Path | None
    progress: Progress
    team: Team = ALONE

    def batches(self, sites: np.ndarray) -> Batches:
        """Some sites of the source."""
        return Batches(self.source, sites, self.training.batch_size, self.device)

    def run(self, model: ModelConfig, on_epoch: OnEpoch) -> tuple[VAE, list[Epoch]]:
        """A model from fresh weights."""
        made = self._fresh(model)
        fit = self._fit(made, model, n_epochs=self.training.epochs)
        return made, self._train(fit, self.checkpoints, Span(0, fit.plan.n_epochs), on_epoch)

    def from_groups(self, model: ModelConfig, on_epoch: OnEpoch) -> tuple[VAE, list[Epoch]]:
        """A model with classes that begins from the groups of one without."""
        n_steps = len(self.batches(self.split.training))
        stages = divided(self.training, Plan.of(self.training, n_steps=n_steps).n_epochs)
        n_epochs = stages.alone + stages.together
        plain = without_classes(model, poses=self.training.start_poses)
        first = self._fresh(plain)
        begun = None if self.checkpoints is None else self.checkpoints / START_FOLDER
        if begun is not None:
            begun.mkdir(exist_ok=True)
        fit = self._fit(first, plain, n_epochs=stages.alone)
        self._train(fit, begun, Span(0, n_epochs), ignore)
        batches = self.batches(self.split.training)
        self.orient(first, plain)
        hint = grouped(first, batches, n_classes=model.n_classes[0], seed=self.seed)
        made = self._fresh(model)
        made.load_state_dict(inherited(made, first))
        fit = self._fit(made, model, n_epochs=stages.together, hint=hint)
        span = Span(stages.alone, n_epochs)
        return made, self._train(fit, self.checkpoints, span, on_epoch)

    def orient(self, made: VAE, model: ModelConfig) -> None:
        """Choose which way up a trained model's patterns are, unless they were turned onto each other from the beginning.

        Held against patches themselves, patterns of one kind stay closer together than held against a few decoded ones.
        """
        if self.training.angle_start == "free" or model.rotation.zero == "dipole":
            settle(made, self.batches(self.split.training))

    def _fresh(self, model: ModelConfig) -> VAE:
        made = build(model, self.source.geometry, seed=self.seed).to(self.device)
        set_scale(made, self.source, self.split.training)
        return made

    def _fit(
        self, made: VAE, model: ModelConfig, *, n_epochs: int | None, hint: np.ndarray | None = None
    ) -> Fit[Patches]:
        """A training that begins with hints: of the angles, and of the classes if they are given."""
        # The hints are taken from the model: every process takes them from equal weights.
        self.team.begin_alike(made)
        batches = self.batches(self.split.training)
        config = self.training.model_copy(update={"epochs": n_epochs})
        plan = Plan.of(config, n_steps=len(batches))
        hints = self._hints(made, plan.n_epochs, of_classes=hint)
        return Fit(
            VAELearner(made, Objective.of(model), compiled=config.compile),
            HintedBatches(batches, hints),
            self.batches(self.split.held_out).at_hand(),
            plan=plan,
            seed=self.seed,
            team=self.team,
        )

    def _hints(
        self, model: VAE, n_epochs: int, *, of_classes: np.ndarray | None
    ) -> list[tuple[int, SiteKnown]]:
        """Annotations for the first epochs: with hints of the classes, then of the angles alone."""
        hints: list[tuple[int, SiteKnown]] = []
        turn = None
        if self.training.angle_start == "aligned":
            turn = aligned(model, self.batches(self.split.training))
        annotations = replace(self.source.known, turn=turn)
        if of_classes is not None:
            until = hinted(n_epochs, share=GROUPED_SHARE)
            hints.append((until, replace(annotations, hint=of_classes)))
        if turn is not None:
            hints.append((hinted(n_epochs, share=ALIGNED_SHARE), annotations))
        return hints

    def _train(
        self, fit: Fit[Patches], folder: Path | None, span: Span, on_epoch: OnEpoch
    ) -> list[Epoch]:
        """All epochs from the last checkpoint on; a checkpoint now and then, and one at the end."""

        def tell(epoch: Epoch) -> None:
            on_epoch(epoch)
            self.progress(span.before + epoch.epoch + 1, span.total)

        seconds = self.training.checkpoint_seconds
        run_epochs(fit, folder=folder, seconds_between=seconds, on_epoch=tell)
        end = span.before + fit.plan.n_epochs
        if folder is not None and self.team.leads and end < span.total:
            write_checkpoint(folder, fit)
        self.progress(end, span.total)
        return fit.history


def set_scale(model: VAE, source: PatchSource, sites: np.ndarray) -> None:
    """The data's level and spread by channel, from some sites; a likelihood of its own unit keeps the values as they are.

    Raises:
        InputError: All channels are constant.
    """
    held, places = source.load(thin(sites, JUDGED_SITES))
    patches = held.take(places)
    first = float(patches.values.flatten()[0])
    if (patches.values == first).all():
        raise InputError(f"all patches are constant ({first:g}); there is nothing to learn")
    noise = model.generator.noise
    for channel in range(source.geometry.n_channels):
        values = patches.values[:, channel]
        if patches.valid is not None:  # by NumPy: torch makes 24 bytes of indices for every pixel
            values = torch.from_numpy(values.numpy()[patches.valid[:, channel].numpy()])
        if values.numel() == 0:
            continue
        if noise.standardised:
            model.standardise.start(values, channel=channel)
        noise.start(values, channel=channel)
    _set_numbers(model.standardise_target, source.known.of(sites).target)
    _set_numbers(model.standardise_condition, source.known.of(sites).condition)


def _set_numbers(standard: StandardiseNumbers, values: np.ndarray | None) -> None:
    """Offset and scale of numbers given with sites; those that are 0 or 1 keep them."""
    if values is None or len(standard.offset) == 0 or np.isin(values, (0, 1)).all():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a variable known for no site
        mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    standard.offset.copy_(torch.from_numpy(np.nan_to_num(mean)))
    standard.scale.copy_(torch.from_numpy(np.where(sd > 0, sd, 1.0)))


@torch.no_grad()
def content_range(model: VAE, batches: Batches) -> tuple[tuple[float, float], ...]:
    """Where the content of the training sites lies, by latent: two quantiles."""
    few = Batches(
        batches.source, thin(batches.sites, JUDGED_SITES), batches.batch_size, batches.device
    )
    means = torch.cat([model.infer(batch).latents["content"].cpu() for batch in few.in_order()])
    low, high = np.quantile(means.numpy(), CONTENT_QUANTILES, axis=0)
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
