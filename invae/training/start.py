"""How a model with classes begins: from groups that a model without classes has told apart.

A mixture trained from fresh weights merges classes early and never parts them again. A model without classes puts them side by
side in its content; the groups found there are told to the mixture as hints, which it is then weaned off.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from invae.config import ModelConfig, TrainingConfig
from invae.config.model import PoseName
from invae.config.objective import ObjectiveConfig
from invae.models.families import FAMILIES
from invae.models.vae import VAE
from invae.training.batches import Batches
from invae.training.merging import merge, parts_of
from invae.training.split import thin

CONTENT = 4
"""Least content dimensions of the model without classes: the classes need room beside what varies within them."""
GROUPED_SITES = 20_000
"""Sites from which the groups are found."""
DOUBT = 1e-3
"""Least probability that a hint leaves to a class."""


@dataclass(frozen=True)
class Stages:
    """How a training with classes is divided."""

    alone: int
    """Epochs of the model without classes."""
    together: int
    """Epochs of the model itself."""
    hinted: int
    """Of these, epochs with hints."""


def needs_start(config: ModelConfig, training: TrainingConfig) -> bool:
    """Whether a model begins from groups: it has one discrete latent and was not told otherwise."""
    return training.class_start == "groups" and len(config.n_classes) == 1


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
def hints(
    model: VAE, batches: Batches, *, n_classes: int, seed: int
) -> Float[np.ndarray, "site class"]:
    """Log weights of the classes for all sites of a source, 0 (no hint) for those not looked at.

    Raises:
        InputError: There are too few patches for classes.
    """
    sites = thin(batches.sites, GROUPED_SITES)
    few = Batches(batches.source, sites, batches.batch_size, batches.device)
    content = torch.cat([model.infer(batch).latents["content"].cpu() for batch in few.in_order()])
    labels = batches.source.known.labels
    merged = merge(
        parts_of(content.double().numpy(), seed=seed),
        n_classes,
        labels=None if labels is None else labels[sites],
    )
    told = np.zeros((len(batches.source), n_classes), dtype=np.float32)
    told[sites] = np.log(np.maximum(merged.probability, DOUBT))
    return told


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
