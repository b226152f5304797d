"""Training of the network that marks atoms: every step on new images, all from one seed."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from invae.config.segment import AtomNetworkConfig
from invae.errors import TrainingDiverged
from invae.models.networks.unet import AtomNetwork
from invae.progress import Progress, silent
from invae.segmentation.atom_finder import standardised
from invae.segmentation.atom_images import draw, marks

WARM_UP = 0.05
"""Share of the steps over which the learning rate rises."""


def train(config: AtomNetworkConfig, *, progress: Progress = silent) -> AtomNetwork:
    """A network trained on images of its own; the seed decides everything.

    Raises:
        TrainingDiverged: The loss became infinite or not a number.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = AtomNetwork(config.width)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, config))
    for step, (images, wanted) in enumerate(_batches(config)):
        loss = functional.binary_cross_entropy_with_logits(network(images), wanted)
        if not math.isfinite(loss.item()):
            raise TrainingDiverged(
                f"the loss became {loss.item()} in step {step}; lower the learning rate (it is {config.learning_rate:g})"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress(step + 1, config.n_steps)
    return network.eval()


def _batches(config: AtomNetworkConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and marks (image, 1, y, x) of every step."""
    size = config.images.size
    for step in range(config.n_steps):
        first = step * config.batch_size
        made = [
            draw(config.images, seed=config.seed, number=first + index)
            for index in range(config.batch_size)
        ]
        images = np.stack([standardised(one.image) for one in made])
        wanted = np.stack([marks(one.places, size=size, sd=config.mark_sd) for one in made])
        yield torch.from_numpy(images)[:, None], torch.from_numpy(wanted)[:, None]


def _rate(step: int, config: AtomNetworkConfig) -> float:
    done = (step + 1) / config.n_steps
    return min(1.0, done / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
