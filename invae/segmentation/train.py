"""Training of networks that mark images: every step on new simulated images, all from one seed."""

from pathlib import Path

import torch

from invae.config.segment import NetworkConfig, WallNetworkConfig
from invae.models.networks.unet import UNet
from invae.progress import Progress, silent
from invae.segmentation.learner import (
    HeldOutImages,
    ImageBatch,
    MarkLearner,
    SimulatedImages,
    cosine_of_the_end,
)
from invae.segmentation.tasks import task_of
from invae.training.checkpoint import OnEpoch, ignore, run_epochs, write_checkpoint
from invae.training.fit import Fit, Plan

N_HELD_OUT = 40
"""Images on which epochs are compared."""


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = task_of(config).network(config)
    fit = fit_of(config, network, progress=progress)
    run_epochs(
        fit, folder=checkpoints, seconds_between=config.checkpoint_seconds, on_epoch=on_epoch
    )
    if checkpoints is not None:
        write_checkpoint(checkpoints, fit)
    return network.eval()


def train_members(
    config: WallNetworkConfig,
    *,
    checkpoints: Path | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> list[UNet]:
    """Networks that differ by their seed, which decides weights and frames; arguments as those of `train`."""
    members = []
    total = config.n_members * config.n_steps
    for number in range(config.n_members):
        folder = checkpoints and checkpoints / f"member-{number}"
        if folder:
            folder.mkdir(exist_ok=True)
        members.append(
            train(
                config.model_copy(update={"seed": config.seed + number}),
                checkpoints=folder,
                progress=_later(progress, before=number * config.n_steps, total=total),
                on_epoch=on_epoch,
            )
        )
    return members


def _later(progress: Progress, *, before: int, total: int) -> Progress:
    """The progress of a part of a longer training, after some of its steps."""
    return lambda done, _: progress(before + done, total)


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
