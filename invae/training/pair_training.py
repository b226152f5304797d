"""Training of models of pairs: several members, each on its own part of the pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save

from invae.config import TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import InputError
from invae.models.pairs.build import COMPOSITIONS, SPECTRUM, build_pairs
from invae.models.pairs.pair_model import APART, PairModel
from invae.models.signals import IMAGE
from invae.progress import Progress, silent
from invae.training.batches import Batches
from invae.training.checkpoint import OnEpoch, ignore, run_epochs, write_checkpoint
from invae.training.fit import Fit, Plan
from invae.training.history import Epoch
from invae.training.members import Reports, expected_seconds, n_processes, train_all
from invae.training.pair_learner import PairLearner
from invae.training.signal_sources import SignalSource
from invae.training.split import Split
from invae.training.standardisation import set_scale

LEAST_PAIRS = 8
CPU = torch.device("cpu")
STEPS = {"spectrum": (12.0, 0.65), "image": (40.0, 0.5)}
"""Steps of a training without a number of epochs, by what is explained: a factor, times the number of pairs to a power. Spectra alone take
240 steps for 100 pairs, 1,070 for 1,000: of 47 to 140 epochs with 300 pairs, 100 were best; of 20 to 120 with 1,000 pairs, 60; more fit
the noise. Images take 400 and 1,260: after as few as for spectra they are blurred."""


@dataclass(frozen=True)
class PairMember:
    """One trained model, and which pairs it has seen."""

    model: PairModel
    history: Sequence[Epoch]
    split: Split


def train_members(
    source: SignalSource,
    splits: Sequence[Split],
    *,
    model: PairsModelConfig,
    training: TrainingConfig,
    seed: int,
    device: torch.device,
    checkpoints: Path | None = None,
    workers: int | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> list[PairMember]:
    """One member per split.

    Args:
        source: Signals `image` and `spectrum` of the same sites.
        splits: Training and held-out sites of every member; a member without held-out sites trains to the last epoch.
        model: Configuration of the model.
        training: Configuration of the training; its held-out share is not used.
        seed: Of the first member; the others follow.
        device: Where.
        checkpoints: Folder for checkpoints; none are written when empty.
        workers: Members that are trained at a time; the number of cores when empty. Values do not depend on it.
        progress: Called with finished and all epochs of all members.
        on_epoch: Called with every epoch.

    Raises:
        InputError: There are too few pairs.
    """
    tasks = [
        _Task(split, seed + k, None if checkpoints is None else checkpoints / f"member_{k:02d}")
        for k, split in enumerate(splits)
    ]
    seconds = max((_expected_seconds(source, task, model, training) for task in tasks), default=0.0)
    outcomes = train_all(
        partial(_train_member, source, model, training, device),
        tasks,
        workers=n_processes(workers, device=device, seconds=seconds),
        reports=Reports(len(tasks), progress, on_epoch),
    )
    pairs = zip(tasks, outcomes, strict=True)
    return [_member(source, model, device, task, *outcome) for task, outcome in pairs]


@dataclass(frozen=True)
class _Task:
    """What differs between members."""

    split: Split
    seed: int
    folder: Path | None
    """Of the checkpoint."""


def _member(
    source: SignalSource,
    model: PairsModelConfig,
    device: torch.device,
    task: _Task,
    weights: bytes,
    history: Sequence[Epoch],
) -> PairMember:
    built = build_pairs(model, source.geometries, seed=task.seed)
    built.load_state_dict(load(weights))
    return PairMember(built.to(device).eval(), history, task.split)


def _train_member(
    source: SignalSource,
    model: PairsModelConfig,
    training: TrainingConfig,
    device: torch.device,
    task: _Task,
    *,
    progress: Progress,
    on_epoch: OnEpoch,
) -> tuple[bytes, Sequence[Epoch]]:
    """Weights and history of a member."""
    sites, folder = task.split.training, task.folder
    if len(sites) < LEAST_PAIRS:
        raise InputError(
            f"{len(sites)} pairs are too few to learn from; give {LEAST_PAIRS} or more"
        )
    built = build_pairs(model, source.geometries, seed=task.seed).to(device)
    set_scale(built, source, sites)
    batches = Batches(source, sites, training.batch_size, device)
    plan = Plan.of(_with_epochs(training, model, batches), n_steps=len(batches))
    fit = Fit(
        PairLearner(built, model),
        batches,
        Batches(source, task.split.held_out, 512, device).cached(),
        plan=plan,
        seed=task.seed,
        workers=1,  # members are what runs in parallel
    )

    def report(epoch: Epoch) -> None:
        on_epoch(epoch)
        progress(epoch.epoch + 1, plan.n_epochs)

    if folder is not None:
        folder.mkdir(exist_ok=True, parents=True)
    seconds = training.checkpoint_seconds
    run_epochs(fit, folder=folder, seconds_between=seconds, on_epoch=report)
    if folder is not None:
        write_checkpoint(folder, fit)  # of a finished member, whose epochs are not repeated
    progress(plan.n_epochs, plan.n_epochs)
    if model.family in APART:
        _link(built, source, sites)
    state = {name: value.cpu().contiguous() for name, value in built.state_dict().items()}
    return save(state), fit.history


def _with_epochs(
    training: TrainingConfig, model: PairsModelConfig, batches: Batches
) -> TrainingConfig:
    """The configuration with a number of epochs."""
    if training.epochs is not None:
        return training
    factor, power = STEPS[IMAGE if COMPOSITIONS[model.family].image_of else SPECTRUM]
    epochs = math.ceil(factor * batches.n_items**power / max(len(batches), 1))
    return training.model_copy(update={"epochs": epochs})


def _expected_seconds(
    source: SignalSource, task: _Task, model: PairsModelConfig, training: TrainingConfig
) -> float:
    """Expected processor time of a member [s]."""
    batches = Batches(source, task.split.training, training.batch_size, CPU)
    epochs = _with_epochs(training, model, batches).epochs or 0
    values = sum(geometry.n_values for geometry in source.geometries.values())
    return expected_seconds(
        n_steps=epochs * len(batches), n_values=epochs * batches.n_items * values
    )


def _link(model: PairModel, source: SignalSource, sites: np.ndarray) -> None:
    """Fit the maps between the latent variables of image and spectrum."""
    device = next(model.parameters()).device
    found: dict[str, list[torch.Tensor]] = {name: [] for name in model.seen}
    model.eval()
    with torch.no_grad():
        for batch in Batches(source, sites, 512, device).in_order():
            for name, inference in model.inferences(batch).items():
                found[name].append(model.content(inference.latents, name))
    model.fit_links(torch.cat(found[SPECTRUM]), torch.cat(found[IMAGE]))
