"""Training of models of pairs: several members, each on its own part of the pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from invae.config import TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import InputError
from invae.models.pairs.build import SPECTRUM, build_pairs
from invae.models.pairs.pair_model import APART, PairModel
from invae.models.signals import IMAGE
from invae.progress import Progress, silent
from invae.training.batches import Batches
from invae.training.checkpoint import OnEpoch, ignore, run_epochs, write_checkpoint
from invae.training.fit import Fit, Plan
from invae.training.history import Epoch
from invae.training.pair_learner import PairLearner
from invae.training.signal_sources import SignalSource
from invae.training.split import Split
from invae.training.standardisation import set_scale

LEAST_PAIRS = 8
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
        progress: Called with finished and all epochs of all members.
        on_epoch: Called with every epoch.

    Raises:
        InputError: There are too few pairs.
    """
    members: list[PairMember] = []
    for number, split in enumerate(splits):
        folder = None if checkpoints is None else checkpoints / f"member_{number:02d}"
        if folder is not None:
            folder.mkdir(exist_ok=True, parents=True)
        member = _train_member(
            source,
            split,
            model=model,
            training=training,
            seed=seed + number,
            device=device,
            folder=folder,
            progress=_part_of(progress, number, len(splits)),
            on_epoch=on_epoch,
        )
        members.append(member)
    return members


def _train_member(
    source: SignalSource,
    split: Split,
    *,
    model: PairsModelConfig,
    training: TrainingConfig,
    seed: int,
    device: torch.device,
    folder: Path | None,
    progress: Progress,
    on_epoch: OnEpoch,
) -> PairMember:
    sites = split.training
    if len(sites) < LEAST_PAIRS:
        raise InputError(
            f"{len(sites)} pairs are too few to learn from; give {LEAST_PAIRS} or more"
        )
    built = build_pairs(model, source.geometries, seed=seed).to(device)
    set_scale(built, source, sites)
    batches = Batches(source, sites, training.batch_size, device)
    if training.epochs is None:
        factor, power = STEPS[IMAGE if IMAGE in built.explained else SPECTRUM]
        epochs = math.ceil(factor * len(sites) ** power / len(batches))
        training = training.model_copy(update={"epochs": epochs})
    plan = Plan.of(training, n_steps=len(batches))
    fit = Fit(
        PairLearner(built, model),
        batches,
        Batches(source, split.held_out, 512, device).cached(),
        plan=plan,
        seed=seed,
    )

    def report(epoch: Epoch) -> None:
        on_epoch(epoch)
        progress(epoch.epoch + 1, plan.n_epochs)

    seconds = training.checkpoint_seconds
    run_epochs(fit, folder=folder, seconds_between=seconds, on_epoch=report)
    if folder is not None:
        write_checkpoint(folder, fit)  # of a finished member, whose epochs are not repeated
    progress(plan.n_epochs, plan.n_epochs)
    if model.family in APART:
        _link(built, source, sites)
    return PairMember(built.eval(), fit.history, split)


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


def _part_of(progress: Progress, number: int, n_members: int) -> Progress:
    return lambda done, total: progress(number * total + done, n_members * total)
