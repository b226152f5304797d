"""Training of networks that mark images: every step on new simulated images, all from one seed."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save

from invae.config.segment import NetworkConfig, WallNetworkConfig
from invae.models.networks.unet import UNet
from invae.progress import Progress, silent
from invae.segmentation.learner import (
    CPU,
    HeldOutImages,
    ImageBatch,
    MarkLearner,
    SimulatedImages,
    cosine_of_the_end,
)
from invae.segmentation.tasks import task_of
from invae.training.checkpoint import OnEpoch, ignore, run_epochs, write_checkpoint
from invae.training.fit import Fit, Plan
from invae.training.members import Reports, n_processes, train_all

N_HELD_OUT = 40
"""Images on which epochs are compared."""
SECONDS_PER_STEP = 0.1
"""Processor time of a step, roughly [s]."""


def train(
    config: NetworkConfig,
    *,
    checkpoints: Path | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> UNet:
    """A network trained on simulated images; the seed decides everything.

    Args:
        config: Of the network, the images and the training.
        checkpoints: Folder from whose checkpoint a killed training goes on; none is written when empty.
        progress: Called with the number of finished steps.
        on_epoch: Called after every epoch.

    Raises:
        TrainingDiverged: The loss became infinite or not a number.
    """
    network = _fresh(config)
    fit = fit_of(config, network, progress=progress)
    run_epochs(
        fit, folder=checkpoints, seconds_between=config.checkpoint_seconds, on_epoch=on_epoch
    )
    if checkpoints is not None:
        write_checkpoint(checkpoints, fit)
    return network.eval()


def _fresh(config: NetworkConfig) -> UNet:
    """A network with the weights of its seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return task_of(config).network(config)


def train_members(
    config: WallNetworkConfig,
    *,
    checkpoints: Path | None = None,
    workers: int | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> list[UNet]:
    """Networks that differ by their seed, which decides weights and frames; arguments as those of `train`.

    `workers` of them are trained at a time, or as many as there are cores; values do not depend on it.
    """
    members = [
        _Member(
            config.model_copy(update={"seed": config.seed + number}),
            checkpoints and checkpoints / f"member-{number}",
        )
        for number in range(config.n_members)
    ]
    seconds = config.n_steps * SECONDS_PER_STEP
    weights = train_all(
        _train_member,
        members,
        workers=n_processes(workers, device=CPU, seconds=seconds),
        reports=Reports(len(members), progress, on_epoch),
    )
    return [_with_weights(member.config, one) for member, one in zip(members, weights, strict=True)]


@dataclass(frozen=True)
class _Member:
    """One of several networks."""

    config: WallNetworkConfig
    folder: Path | None
    """Of its checkpoint."""


def _train_member(member: _Member, *, progress: Progress, on_epoch: OnEpoch) -> bytes:
    """The weights of a network."""
    if member.folder is not None:
        member.folder.mkdir(exist_ok=True)
    network = train(member.config, checkpoints=member.folder, progress=progress, on_epoch=on_epoch)
    return save(network.state_dict())


def _with_weights(config: WallNetworkConfig, weights: bytes) -> UNet:
    network = _fresh(config)
    network.load_state_dict(load(weights))
    return network.eval()


def fit_of(config: NetworkConfig, network: UNet, *, progress: Progress = silent) -> Fit[ImageBatch]:
    """The training of a network, not yet begun."""

    def simulate(numbers: range) -> ImageBatch:
        return task_of(config).batch(config, numbers)

    size = config.batch_size
    images = SimulatedImages(simulate, size, config.n_steps, config.steps_per_epoch, progress)
    plan = Plan(
        images.n_epochs,
        config.patience,
        learning_rate=config.learning_rate,
        schedule=cosine_of_the_end,
    )
    held_out = HeldOutImages(simulate, n_images=N_HELD_OUT, batch_size=size)
    return Fit(MarkLearner(network), images, held_out, plan=plan, seed=config.seed)
