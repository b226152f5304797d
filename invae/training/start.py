"""How a model with classes begins: from groups that a model without classes has told apart.

A mixture trained from fresh weights merges classes early and never parts them again. A model without classes puts them side by
side in its content; the groups found there are told to the mixture as hints, which it is then weaned off.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from invae.config import ModelConfig, TrainingConfig
from invae.config.model import PoseName
from invae.config.objective import ObjectiveConfig
from invae.models.families import FAMILIES
from invae.models.generators import DiscGenerator
from invae.models.latents import IMPOSSIBLE
from invae.models.objective import evaluate
from invae.models.patches import Patches
from invae.models.vae import VAE
from invae.training.batches import Batches
from invae.training.known import SiteKnown
from invae.training.merging import SITES_PER_PART, merge, parts_of
from invae.training.split import thin
from invae.training.turning import harmonics, turns

CONTENT = 4
"""Least content dimensions of the model without classes: the classes need room beside what varies within them."""
GROUPED_SITES, GROUPED_BYTES = 20_000, 256 << 20
"""Most sites from which the groups are found, and the memory that their patterns may take."""
LANDMARKS = 256
"""Sites whose patterns are turned onto each other."""
MOST_COMPONENTS, LEAST_SHARE = 8, 0.005
"""Principal components in which groups are looked for, and the least share of the variance of each."""
DOUBT = 0.05
"""Probability of a class above which a hint leaves it possible."""


@dataclass(frozen=True)
class Stages:
    """How a training with classes is divided."""

    alone: int
    """Epochs of the model without classes."""
    together: int
    """Epochs of the model itself."""
    hinted: int
    """Of these, epochs with hints."""


def needs_start(config: ModelConfig, training: TrainingConfig, *, n_sites: int) -> bool:
    """Whether a model begins from groups: it has one discrete latent, sites enough, and was not told otherwise."""
    asked = training.class_start == "groups" and len(config.n_classes) == 1
    return asked and n_sites >= SITES_PER_PART * max(2, *config.n_classes)


def divided(training: TrainingConfig, n_epochs: int) -> Stages:
    """The epochs of a training that begins from groups."""
    alone = min(max(1, round(training.start_share * n_epochs)), max(1, n_epochs - 1))
    together = max(1, n_epochs - alone)
    return Stages(alone, together, hinted=min(-(-together // 3), together))


def without_classes(config: ModelConfig) -> ModelConfig:
    """The same model without its classes, with more content to hold them."""
    poses: tuple[PoseName, ...] = FAMILIES[config.family].poses
    changes = {
        "family": "skip-VAE" if FAMILIES[config.family].skip else "VAE",
        "poses": config.poses if config.poses is not None else poses,
        "n_classes": (),
        "latent_dim": max(config.latent_dim, CONTENT),
        "objective": ObjectiveConfig(),
    }
    return config.model_copy(update=changes)


@torch.no_grad()
def settle(model: VAE, batches: Batches) -> None:
    """Let a trained model choose which way up its patterns are, from some of the training sites."""
    few = Batches(batches.source, thin(batches.sites, LANDMARKS), LANDMARKS, batches.device)
    latents = [evaluate(model, batch).completed for batch in few.in_order()]
    names = latents[0].keys()
    model.generator.settle({name: torch.cat([each[name] for each in latents]) for name in names})


def components(
    patterns: Float[np.ndarray, "site number"], *, seed: int
) -> Float[np.ndarray, "site component"]:
    """The principal components of patterns that matter."""
    from sklearn.decomposition import PCA

    n_most = min(MOST_COMPONENTS, *patterns.shape)
    fitted = PCA(n_most, svd_solver="randomized", random_state=seed % 2**32).fit(patterns)
    n_components = max(2, int((fitted.explained_variance_ratio_ > LEAST_SHARE).sum()))
    return fitted.transform(patterns)[:, :n_components].astype(np.float64)


@torch.no_grad()
def hints(model: VAE, batches: Batches, *, n_classes: int, seed: int) -> SiteKnown:
    """What is known of the sites, with log weights of the classes and, where the model infers all angles, a turn within them.

    Sites not looked at have no hint.

    Raises:
        InputError: There are too few patches for classes.
    """
    known, n_sites = batches.source.known, len(batches.source)
    row = 4 * math.prod((model.geometry.n_channels, model.geometry.height, model.geometry.width))
    sites = thin(batches.sites, min(GROUPED_SITES, GROUPED_BYTES // row))
    few = Batches(batches.source, sites, batches.batch_size, batches.device)
    found = [_looked_at(model, batch) for batch in few.in_order()]
    patterns, rows = (torch.cat(each) for each in zip(*found, strict=True))
    labels = None if known.labels is None else known.labels[sites]
    parts = parts_of(components(patterns.numpy(), seed=seed), seed=seed)
    merged = merge(parts, n_classes, labels=labels)
    hint = np.zeros((n_sites, n_classes), dtype=np.float32)
    # An untrained decoder may be hundreds of nats better with a wrong class: what a hint rules out must be ruled out.
    hint[sites] = np.where(merged.probability > DOUBT, 0, IMPOSSIBLE)
    if rows.shape[1] == 0:
        return replace(known, hint=hint)
    turn = np.full(n_sites, np.nan, dtype=np.float32)
    turn[sites] = turns(rows, merged.probability.argmax(1))
    return replace(known, hint=hint, turn=turn)


def _looked_at(model: VAE, batch: Patches) -> tuple[Tensor, Tensor]:
    """What is decoded for each patch, as one row, and the harmonics of the patch itself if its angle is inferred exactly."""
    found = evaluate(model, batch)
    pattern, disc = model.generator.pattern(found.completed), model.generator.turning
    if not isinstance(disc, DiscGenerator):
        return pattern.flatten(1).cpu(), torch.zeros(len(batch), 0)
    rows = harmonics(model, batch, found.latents.get("shift")) if disc.prior.sd is None else None
    empty = torch.zeros(len(batch), 0)
    return (pattern * disc.grid.area.sqrt()).flatten(1).cpu(), empty if rows is None else rows.cpu()


def inherited(model: VAE, other: VAE) -> dict[str, Tensor]:
    """The weights of `model`, those that `other` has too (by name and shape) taken from it."""
    given = {_plain(name): value for name, value in other.state_dict().items()}
    own = model.state_dict()
    fitting = {
        name: given[_plain(name)]
        for name, value in own.items()
        if _plain(name) in given and given[_plain(name)].shape == value.shape
    }
    return {**own, **fitting}


def _plain(name: str) -> str:
    """The name of a weight, whether its generator is asked for every class or not."""
    return name.replace("generator.generator.", "generator.", 1)
