"""Learning to mark images: simulated images in batches, and the learner that any network with an image as output can be."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.loss import Loss, Tally
from invae.progress import Progress, silent
from invae.training.batches import prefetch
from invae.training.fit import WARM_UP

FIRST_HELD_OUT = 2**31
"""Number of the first held-out image, which no training reaches."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class ImageBatch:
    """Images, and the marks that the network learns to predict."""

    images: Float[Tensor, "image channel y x"]
    """Standardised."""
    marks: Float[Tensor, "image mark y x"]
    """From 0 to 1."""
    weights: Float[Tensor, "image mark y x"] | None = None
    """Of the pixels in the loss; all 1 when empty."""

    def __len__(self) -> int:
        return len(self.images)

    def take(self, places: slice) -> "ImageBatch":
        """Some of the images."""
        weights = None if self.weights is None else self.weights[places]
        return ImageBatch(self.images[places], self.marks[places], weights)


Simulate = Callable[[range], ImageBatch]
"""From numbers to their images; equal numbers give equal images."""


@dataclass(frozen=True)
class SimulatedImages:
    """Images to train on, each used once; epochs have `steps_per_epoch` steps, or one fewer."""

    simulate: Simulate
    batch_size: int
    n_steps: int
    """Of the whole training."""
    steps_per_epoch: int
    progress: Progress = silent
    """Called after every step with the steps of the whole training."""

    @property
    def n_epochs(self) -> int:
        """Number of epochs."""
        return math.ceil(self.n_steps / self.steps_per_epoch)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return CPU

    @property
    def n_items(self) -> int:
        """Images in an epoch."""
        return len(self) * self.batch_size

    def __len__(self) -> int:
        """Most steps of an epoch."""
        return math.ceil(self.n_steps / self.n_epochs)

    def epoch(self, number: int, *, seed: int) -> Iterator[ImageBatch]:
        """The images of an epoch; they follow from the number of the step in the whole training."""
        first, end = (self.n_steps * (number + k) // self.n_epochs for k in (0, 1))
        batches = (self._batch(step) for step in range(first, end))
        for step, batch in enumerate(prefetch(batches), first):
            yield batch
            self.progress(step + 1, self.n_steps)

    def _batch(self, step: int) -> ImageBatch:
        first = step * self.batch_size
        return self.simulate(range(first, first + self.batch_size))


class HeldOutImages:
    """Images that are simulated once, and never trained on."""

    def __init__(self, simulate: Simulate, *, n_images: int, batch_size: int) -> None:
        """Simulate them."""
        numbers = range(FIRST_HELD_OUT, FIRST_HELD_OUT + n_images)
        starts = range(0, n_images, batch_size)
        self.batches = [simulate(numbers[first : first + batch_size]) for first in starts]

    def in_order(self) -> Iterator[ImageBatch]:
        """All images."""
        return iter(self.batches)


class MarkLearner:
    """A network from images to the log odds of a mark at every pixel."""

    measure, settled_from = "log_likelihood", 0.0

    def __init__(self, network: nn.Module) -> None:
        """Begin with the weights that the network has."""
        self.module = network

    def noise(self, n_items: int, generator: torch.Generator) -> dict[str, Tensor]:
        """None: only the images are random."""
        return {}

    def loss(self, batch: ImageBatch, noise: Mapping[str, Tensor], *, progress: float) -> Loss:
        """Cross-entropy of the marks [nats per pixel]; batch normalisation uses the batch."""
        self.module.train()
        cost = self._cross_entropy(batch)
        return Loss(cost, {self.measure: Tally(-cost * len(batch), len(batch))})

    def score(
        self, batch: ImageBatch, noise: Mapping[str, Tensor], *, progress: float
    ) -> dict[str, Tally]:
        """Minus the cross-entropy; batch normalisation uses the statistics of the training."""
        self.module.eval()
        return {self.measure: Tally(-self._cross_entropy(batch) * len(batch), len(batch))}

    def _cross_entropy(self, batch: ImageBatch) -> Float[Tensor, ""]:
        log_odds = self.module(batch.images)
        return functional.binary_cross_entropy_with_logits(
            log_odds, batch.marks, weight=batch.weights
        )


def cosine_of_the_end(start: float, end: float) -> float:
    """Schedule: warm-up, then a cosine, at the end of a step; the last step has the rate 0."""
    return min(1.0, end / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(end, 1.0)))
