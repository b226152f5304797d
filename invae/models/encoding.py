"""Encoding: posterior means of every site of a batch, their uncertainty and scores, as arrays by the names of `invae.latent_table`."""

import numpy as np
import torch
from torch import Tensor

from invae import dims
from invae.latent_table import row_of
from invae.models.batch import Patches
from invae.models.canvas import ShiftPosterior
from invae.models.evaluation import Evaluation, evaluate
from invae.models.generators import Picture
from invae.models.geometry.circle import AnglePosterior, WrappedNormal
from invae.models.latents import (
    Categorical,
    ClassPrior,
    GivenClass,
    Normal,
    PartlyKnown,
    Posterior,
    Relaxed,
)
from invae.models.pose_search.estimate import AngleEstimate, PoseEstimate
from invae.models.signals import Signals
from invae.models.vae import VAE


@torch.no_grad()
def encode_batch(model: VAE, batch: Signals) -> dict[str, np.ndarray]:
    """Posterior means of one batch, their uncertainty and scores, without random draws."""
    evaluation = evaluate(model, batch)
    values = {"content": evaluation.latents["content"]}
    content = evaluation.posterior["content"]
    if isinstance(content, Normal):
        values["content_sd"] = content.log_sd.exp()
    for name in model.poses:
        posterior = settled(evaluation.posterior[name])
        values |= _pose_values(name, posterior, model.main.geometry.half_side)
    values |= _class_values(model, evaluation) | _target_values(model, evaluation)
    terms = evaluation.terms
    values |= {"log_likelihood": terms.log_likelihood, "elbo": terms.elbo}
    values |= _reconstruction_errors(model, evaluation)
    hidden = evaluation.batch[model.names[0]].hidden if model.names[0] in evaluation.batch else None
    if hidden is not None:
        values["foreign_share"] = hidden.float().mean((1, 2, 3))
    return {name: _as_array(value) for name, value in values.items()}


def _as_array(value: Tensor) -> np.ndarray:
    whole = not value.is_floating_point()
    return value.cpu().numpy().astype(np.int32 if whole else np.float32)


def settled(posterior: Posterior) -> Posterior:
    """The posterior itself, or that given the most probable class."""
    return posterior.best if isinstance(posterior, GivenClass) else posterior


def _pose_values(name: str, posterior: Posterior, half_side: float) -> dict[str, Tensor]:
    match posterior:
        case AnglePosterior() | WrappedNormal() | AngleEstimate():
            return {name: posterior.angle, f"{name}_resultant": posterior.resultant}
        case ShiftPosterior():
            return {name: posterior.shift * half_side, f"{name}_sd": posterior.sd * half_side}
        case Normal():
            return _measured(name, posterior.mean, posterior.log_sd.exp(), half_side)
        case PoseEstimate():
            return _measured(name, posterior.value, posterior.sd, half_side)
        case _:
            raise AssertionError(f"no values of a {type(posterior).__name__}")


def _measured(name: str, value: Tensor, sd: Tensor, half_side: float) -> dict[str, Tensor]:
    """A pose and its sd in the units of the embedding."""
    row = row_of(name)
    if row.measure == "half side":
        value, sd = value * half_side, sd * half_side
    if row.dim is None:
        value, sd = value.squeeze(-1), sd.squeeze(-1)
    return {name: value.exp() if row.measure == "logarithm" else value, f"{name}_sd": sd}


def _class_values(model: VAE, evaluation: Evaluation) -> dict[str, Tensor]:
    """The most probable class and all probabilities, of every discrete latent."""
    posterior, prior = evaluation.posterior.get("class"), model.priors.get("class")
    if isinstance(posterior, Relaxed):
        posterior = posterior.settled
    if not isinstance(posterior, Categorical) or not isinstance(prior, ClassPrior):
        return {}
    values: dict[str, Tensor] = {}
    for index, name in enumerate(dims.class_names(len(prior.n_classes))):
        probability = posterior.marginal(index, prior)
        values |= {name: probability.argmax(-1), f"{name}_probability": probability}
    return values


def _target_values(model: VAE, evaluation: Evaluation) -> dict[str, Tensor]:
    posterior = evaluation.posterior.get("target")
    if not isinstance(posterior, PartlyKnown):
        return {}
    unit, value = model.standardise_target, posterior.inferred
    sd = value.log_sd.exp() * unit.scale
    return {"target": value.mean * unit.scale + unit.offset, "target_sd": sd}


def _reconstruction_errors(model: VAE, evaluation: Evaluation) -> dict[str, Tensor]:
    """Reconstruction errors of every explained signal of the batch; named after the signal if there are several."""
    names = [name for name in model.explained if name in evaluation.batch]
    return {
        "reconstruction_error" if len(model.names) == 1 else f"{name}.reconstruction_error": (
            _reconstruction_error(
                evaluation.batch[name], model.decode(evaluation.completed, signal=name)
            )
        )
        for name in names
    }


def _reconstruction_error(patches: Patches, picture: Picture) -> Tensor:
    weight = patches.weight * picture.support.unsqueeze(1)
    squares = weight * (patches.values - picture.mean) ** 2
    return (squares.sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-9)).sqrt()
