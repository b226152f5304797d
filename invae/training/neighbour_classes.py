"""Classes without labels: small networks learn that an upright patch and its nearest neighbours are of one class.

Content of a model describes how patches look, and its groups are not always kinds: a bar more or less in a digit is a large
difference, another digit often a small one. Neighbours among upright patches are mostly of one kind, and the probabilities of a
network that agrees on them go along chains of neighbours from one end of a kind to the other.

The loss has many local minima (two kinds in one class, another kind cut in two), and its value tells them apart: over 16 networks
its correlation with the accuracy was −0.8 to −0.9. So many networks begin, and the best go on. Further networks learn the confident
labels of the best one, and then of each other (`self_labels`): this raised the accuracy by .02 to .03.

Source: Van Gansbeke et al. 2020, arXiv:2005.12320; features are principal components of upright patches instead of a network's.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from invae.errors import InputError
from invae.models.geometry.circle import TURN
from invae.models.networks.class_heads import ClassHeads
from invae.training.fit import Fit, Plan, cosine
from invae.training.learner import Batch, Learner
from invae.training.neighbour_learner import (
    NeighbourLearner,
    entropy_of_mean,
    log_agreement,
    random_pairs,
)
from invae.training.patch_features import PatchFeatures, nearest
from invae.training.random_batches import Draw, NothingHeldOut, RandomBatches
from invae.training.self_labels import LabelLearner, LabelledViews, random_views
from invae.training.split import thin
from invae.training.views import random_view

N_NEIGHBOURS = 20
"""Neighbours of a patch, in sets that have several times as many patches of each class."""
N_TURNS = 12
"""Angles at which a patch is compared with others."""
MOST_SITES = 20_000
"""Sites among which neighbours are looked for."""
STEPS_PER_EPOCH = 100
BATCH = 256
"""Most pairs or views in a step."""
LEARNING_RATE = 3e-3
CONFIDENT = 0.7
"""Probability above which a patch is labelled by the best network."""
N_VIEWS = 8
"""Warped views of a patch."""
ENTROPY_WEIGHT = 2.0
"""Weight of the entropy of the mean probabilities: with 5 as in the source, the best networks were .01 to .04 less accurate (three sets)."""


@dataclass(frozen=True)
class Search:
    """How many networks are trained, and how long."""

    n_heads: int = 40
    """Networks that begin."""
    n_kept: int = 6
    """Networks that go on."""
    width: int = 512
    """Units of a hidden layer."""
    first_steps: int = 200
    """Steps of all networks."""
    last_steps: int = 900
    """Steps of those that go on."""
    n_rounds: int = 4
    """Networks that learn labels, each those of the one before."""
    label_steps: int = 500
    """Steps of each of them."""


THOROUGH = Search()


@dataclass(frozen=True)
class NeighbourClasses:
    """A trained network from upright patches to classes."""

    features: PatchFeatures
    head: ClassHeads
    """One network, on the CPU."""
    loss: float
    """Of the network whose labels it learned, on the training patches [nats]."""

    @torch.no_grad()
    def probability(
        self, patches: Float[np.ndarray, "site channel y x"]
    ) -> Float[np.ndarray, "site class"]:
        """Probability of every class, of upright patches."""
        features = self.features.of(self.features.filled(patches))
        return self.head(features)[0].softmax(-1).numpy()


def neighbour_classes(
    patches: Float[np.ndarray, "site channel y x"],
    *,
    n_classes: int,
    seed: int,
    turns: bool = True,
    search: Search = THOROUGH,
) -> NeighbourClasses:
    """A network trained on upright patches.

    Args:
        patches: Upright and centred; NaN where a pixel is unknown.
        n_classes: Number of classes.
        seed: Of weights, pairs and views.
        turns: Whether neighbours are looked for at all angles: which way up a pattern is turned may differ within a kind.
        search: How many networks are trained, and how long.

    Raises:
        InputError: There are too few patches for the number of classes.
    """
    if n_classes < 2 or len(patches) < 2 * n_classes:
        raise InputError(
            f"{len(patches)} patches cannot be divided among {n_classes} classes; at least 2 classes and "
            "twice as many patches are needed"
        )
    patches = patches[thin(np.arange(len(patches)), MOST_SITES)]
    features = PatchFeatures.fitted(patches, seed=seed)
    filled = features.filled(patches)
    n_neighbours = max(1, min(N_NEIGHBOURS, len(patches) // (2 * n_classes)))
    angles = [k * TURN / N_TURNS for k in range(N_TURNS if turns else 1)]
    neighbours = nearest(filled, n_neighbours=n_neighbours, angles=angles, seed=seed)
    best, loss = best_head(
        features.of(filled), neighbours, n_classes=n_classes, seed=seed, search=search
    )
    views = views_of(filled, features, seed=seed)
    for number in range(search.n_rounds):
        best = relearned(best, views, seed=seed + number, search=search)
    return NeighbourClasses(features, best.requires_grad_(False), loss)


def best_head(
    features: Float[Tensor, "site feature"],
    neighbours: Int[Tensor, "site neighbour"],
    *,
    n_classes: int,
    seed: int,
    search: Search,
) -> tuple[ClassHeads, float]:
    """The network of lowest loss, and this loss [nats]: many begin, the best go on."""
    heads = _heads(features.shape[1], n_classes, search.n_heads, search.width, seed=seed)
    learner = NeighbourLearner(heads, entropy_weight=ENTROPY_WEIGHT)
    draw = random_pairs(features, neighbours)
    _train(learner, draw, search.first_steps, len(features), seed=seed)
    heads.keep(losses(heads, features, neighbours).argsort()[: search.n_kept].tolist())
    _train(learner, draw, search.last_steps, len(features), seed=seed)
    loss = losses(heads, features, neighbours)
    heads.keep([int(loss.argmin())])
    return heads, float(loss.min())


@torch.no_grad()
def losses(
    heads: ClassHeads,
    features: Float[Tensor, "site feature"],
    neighbours: Int[Tensor, "site neighbour"],
) -> Float[Tensor, " head"]:
    """The loss of every network on all pairs of neighbours [nats]."""
    probability = heads(features).softmax(-1)
    each = [log_agreement(probability, probability[:, column]).mean(1) for column in neighbours.T]
    return -(torch.stack(each).mean(0) + ENTROPY_WEIGHT * entropy_of_mean(probability))


def views_of(
    filled: Float[Tensor, "site channel y x"], features: PatchFeatures, *, seed: int
) -> Float[Tensor, "view site feature"]:
    """Features of the patches, which come first, and of random views of them."""
    generator = torch.Generator().manual_seed(seed)
    rows = [features.of(filled)]
    rows += [features.of(random_view(filled, generator=generator)) for _ in range(N_VIEWS)]
    return torch.stack(rows)


def relearned(
    head: ClassHeads, views: Float[Tensor, "view site feature"], *, seed: int, search: Search
) -> ClassHeads:
    """A fresh network that has learned the labels of the patches of whose class another one is sure, from all their views."""
    with torch.no_grad():
        log_odds = head(views[0])[0]
    confidence, classes = log_odds.softmax(-1).max(-1)
    sure = confidence >= min(CONFIDENT, float(confidence.median()))
    labelled = LabelledViews(views[:, sure], classes[sure])
    fresh = _heads(views.shape[-1], log_odds.shape[-1], 1, search.width, seed=seed)
    draw = random_views(labelled)
    _train(LabelLearner(fresh), draw, search.label_steps, len(classes), seed=seed)
    return fresh


def _heads(n_features: int, n_classes: int, n_heads: int, width: int, *, seed: int) -> ClassHeads:
    """Networks whose weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ClassHeads(n_features, n_classes, n_heads=n_heads, width=width)


def _train(
    learner: Learner[Batch], draw: Draw[Batch], n_steps: int, n_sites: int, *, seed: int
) -> None:
    """Train for some steps; small sets have small batches."""
    n_epochs = max(1, n_steps // STEPS_PER_EPOCH)
    plan = Plan(n_epochs, n_epochs, learning_rate=LEARNING_RATE, schedule=cosine)
    batches = RandomBatches(draw, min(BATCH, n_sites), STEPS_PER_EPOCH)
    for _ in Fit(learner, batches, NothingHeldOut(), plan=plan, seed=seed).epochs():
        pass
