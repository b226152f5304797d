"""Training of the network that marks atoms: every step on new simulated images, all from one seed."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from invae.config.segment import AtomNetworkConfig
from invae.models.loss import Loss, Tally
from invae.models.networks.unet import AtomNetwork
from invae.progress import Progress, silent
from invae.segmentation.atom_finder import standardised
from invae.segmentation.atom_images import draw, marks
from invae.training.batches import prefetch
from invae.training.checkpoint import OnEpoch, ignore, run_epochs
from invae.training.fit import WARM_UP, Fit, Plan

FIRST_HELD_OUT = 2**31
"""Number of the first held-out image, which no training reaches."""
N_HELD_OUT = 40
"""Images on which epochs are compared."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class ImageBatch:
    """Simulated images and the marks that the network is to leave on them."""

    images: Float[Tensor, "image 1 y x"]
    """Standardised."""
    marks: Float[Tensor, "image 1 y x"]
    """From 0 to 1."""

    def __len__(self) -> int:
        return len(self.images)

    def take(self, places: slice) -> "ImageBatch":
        """Some of the images."""
        return ImageBatch(self.images[places], self.marks[places])


class TrainingImages:
    """Images to train on, never the same twice; epochs have `steps_per_epoch` steps, or one fewer."""

    def __init__(self, config: AtomNetworkConfig, *, progress: Progress = silent) -> None:
        """Take what the images vary in; `progress` is called after every step of the training."""
        self.config, self.progress = config, progress
        self.n_epochs = math.ceil(config.n_steps / config.steps_per_epoch)
        self.device = CPU

    def __len__(self) -> int:
        """Most steps of an epoch."""
        return math.ceil(self.config.n_steps / self.n_epochs)

    @property
    def n_items(self) -> int:
        """Images in an epoch."""
        return len(self) * self.config.batch_size

    def epoch(self, number: int, *, seed: int) -> Iterator[ImageBatch]:
        """The next images; they follow from the seed and the number of the step in the whole training."""
        n_steps = self.config.n_steps
        first, end = (n_steps * (number + k) // self.n_epochs for k in (0, 1))
        batches = (self._batch(step, seed) for step in range(first, end))
        for step, batch in enumerate(prefetch(batches), first):
            yield batch
            self.progress(step + 1, n_steps)

    def _batch(self, step: int, seed: int) -> ImageBatch:
        first = step * self.config.batch_size
        return batch_of(self.config, range(first, first + self.config.batch_size), seed=seed)


class HeldOutImages:
    """The same images each time, drawn once; none of them is trained on."""

    def __init__(self, config: AtomNetworkConfig) -> None:
        """Draw them."""
        numbers = range(FIRST_HELD_OUT, FIRST_HELD_OUT + N_HELD_OUT)
        size = config.batch_size
        self.batches = [
            batch_of(config, numbers[first : first + size], seed=config.seed)
            for first in range(0, N_HELD_OUT, size)
        ]

    def in_order(self) -> Iterator[ImageBatch]:
        """All images."""
        return iter(self.batches)


def batch_of(config: AtomNetworkConfig, numbers: range, *, seed: int) -> ImageBatch:
    """The simulated images of some numbers."""
    simulated = [draw(config.images, seed=seed, number=number) for number in numbers]
    size = config.images.size
    images = np.stack([standardised(one.image) for one in simulated])
    targets = np.stack([marks(one.places, size=size, sd=config.mark_sd) for one in simulated])
    return ImageBatch(torch.from_numpy(images)[:, None], torch.from_numpy(targets)[:, None])


class AtomLearner:
    """A network whose log odds of an atom at every pixel are to agree with the marks."""

    measure, settled_from = "log_likelihood", 0.0

    def __init__(self, network: AtomNetwork) -> None:
        """Begin with the weights that the network has."""
        self.module = network

    def noise(self, n_items: int, generator: torch.Generator) -> dict[str, Tensor]:
        """None: only the images are random."""
        return {}

    def loss(self, batch: ImageBatch, noise: Mapping[str, Tensor], *, progress: float) -> Loss:
        """Cross-entropy of the marks [nats per pixel]; takes up the statistics of the batch."""
        self.module.train()
        cost = self._cross_entropy(batch)
        return Loss(cost, {self.measure: Tally(-cost * len(batch), len(batch))})

    def score(
        self, batch: ImageBatch, noise: Mapping[str, Tensor], *, progress: float
    ) -> dict[str, Tally]:
        """Minus the cross-entropy, with the statistics of the training."""
        self.module.eval()
        return {self.measure: Tally(-self._cross_entropy(batch) * len(batch), len(batch))}

    def _cross_entropy(self, batch: ImageBatch) -> Float[Tensor, ""]:
        return functional.binary_cross_entropy_with_logits(self.module(batch.images), batch.marks)


def train(
    config: AtomNetworkConfig,
    *,
    checkpoints: Path | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> AtomNetwork:
    """A network trained on images of its own; the seed decides everything.

    Args:
        config: Of the network, the images and the training.
        checkpoints: Folder from whose checkpoint a killed training goes on; none is written when empty.
        progress: Called with the steps done.
        on_epoch: Called after every epoch.

    Raises:
        TrainingDiverged: The loss became infinite or not a number.
    """
    fit = begin(config, progress=progress)
    run_epochs(
        fit, folder=checkpoints, seconds_between=config.checkpoint_seconds, on_epoch=on_epoch
    )
    network = fit.learner.module
    assert isinstance(network, AtomNetwork)
    return network.eval()


def begin(config: AtomNetworkConfig, *, progress: Progress = silent) -> Fit[ImageBatch]:
    """A training with fresh weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = AtomNetwork(config.width)
    images = TrainingImages(config, progress=progress)
    plan = Plan(
        images.n_epochs,
        config.patience,
        learning_rate=config.learning_rate,
        schedule=cosine_of_the_end,
    )
    return Fit(AtomLearner(network), images, HeldOutImages(config), plan=plan, seed=config.seed)


def cosine_of_the_end(start: float, end: float) -> float:
    """Warm-up, then a cosine, at the end of a step: the last step has the rate 0."""
    return min(1.0, end / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(end, 1.0)))
