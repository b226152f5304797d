"""Training of the network that marks atoms: every step on new simulated images, all from one seed."""

from pathlib import Path

import numpy as np
import torch

from invae.config.segment import AtomNetworkConfig
from invae.models.networks.unet import AtomNetwork
from invae.progress import Progress, silent
from invae.segmentation.atom_finder import standardise
from invae.segmentation.atom_images import draw, marks
from invae.segmentation.learner import (
    HeldOutImages,
    ImageBatch,
    MarkLearner,
    SimulatedImages,
    cosine_of_the_end,
)
from invae.training.checkpoint import OnEpoch, ignore, run_epochs
from invae.training.fit import Fit, Plan

N_HELD_OUT = 40
"""Images on which epochs are compared."""


def train(
    config: AtomNetworkConfig,
    *,
    checkpoints: Path | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> AtomNetwork:
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
        network = AtomNetwork(config.width)
    fit = fit_of(config, network, progress=progress)
    run_epochs(
        fit, folder=checkpoints, seconds_between=config.checkpoint_seconds, on_epoch=on_epoch
    )
    return network.eval()


def fit_of(
    config: AtomNetworkConfig, network: AtomNetwork, *, progress: Progress = silent
) -> Fit[ImageBatch]:
    """The training of a network, not yet begun."""

    def simulate(numbers: range) -> ImageBatch:
        return batch_of(config, numbers)

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


def batch_of(config: AtomNetworkConfig, numbers: range) -> ImageBatch:
    """The simulated images of some numbers, and their marks."""
    simulated = [draw(config.images, seed=config.seed, number=number) for number in numbers]
    size = config.images.size
    images = np.stack([standardise(one.image) for one in simulated])
    targets = np.stack([marks(one.places, size=size, sd=config.mark_sd) for one in simulated])
    return ImageBatch(torch.from_numpy(images)[:, None], torch.from_numpy(targets)[:, None])
