"""Beginning of a training: classes from the groups of a model without classes, angles from comparing the patches.

A mixture trained from fresh weights merges classes early and never parts them again. A model without classes separates them in
its content. The groups found there are hints for the mixture in its first epochs; later epochs have none. Angles begin in the same
way, from patches compared with each other (`angle_synchronisation`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from invae.config import ModelConfig, TrainingConfig
from invae.config.model import PoseName
from invae.config.objective import ObjectiveConfig
from invae.config.training import ClassStart
from invae.latent_table import row_of
from invae.models.evaluation import evaluate
from invae.models.families import family_of
from invae.models.geometry.upright import upright
from invae.models.latents import IMPOSSIBLE
from invae.models.signals import Signals
from invae.models.vae import VAE
from invae.training.angle_synchronisation import angles_of, disc_of, harmonics, ring_harmonics
from invae.training.batches import Batches
from invae.training.harmonic_mixture import harmonic_groups
from invae.training.mixture_merging import SITES_PER_PART, merge, parts_of
from invae.training.neighbour_classes import neighbour_classes
from invae.training.split import thin
from invae.verdict.symptoms import StartPatterns
from invae.verdict.valleys import joined, shallowest

CONTENT = 4
"""Least content dimensions of the model without classes: the classes need room beside what varies within them."""
GROUPED_SITES, GROUPED_BYTES = 20_000, 256 << 20
"""Most sites from which groups are formed, and most memory of their patterns."""
LANDMARKS = 256
"""Sites whose patterns are turned onto each other."""
MOST_COMPONENTS, LEAST_SHARE = 8, 0.005
"""Most principal components in which groups are formed, and least share of the variance of each."""
CLASS_HINT_SHARE = 2 / 3
"""Share of the epochs with hints of the classes; the other epochs can correct wrong groups."""
ANGLE_HINT_SHARE = 0.9
"""Share of the epochs with hints of the angles. Freed after one third, models that had not yet learned the shear took the wrong lobe of
sheared clubs for it; after two thirds one in four with two content dimensions still did. The final inference is free in any case."""
FEWEST = 10
"""Fewest patches that are compared with each other."""
DOUBT = 0.05
"""Probability of a class above which a hint leaves it possible."""
COMPARED = 4000
"""Most sites from which it is seen whether two groups are one kind."""
FINER = 6
"""Number of groups beyond those asked for, by which it is confirmed that some are surplus."""
SURPLUS = 0.2
"""Valley, mean of both divisions, below which groups are surplus. It is 0.13 or less where two are too many, and 0.23 or more where
none is, under noise and gradients."""
NOISY = 0.3
"""Share of the variance that a model without classes describes, below which groups are those of harmonics: cards of noise sd 0.7 and 1
were in the right class in .50 and .45 to .50 after groups of patterns, in .99 and .82 to .85 after those of harmonics."""
LEAST_CLASSES = 2
"""Number of classes that is left where no groups are apart."""


@dataclass(frozen=True)
class Groups:
    """Groups of sites by a model without classes: what a model with classes begins from."""

    hint: Float[np.ndarray, "site class"]
    """Log weights of the classes of all sites of the source; 0 (no hint) for sites that were not grouped."""
    start: StartPatterns
    """In which the groups were found."""

    @property
    def n_classes(self) -> int:
        """Number of groups."""
        return self.hint.shape[1]


def begins_from_groups(config: ModelConfig, training: TrainingConfig, *, n_sites: int) -> bool:
    """Whether a model begins from groups: it has one discrete latent variable, enough sites, and the configuration allows it.

    A family with a condition, a target or poses of its own has no counterpart without classes.
    """
    family = family_of(config.family)
    has_counterpart = not (family.condition or family.target or family.own_poses)
    wanted = training.class_start != "fresh" and len(config.n_classes) == 1 and has_counterpart
    return wanted and n_sites >= SITES_PER_PART * max(2, *config.n_classes)


def split_epochs(training: TrainingConfig, n_epochs: int) -> tuple[int, int]:
    """Epochs of the model without classes, and of the model itself."""
    first = min(max(1, round(training.start_share * n_epochs)), max(1, n_epochs - 1))
    return first, max(1, n_epochs - first)


def hinted_epochs(n_epochs: int, *, share: float) -> int:
    """Epochs with hints, of a training of `n_epochs`."""
    return round(share * n_epochs) if n_epochs > 1 else 0


def without_classes(
    config: ModelConfig, *, poses: tuple[PoseName, ...] | None = None
) -> ModelConfig:
    """The same model without its classes, with more content to hold them, and with other poses if there are some."""
    own: tuple[PoseName, ...] = family_of(config.family).poses
    own = config.poses if config.poses is not None else own
    changes = {
        "family": "skip-VAE" if family_of(config.family).skip else "VAE",
        "poses": own if poses is None else poses,
        "n_classes": (),
        "latent_dim": max(config.latent_dim, CONTENT),
        "objective": ObjectiveConfig(),
    }
    if poses is not None:  # networks chosen for the model's own poses may not fit others
        changes |= {"encoder": None, "decoder": None, "pose_inference": None}
    return config.model_copy(update=changes)


@torch.no_grad()
def orient_patterns(model: VAE, batches: Batches) -> None:
    """Let a trained model choose which way up its patterns are, from some of the training sites."""
    sample = Batches(batches.source, thin(batches.sites, LANDMARKS), LANDMARKS, batches.device)
    latents = [evaluate(model, batch).completed for batch in sample.in_order()]
    joined = {name: torch.cat([each[name] for each in latents]) for name in latents[0]}
    if model.main.generator is not None:
        model.main.generator.settle(joined)


@torch.no_grad()
def angle_hints(model: VAE, batches: Batches) -> Float[np.ndarray, " site"] | None:
    """Approximate angle of each site [rad], NaN for sites that were not compared; none where no angle is free.

    An untrained model will do: only the centres are taken from it, and the patches are compared with each other.
    """
    if not infers_free_angle(model) or len(batches.sites) < FEWEST:
        return None
    sample = _sample(model, batches)
    rows = [harmonics(model, batch, _centre(model, batch)) for batch in sample.in_order()]
    turn = np.full(len(batches.source), np.nan, dtype=np.float32)
    turn[sample.sites] = angles_of(torch.cat(rows).cpu())
    return turn


@torch.no_grad()
def groups_of(
    model: VAE,
    batches: Batches,
    *,
    n_classes: int,
    seed: int,
    join_surplus: bool = True,
    grouping: ClassStart = "groups",
) -> Groups:
    """The sites in groups, from their patterns by a model without classes.

    Args:
        model: Without classes.
        batches: Of the training sites.
        n_classes: Number of groups; fewer are found where some are one kind.
        seed: Of components and mixture.
        join_surplus: Whether groups without a valley between them are joined; never where labels name the classes, nor for groups of
            harmonics, which divide a continuum.
        grouping: Of what: patterns, neighbours among upright patches, or angular harmonics; always patterns where labels name the classes.

    Raises:
        InputError: There are too few patches for classes.
    """
    sample, labels = _sample(model, batches), batches.source.known.labels
    labels = None if labels is None else labels[sample.sites]
    patterns = patterns_of(model, sample, seed=seed)
    parts = parts_of(patterns, seed=seed)
    probability = merge(parts, n_classes, labels=labels).probability
    unlabelled = labels is None or not (labels >= 0).any()
    if grouping == "neighbours" and unlabelled:
        probability = groups_of_neighbours(model, sample, n_classes=n_classes, seed=seed)
    if unlabelled and (
        grouping == "harmonics" or (grouping == "groups" and _is_noisy(model, sample))
    ):
        probability = groups_of_harmonics(model, sample, n_classes=n_classes, seed=seed)
    elif join_surplus and unlabelled:
        probability = without_surplus(parts, probability, patterns)
    hint = np.zeros((len(batches.source), probability.shape[1]), dtype=np.float32)
    # An untrained decoder may be hundreds of nats better with a wrong class: a class that a hint excludes must be impossible.
    hint[sample.sites] = np.where(probability > DOUBT, 0, IMPOSSIBLE)
    continuum = grouping == "harmonics" and unlabelled
    return Groups(hint, StartPatterns(sample.sites, patterns, continuum))


def groups_of_neighbours(
    model: VAE, batches: Batches, *, n_classes: int, seed: int
) -> Float[np.ndarray, "site group"]:
    """Probabilities of groups in which upright patches and their neighbours are together."""
    patches = np.concatenate([_upright(model, batch) for batch in batches.in_order()])
    turns = infers_free_angle(model)
    with torch.enable_grad():
        learned = neighbour_classes(patches, n_classes=n_classes, seed=seed, turns=turns)
    return learned.probability(patches)


def _is_noisy(model: VAE, batches: Batches) -> bool:
    """Whether patches at any angle are mostly noise to a model without classes: its patterns then mix kinds."""
    return infers_free_angle(model) and explained_share(model, batches) < NOISY


@torch.no_grad()
def explained_share(model: VAE, batches: Batches) -> float:
    """Share of the variance of patches that a model describes, where its decoder does."""
    residual, variance = 0.0, 0.0
    mean = model.main.standardise.offset
    for batch in batches.in_order():
        patches, evaluation = batch[model.names[0]], evaluate(model, batch)
        picture = evaluation.decode(evaluation.completed)
        weight = patches.weight * picture.support.unsqueeze(1)
        residual += float((weight * (patches.values - picture.mean) ** 2).sum())
        variance += float((weight * (patches.values - mean) ** 2).sum())
    return 1 - residual / max(variance, torch.finfo(torch.float32).tiny)


def groups_of_harmonics(
    model: VAE, batches: Batches, *, n_classes: int, seed: int
) -> Float[np.ndarray, "site group"]:
    """Probabilities of groups by the angular harmonics of patches about their inferred centres."""
    rows = [ring_harmonics(model, batch, _centre(model, batch)) for batch in batches.in_order()]
    return harmonic_groups(torch.cat(rows).cpu().numpy(), n_classes, seed=seed)


def _centre(model: VAE, batch: Signals) -> Float[Tensor, "batch 2"] | None:
    """The shift that a model infers; none if it infers no shift."""
    return model.infer(batch).latents.get("shift")


@torch.no_grad()
def _upright(model: VAE, batch: Signals) -> Float[np.ndarray, "batch channel y x"]:
    """Patches turned upright and centred by the poses that the model infers; NaN where a pixel is unknown."""
    patches, latents = batch[model.names[0]].counted, evaluate(model, batch).completed
    half_side = model.main.geometry.half_side
    values = patches.values
    if patches.valid is not None:
        values = values.where(patches.valid, torch.nan)
    reported = {name: _reported(name, latents[name], half_side) for name in model.poses}
    return upright(values.cpu().numpy(), reported)


def _reported(name: str, value: Tensor, half_side: float) -> np.ndarray:
    """A pose in the units of the embedding."""
    match row_of(name).measure:
        case "half side":
            value = value * half_side
        case "logarithm":
            value = value.exp()
        case _:
            pass
    return value.cpu().numpy()


def without_surplus(
    parts: Float[np.ndarray, "site part"],
    probability: Float[np.ndarray, "site group"],
    patterns: Float[np.ndarray, "site component"],
) -> Float[np.ndarray, "site kind"]:
    """Probabilities of the kinds of sites: those of the groups where they are as many, else of fewer.

    A final model with surplus classes cuts kinds in pieces that its own patterns keep apart, and its held-out ELBO prefers them:
    only the patterns of a model without classes show that the pieces are one kind. Kinds under noise have shallow valleys too, all
    the more if groups are not pure: so the valleys of finer groups, joined until as many are left, count as much.

    Args:
        parts: Probabilities of the components of which the groups are made.
        probability: Of the groups.
        patterns: In which the valleys are looked for.
    """
    n_groups = probability.shape[1]
    some = thin(np.arange(len(patterns)), COMPARED)
    direct = shallowest(patterns[some], probability[some].argmax(1), n_groups)
    if direct >= 2 * SURPLUS:
        return probability
    finer = merge(parts, min(n_groups + FINER, parts.shape[1])).probability
    label = finer[some].argmax(1)
    as_many = joined(patterns[some], label, fewest=n_groups, apart=np.inf)
    whose = np.array([[k in kind for kind in as_many] for k in range(finer.shape[1])]).argmax(1)
    if (direct + shallowest(patterns[some], whose[label], n_groups)) / 2 >= SURPLUS:
        return probability
    kinds = joined(patterns[some], label, fewest=LEAST_CLASSES)
    if not LEAST_CLASSES <= len(kinds) < n_groups:
        return probability
    return np.stack([finer[:, kind].sum(1) for kind in kinds], axis=1)


@torch.no_grad()
def patterns_of(model: VAE, batches: Batches, *, seed: int) -> Float[np.ndarray, "site component"]:
    """Decoded pattern of every site, upright and centred, in a few principal components."""
    patterns = torch.cat([_pattern(model, batch) for batch in batches.in_order()])
    return components(patterns.numpy(), seed=seed)


def components(
    patterns: Float[np.ndarray, "site number"], *, seed: int
) -> Float[np.ndarray, "site component"]:
    """The leading principal components of patterns."""
    from sklearn.decomposition import PCA

    n_most = min(MOST_COMPONENTS, *patterns.shape)
    fitted = PCA(n_most, svd_solver="randomized", random_state=seed % 2**32).fit(patterns)
    n_components = max(2, int((fitted.explained_variance_ratio_ > LEAST_SHARE).sum()))
    return fitted.transform(patterns)[:, :n_components].astype(np.float64)


def infers_free_angle(model: VAE) -> bool:
    """Whether the model infers the angle exactly, under a uniform prior."""
    disc = disc_of(model)
    return disc is not None and disc.prior.sd is None


def _sample(model: VAE, batches: Batches) -> Batches:
    """As many of the sites as fit into memory together."""
    row = 4 * model.main.geometry.n_values
    sites = thin(batches.sites, min(GROUPED_SITES, GROUPED_BYTES // row))
    return Batches(batches.source, sites, batches.batch_size, batches.device)


def _pattern(model: VAE, batch: Signals) -> Float[Tensor, "batch number"]:
    """The decoded pattern of each patch, as one row; on the polar grid weighted by area."""
    assert model.main.generator is not None
    pattern = model.main.generator.pattern(evaluate(model, batch).completed)
    if (disc := disc_of(model)) is not None:
        pattern = pattern * disc.grid.area.sqrt()
    return pattern.flatten(1).cpu()


def inherited_weights(model: VAE, other: VAE) -> dict[str, Tensor]:
    """The weights of `model`; those that `other` has too (by name and shape) are the other's."""
    weights = {_plain(name): value for name, value in other.state_dict().items()}
    own = model.state_dict()
    fitting = {
        name: weights[_plain(name)]
        for name, value in own.items()
        if _plain(name) in weights and weights[_plain(name)].shape == value.shape
    }
    return {**own, **fitting}


def _plain(name: str) -> str:
    """The name of a weight, independent of whether its generator is evaluated for every class."""
    return name.replace("generator.generator.", "generator.", 1)
