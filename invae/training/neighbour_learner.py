"""Learning classes from neighbours: pairs of similar patches, and the learner of the networks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from invae.models.loss import Loss, Tally
from invae.models.networks.class_heads import ClassHeads
from invae.training.random_batches import Draw

SMALLEST = 1e-8
"""Least probability whose logarithm is taken."""


@dataclass(frozen=True)
class PairBatch:
    """Features of patches and of a neighbour of each."""

    features: Float[Tensor, "pair two feature"]

    def __len__(self) -> int:
        return len(self.features)

    def take(self, places: slice) -> "PairBatch":
        """Some of the pairs."""
        return PairBatch(self.features[places])


def random_pairs(
    features: Float[Tensor, "site feature"], neighbours: Int[Tensor, "site neighbour"]
) -> Draw[PairBatch]:
    """Draws random patches, each with a random one of its neighbours."""
    n_sites, n_neighbours = neighbours.shape

    def draw(rng: np.random.Generator, n_items: int) -> PairBatch:
        sites = torch.from_numpy(rng.integers(n_sites, size=n_items))
        which = torch.from_numpy(rng.integers(n_neighbours, size=n_items))
        return PairBatch(features[torch.stack([sites, neighbours[sites, which]], dim=1)])

    return draw


class NeighbourLearner:
    """Networks for which a patch and its neighbour are of one class, and all classes are frequent.

    Source: Van Gansbeke et al. 2020, arXiv:2005.12320, eq. 2.
    """

    measure, settled_from = "agreement", 1.0

    def __init__(self, heads: ClassHeads, *, entropy_weight: float) -> None:
        """Begin with the weights that the networks have.

        Args:
            heads: On the batches' device.
            entropy_weight: Weight of the entropy of the mean probabilities.
        """
        self.module, self.entropy_weight = heads, entropy_weight

    def noise(self, n_items: int, generator: torch.Generator) -> dict[str, Tensor]:
        """None: only the pairs are random."""
        return {}

    def loss(self, batch: PairBatch, noise: Mapping[str, Tensor], *, progress: float) -> Loss:
        """Sum over the networks, so that each has the gradient that it would have alone."""
        one, other = (self.module(features).softmax(-1) for features in batch.features.unbind(1))
        agreement = log_agreement(one, other).mean(1)
        entropy = entropy_of_mean((one + other) / 2)
        value = -(agreement + self.entropy_weight * entropy)
        terms = {"agreement": agreement.mean(), "entropy": entropy.mean()}
        n_pairs = len(batch)
        tallies = {name: Tally(term * n_pairs, n_pairs) for name, term in terms.items()}
        return Loss(value.sum(), tallies)

    def score(
        self, batch: PairBatch, noise: Mapping[str, Tensor], *, progress: float
    ) -> Mapping[str, Tally]:
        """The terms of the loss."""
        return self.loss(batch, noise, progress=progress).terms


def log_agreement(
    one: Float[Tensor, "head item class"], other: Float[Tensor, "head item class"]
) -> Float[Tensor, "head item"]:
    """Log probability that two patches are of one class [nats]."""
    return (one * other).sum(-1).clamp(min=SMALLEST).log()


def entropy_of_mean(probability: Float[Tensor, "head item class"]) -> Float[Tensor, " head"]:
    """Entropy of the mean probabilities [nats]: the logarithm of the number of classes if all are equally frequent."""
    mean = probability.mean(1).clamp(min=SMALLEST)
    return -(mean * mean.log()).sum(-1)
