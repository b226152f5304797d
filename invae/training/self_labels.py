"""Learning from a network's own labels: a fresh network learns the labels of confident patches from warped views of them.

Labels that rest on a chain of neighbours are uncertain at the ends of a kind. Slightly warped views of confident patches reach
those ends.

Source: Van Gansbeke et al. 2020, arXiv:2005.12320, section 2.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from invae.models.loss import Loss, Tally
from invae.models.networks.class_heads import ClassHeads
from invae.training.random_batches import Draw


@dataclass(frozen=True)
class LabelBatch:
    """Features of views, and the classes of their patches."""

    features: Float[Tensor, "item feature"]
    classes: Int[Tensor, " item"]

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, places: slice) -> "LabelBatch":
        """Some of the items."""
        return LabelBatch(self.features[places], self.classes[places])


@dataclass(frozen=True)
class LabelledViews:
    """Several views of patches, and the class of each patch."""

    features: Float[Tensor, "view site feature"]
    classes: Int[Tensor, " site"]


def random_views(views: LabelledViews) -> Draw[LabelBatch]:
    """Draws random views of random patches."""
    n_each, n_sites = views.features.shape[:2]

    def draw(rng: np.random.Generator, n_items: int) -> LabelBatch:
        which = torch.from_numpy(rng.integers(n_each, size=n_items))
        sites = torch.from_numpy(rng.integers(n_sites, size=n_items))
        return LabelBatch(views.features[which, sites], views.classes[sites])

    return draw


class LabelLearner:
    """Networks from features to given classes."""

    measure, settled_from = "log_likelihood", 1.0

    def __init__(self, heads: ClassHeads) -> None:
        """Begin with the weights that the networks have."""
        self.module = heads

    def noise(self, n_items: int, generator: torch.Generator) -> dict[str, Tensor]:
        """None: only the views are random."""
        return {}

    def loss(self, batch: LabelBatch, noise: Mapping[str, Tensor], *, progress: float) -> Loss:
        """Cross-entropy of the classes [nats per view], summed over the networks."""
        log_odds = self.module(batch.features)
        each = torch.stack([functional.cross_entropy(one, batch.classes) for one in log_odds])
        n_views = len(batch)
        return Loss(each.sum(), {self.measure: Tally(-each.mean() * n_views, n_views)})

    def score(
        self, batch: LabelBatch, noise: Mapping[str, Tensor], *, progress: float
    ) -> Mapping[str, Tally]:
        """Minus the cross-entropy."""
        return self.loss(batch, noise, progress=progress).terms
