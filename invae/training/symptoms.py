"""The numbers for a verdict, measured on some sites at the end of a training: errors, idle latents, classes, position."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from invae.config import ModelConfig
from invae.config.family import families
from invae.models.batch import Patches
from invae.models.evaluation import Evaluation, evaluate
from invae.models.families import Family, family_of
from invae.models.generators import Picture
from invae.models.latents import ClassPrior, Normal, NormalPrior
from invae.models.likelihoods import Gaussian
from invae.models.signals import IMAGE
from invae.models.vae import VAE
from invae.training.annotations import SiteAnnotations
from invae.training.batches import Batches
from invae.training.history import Epoch
from invae.training.object_symptoms import foreign_symptoms, undescribed
from invae.training.sd_ratios import sd_ratios
from invae.training.split import Split, thin
from invae.verdict import neighbours, valleys
from invae.verdict.symptoms import ClassSymptoms, PositionSymptoms, StartPatterns, Symptoms

MOST_SITES, MOST_HELD_OUT, MOST_DRAWN, MOST_BYTES = 2000, 1000, 500, 64 << 20
"""Sites that are looked at, and memory of their patches."""


@dataclass(frozen=True)
class Seen:
    """Some sites as a model sees them; values are standardised by channel."""

    values: Float[np.ndarray, "site channel y x"]
    valid: Bool[np.ndarray, "site channel y x"]
    weight: Float[np.ndarray, "site channel y x"]
    """Share of a pixel that the decoder describes, 0 under the mask."""
    residual: Float[np.ndarray, "site channel y x"]
    content: Float[np.ndarray, "site latent"]
    kl_content: Float[np.ndarray, "site component"]
    """Divergence from the prior [nats]; no columns for a model without prior."""
    label: Int[np.ndarray, " site"] | None
    angle: Float[np.ndarray, " site"] | None
    """[rad]"""
    error: Float[np.ndarray, " site"]
    """Root mean square residual of every site [unit of the patches]."""

    def error_of(self, residual: Float[np.ndarray, "site channel y x"]) -> float:
        """Root mean square of residuals where the decoder describes the patch."""
        squares = (self.weight * residual**2).sum()
        return float(np.sqrt(squares / max(self.weight.sum(), 1e-9)))


@dataclass(frozen=True)
class Data:
    """The sites of a training."""

    batches: Batches
    """Of any sites of its source."""
    split: Split

    def of(self, sites: np.ndarray, most: int) -> Batches:
        """Some of the sites, evenly spread, without what is known of their latent variables."""
        source = self.batches.source
        row = 4 * sum(geometry.n_values for geometry in source.geometries.values())
        chosen = thin(sites, max(1, min(most, MOST_BYTES // row)))
        known = SiteAnnotations(condition=source.known.condition, place=source.known.place)
        return replace(self.batches, source=source.annotated(known), sites=chosen)


def symptoms_of(
    model: VAE,
    data: Data,
    *,
    config: ModelConfig,
    n_asked: int,
    start: StartPatterns | None,
    history: list[Epoch],
) -> Symptoms | None:
    """The numbers of a trained model; none for a model of other signals than images.

    Args:
        model: With the weights of its best epoch.
        data: Its sites.
        config: Of the model as it was trained.
        n_asked: Number of classes that the configuration asked for.
        start: Patterns of a model without classes.
        history: Of the training.
    """
    if model.names != (IMAGE,) or not history:
        return None
    # Sites without annotation of the model without classes have no patterns: those with patterns are looked at.
    training = data.of(data.split.training if start is None else start.sites, MOST_SITES)
    own = look(model, training)
    other = (
        look(model, data.of(data.split.held_out, MOST_HELD_OUT))
        if len(data.split.held_out)
        else None
    )
    labels = data.batches.source.known.labels
    labelled = labels is not None and bool((labels >= 0).any())
    best = history[max((epoch.epoch for epoch in history if epoch.best), default=-1)]
    n_numbers = _n_numbers(own, model)
    means = _held_out_errors(own, other, n_numbers=n_numbers)
    return Symptoms(
        n_training=len(data.split.training),
        n_held_out=len(data.split.held_out),
        n_numbers=n_numbers,
        n_epochs=len(history),
        best_epoch=best.epoch + 1,
        elbo_training=best.training["elbo"],
        elbo_held_out=best.held_out.get("elbo"),
        error_training=own.error_of(own.residual),
        **means,
        kl_content=tuple(own.kl_content.mean(0).tolist()),
        noise_ratio=None if other is None else _noise_ratio(model, other),
        sd_ratio=sd_ratios(model, data.of(data.split.training, MOST_DRAWN)),
        classes=_classes(own, training.sites, config, n_asked, start, labelled=labelled),
        position=_position(own, config),
        foreign=foreign_symptoms(model, training),
        undescribed=undescribed(own.values, own.residual, own.weight, own.valid),
        typical_error=float(np.median((other or own).error)),
    )


@torch.no_grad()
def look(model: VAE, batches: Batches) -> Seen:
    """Sites as a model sees them."""
    pieces = [_seen(model, evaluate(model, batch)) for batch in batches.in_order()]
    joined = {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}
    return Seen(**{"label": None, "angle": None, **joined})


def _seen(model: VAE, evaluation: Evaluation) -> dict[str, np.ndarray]:
    patches, completed = evaluation.batch[IMAGE], evaluation.completed
    picture, unit = model.decode(completed), model.main.standardise
    content = evaluation.posterior["content"]
    drawn = evaluation.latents["content"]
    kl = content.kl_parts(NormalPrior()) if isinstance(content, Normal) else drawn[:, :0]
    seen = {
        "values": (patches.values - unit.offset) / unit.scale,
        "valid": patches.weight > 0,
        "weight": patches.weight * picture.support.unsqueeze(1),
        "residual": (patches.values - picture.mean) / unit.scale,
        "error": _errors(patches, picture),
        "content": drawn,
        "kl_content": kl,
    }
    if evaluation.class_log_probability is not None:
        seen["label"] = evaluation.class_log_probability.argmax(-1)
    if "angle" in completed:
        seen["angle"] = completed["angle"].squeeze(-1)
    return {name: _plain(value) for name, value in seen.items()}


def _errors(patches: Patches, picture: Picture) -> Tensor:
    """Root mean square difference of every patch and its reconstruction where the decoder describes it."""
    weight = patches.weight * picture.support.unsqueeze(1)
    squares = weight * (patches.values - picture.mean) ** 2
    return (squares.sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-9)).sqrt()


def _plain(value: Tensor) -> np.ndarray:
    return value.cpu().numpy()


def _n_numbers(own: Seen, model: VAE) -> int:
    """Numbers that describe a patch: content, components of the pose, and one for the class."""
    components = {"shift": 2}
    pose = sum(components.get(name, 1) for name in model.poses)
    return own.content.shape[1] + pose + ("class" in model.priors)


def _held_out_errors(own: Seen, other: Seen | None, *, n_numbers: int) -> dict[str, float | None]:
    """Errors on held-out sites: of the model, of the mean training patch, of principal components of the training sites."""
    if other is None:
        return {"error_held_out": None, "error_mean": None, "error_pca": None}
    from sklearn.decomposition import PCA

    shape = other.values.shape
    count = np.maximum(own.valid.sum(0), 1)
    mean = np.where(own.valid, own.values, 0).sum(0) / count
    rows, others = (
        np.where(seen.valid, seen.values - mean, 0).reshape(len(seen.values), -1)
        for seen in (own, other)
    )
    n_components = min(n_numbers, *rows.shape)
    pca = PCA(n_components, svd_solver="randomized", random_state=0).fit(rows)
    left = others - pca.inverse_transform(pca.transform(others))
    return {
        "error_held_out": other.error_of(other.residual),
        "error_mean": other.error_of(others.reshape(shape)),
        "error_pca": other.error_of(left.reshape(shape)),
    }


def _noise_ratio(model: VAE, other: Seen) -> float | None:
    """Mean square of residuals in units of the learned noise; none for other likelihoods than the Gaussian one."""
    generator = model.main.generator
    law = None if generator is None else generator.noise
    if not isinstance(law, Gaussian):
        return None
    sd = law.log_sd.detach().exp().cpu().numpy()
    return other.error_of(other.residual / sd) ** 2


def _classes(
    own: Seen,
    sites: np.ndarray,
    config: ModelConfig,
    n_asked: int,
    start: StartPatterns | None,
    *,
    labelled: bool,
) -> ClassSymptoms | None:
    """The numbers on the classes, if there are some."""
    if own.label is None:
        return None
    n_states = ClassPrior(config.n_classes).n_states
    sizes = np.bincount(own.label, minlength=n_states)
    described = neighbours.features(own.values, own.valid, _invariance(config))
    found = ClassSymptoms(
        sizes=tuple(sizes.tolist()),
        n_asked=max(n_asked, n_states),
        labelled=labelled,
        neighbours=neighbours.agreement(described, own.label),
    )
    if start is None:
        return found
    patterns = start.patterns[np.searchsorted(start.sites, sites)]
    between, pair = valleys.shallowest_between(patterns, own.label)
    inside, split = valleys.deepest_inside(patterns, own.label)
    return replace(
        found, between=between, pair=pair, inside=inside, split=split, continuum=start.continuum
    )


def _invariance(config: ModelConfig) -> neighbours.Invariance:
    poses = _poses(config)
    return neighbours.Invariance(turn="rotation" in poses, shift="shift" in poses)


def _poses(config: ModelConfig) -> tuple[str, ...]:
    """Poses of a model by their names in configurations."""
    return family_of(config.family).poses if config.poses is None else config.poses


def _position(own: Seen, config: ModelConfig) -> PositionSymptoms | None:
    """How content and classes follow the place of an object; none where the model infers the shift, or patches show no object."""
    values = np.where(own.valid, own.values, 0).mean(1)
    if "shift" in _poses(config) or min(values.shape[1:]) == 1:
        return None
    place = neighbours.centre_of_mass(values) - (np.array(values.shape[1:]) - 1) / 2
    if not neighbours.show_objects(values, np.all(own.valid, axis=1)):
        return None
    upright = place if own.angle is None else _turned_back(place, own.angle)
    numbers = np.column_stack((upright, np.hypot(*place.T)))
    return PositionSymptoms(
        spread=float(np.sqrt(place.var(0).mean())),
        side=min(values.shape[1:]),
        content=max(_r2(numbers, column) for column in own.content.T),
        classes=0.0 if own.label is None else _share_between(upright, own.label),
        remedy=_with_shift(config),
    )


def _turned_back(
    place: Float[np.ndarray, "site 2"], angle: Float[np.ndarray, " site"]
) -> Float[np.ndarray, "site 2"]:
    """Places relative to the upright pattern (`invae.models.geometry.pose.Rotation`)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(
        (cos * place[:, 0] + sin * place[:, 1], cos * place[:, 1] - sin * place[:, 0]), 1
    )


def _r2(numbers: Float[np.ndarray, "site number"], column: Float[np.ndarray, " site"]) -> float:
    """Share of the variance of a column that follows linearly from numbers."""
    design = np.column_stack((numbers, np.ones(len(numbers))))
    left = column - design @ np.linalg.lstsq(design, column, rcond=None)[0]
    return float(1 - left.var() / column.var()) if column.var() > 0 else 0.0


def _share_between(place: Float[np.ndarray, "site 2"], label: Int[np.ndarray, " site"]) -> float:
    """Share of the variance of places that lies between classes."""
    means = np.stack([place[label == k].mean(0) for k in np.unique(label)])
    within = place - means[np.searchsorted(np.unique(label), label)]
    total = place.var(0).sum()
    return float(1 - within.var(0).sum() / total) if total > 0 else 0.0


def _with_shift(config: ModelConfig) -> str:
    """The name of the family that infers the shift too."""
    own, poses = family_of(config.family), {*_poses(config), "shift"}
    return next(
        (
            name
            for name, other in families().items()
            if _matches(other, own) and {*other.poses} == poses
        ),
        "model.poses with shift",
    )


def _matches(other: object, own: Family) -> bool:
    """Whether a family has the same latent variables besides its poses."""
    options = ("classes", "target", "condition", "deterministic", "skip", "pose_inference")
    return all(getattr(other, name) == getattr(own, name) for name in options)
