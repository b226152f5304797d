"""How a training begins: classes from groups that a model without classes has told apart, angles from the patches themselves.

A mixture trained from fresh weights merges classes early and never parts them again. A model without classes puts them side by
side in its content; the groups found there are told to the mixture as hints, which it is then weaned off. Angles begin in the same
way, from patches held against each other (`turning`).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from invae.config import ModelConfig, TrainingConfig
from invae.config.model import PoseName
from invae.config.objective import ObjectiveConfig
from invae.models.batch import Patches
from invae.models.evaluation import evaluate
from invae.models.families import family_of
from invae.models.generators import DiscGenerator
from invae.models.latents import IMPOSSIBLE
from invae.models.vae import VAE
from invae.training.angle_synchronisation import harmonics, turns
from invae.training.batches import Batches
from invae.training.mixture_merging import SITES_PER_PART, merge, parts_of
from invae.training.split import thin

CONTENT = 4
"""Least content dimensions of the model without classes: the classes need room beside what varies within them."""
GROUPED_SITES, GROUPED_BYTES = 20_000, 256 << 20
"""Most sites from which the groups are found, and the memory that their patterns may take."""
LANDMARKS = 256
"""Sites whose patterns are turned onto each other."""
MOST_COMPONENTS, LEAST_SHARE = 8, 0.005
"""Principal components in which groups are looked for, and the least share of the variance of each."""
GROUPED_SHARE = 2 / 3
"""Share of the epochs with hints of the classes, so that the rest may put right what the groups had wrong."""
ALIGNED_SHARE = 0.9
"""Share with hints of the angles. Freed after one third, models that had not yet learned the shear took the wrong lobe of sheared
clubs for it, after two thirds one in four with two content dimensions still did; what is inferred in the end is free in any case."""
FEWEST = 10
"""Patches that are worth holding against each other."""
DOUBT = 0.05
"""Probability of a class above which a hint leaves it possible."""


@dataclass(frozen=True)
class Stages:
    """How a training with classes is divided."""

    alone: int
    """Epochs of the model without classes."""
    together: int
    """Epochs of the model itself."""


def needs_start(config: ModelConfig, training: TrainingConfig, *, n_sites: int) -> bool:
    """Whether a model begins from groups: it has one discrete latent, sites enough, and was not told otherwise.

    A family that is told more than labels, or has poses of its own, is not there without classes.
    """
    family = family_of(config.family)
    alone = not (family.condition or family.target or family.own_poses)
    asked = training.class_start == "groups" and len(config.n_classes) == 1 and alone
    return asked and n_sites >= SITES_PER_PART * max(2, *config.n_classes)


def divided(training: TrainingConfig, n_epochs: int) -> Stages:
    """The epochs of a training that begins from groups."""
    alone = min(max(1, round(training.start_share * n_epochs)), max(1, n_epochs - 1))
    together = max(1, n_epochs - alone)
    return Stages(alone, together)


def hinted(n_epochs: int, *, share: float) -> int:
    """Epochs with hints, of a training of `n_epochs`."""
    return round(share * n_epochs) if n_epochs > 1 else 0


def without_classes(
    config: ModelConfig, *, poses: tuple[PoseName, ...] | None = None
) -> ModelConfig:
    """The same model without its classes, with more content to hold them, and with other poses if some are given."""
    own: tuple[PoseName, ...] = family_of(config.family).poses
    own = config.poses if config.poses is not None else own
    changes = {
        "family": "skip-VAE" if family_of(config.family).skip else "VAE",
        "poses": own if poses is None else poses,
        "n_classes": (),
        "latent_dim": max(config.latent_dim, CONTENT),
        "objective": ObjectiveConfig(),
    }
    if poses is not None:  # networks chosen for the model's own poses need not go with others
        changes |= {"encoder": None, "decoder": None, "pose_inference": None}
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
def aligned(model: VAE, batches: Batches) -> Float[np.ndarray, " site"] | None:
    """The angle near which that of each site is to be sought [rad], NaN for sites not looked at; none where no angle is open.

    An untrained model will do: it is only asked for the centres, and the patches are held against each other.
    """
    if not open_angle(model) or len(batches.sites) < FEWEST:
        return None
    few = _some(model, batches)
    rows = [
        harmonics(model, batch, model.infer(batch).latents.get("shift")) for batch in few.in_order()
    ]
    turn = np.full(len(batches.source), np.nan, dtype=np.float32)
    turn[few.sites] = turns(torch.cat(rows).cpu())
    return turn


@torch.no_grad()
def grouped(
    model: VAE, batches: Batches, *, n_classes: int, seed: int
) -> Float[np.ndarray, "site class"]:
    """Log weights of the classes of all sites; 0 (no hint) for sites not looked at.

    Raises:
        InputError: There are too few patches for classes.
    """
    few, labels = _some(model, batches), batches.source.known.labels
    labels = None if labels is None else labels[few.sites]
    parts = parts_of(patterns_of(model, few, seed=seed), seed=seed)
    merged = merge(parts, n_classes, labels=labels)
    hint = np.zeros((len(batches.source), n_classes), dtype=np.float32)
    # An untrained decoder may be hundreds of nats better with a wrong class: what a hint rules out must be ruled out.
    hint[few.sites] = np.where(merged.probability > DOUBT, 0, IMPOSSIBLE)
    return hint


@torch.no_grad()
def patterns_of(model: VAE, batches: Batches, *, seed: int) -> Float[np.ndarray, "site component"]:
    """What a model decodes for every site, upright and centred, in a few principal components."""
    patterns = torch.cat([_pattern(model, batch) for batch in batches.in_order()])
    return components(patterns.numpy(), seed=seed)


def open_angle(model: VAE) -> bool:
    """Whether the model infers all angles, and none is preferred."""
    disc = model.generator.turning
    return isinstance(disc, DiscGenerator) and disc.prior.sd is None


def _some(model: VAE, batches: Batches) -> Batches:
    """As many of the sites as may be looked at together."""
    row = 4 * math.prod((model.geometry.n_channels, model.geometry.height, model.geometry.width))
    sites = thin(batches.sites, min(GROUPED_SITES, GROUPED_BYTES // row))
    return Batches(batches.source, sites, batches.batch_size, batches.device)


def _pattern(model: VAE, batch: Patches) -> Float[Tensor, "batch number"]:
    """What is decoded for each patch, as one row; on the polar grid weighted by area."""
    pattern, disc = (
        model.generator.pattern(evaluate(model, batch).completed),
        model.generator.turning,
    )
    if isinstance(disc, DiscGenerator):
        pattern = pattern * disc.grid.area.sqrt()
    return pattern.flatten(1).cpu()


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
