"""Terms of the loss beside the ELBO, by name. A new one is a row in `TERMS`, and its weight in the configuration."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from invae.config.objective import ObjectiveConfig
from invae.models.evaluation import Evaluation
from invae.models.latents import PartlyKnown
from invae.models.loss import Tally
from invae.models.pose_search.estimate import PoseEstimate


@dataclass(frozen=True)
class Term:
    """A term of the loss."""

    weight: Callable[[ObjectiveConfig], float]
    """Its factor in the loss; a term of weight 0 is not evaluated."""
    value: Callable[[Evaluation, tuple[int, ...]], Tally | None]
    """From an evaluation and the number of classes of every discrete latent variable; none where it is not defined."""
    needs: Literal["classes", "target"] | None = None
    """A model without it refuses the weight, which the configuration has under the name of the term."""


def _class_entropy(evaluation: Evaluation, n_classes: tuple[int, ...]) -> Tally | None:
    log_prob = evaluation.class_log_probability
    return None if log_prob is None else class_entropy(log_prob)


def _classification(evaluation: Evaluation, n_classes: tuple[int, ...]) -> Tally | None:
    """Labels are of the first discrete latent variable."""
    log_prob, labels = evaluation.class_log_probability, evaluation.batch.known.labels
    if log_prob is None or labels is None:
        return None
    n_first = n_classes[0] if n_classes else log_prob.shape[-1]
    first = log_prob.unflatten(-1, (n_first, -1)).logsumexp(-1)
    return cross_entropy(first, labels)


def _regression(evaluation: Evaluation, n_classes: tuple[int, ...]) -> Tally | None:
    target = evaluation.posterior.get("target")
    return surprise(target) if isinstance(target, PartlyKnown) else None


def _proposal(evaluation: Evaluation, n_classes: tuple[int, ...]) -> Tally | None:
    """Trains only the proposals of a pose search."""
    searched = [q for q in evaluation.posterior.values() if isinstance(q, PoseEstimate)]
    if not searched:
        return None
    nothing = torch.zeros_like(evaluation.terms.log_likelihood)
    return Tally.of(nothing + sum(q.surprise for q in searched))


TERMS: Mapping[str, Term] = {
    "class_entropy": Term(lambda config: -config.class_entropy, _class_entropy, needs="classes"),
    "classification": Term(
        lambda config: 1.0 if config.classification is None else config.classification,
        _classification,
        needs="classes",
    ),
    "regression": Term(
        lambda config: 1.0 if config.regression is None else config.regression,
        _regression,
        needs="target",
    ),
    "proposal": Term(lambda config: 1.0, _proposal),
}
"""By the names that the history has."""


def class_entropy(log_prob: Float[Tensor, "batch state"]) -> Tally:
    """Entropy of the mean probabilities over a batch [nats]: 0 if all patches are of one class."""
    n = len(log_prob)
    mean = log_prob.logsumexp(0) - math.log(n)
    return Tally(-n * (mean.exp() * mean).sum(), n)


def cross_entropy(log_prob: Float[Tensor, "batch class"], labels: Int[Tensor, " batch"]) -> Tally:
    """Minus the log probability of the label, of the patches that have one [nats]."""
    labelled = labels >= 0
    right = log_prob.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return Tally(-(labelled * right).sum(), labelled.sum())


def surprise(target: PartlyKnown) -> Tally:
    """Minus the log posterior density of the target, of the patches where one is known [nats]."""
    mean, log_sd, known = target.inferred.mean, target.inferred.log_sd, ~target.known.isnan()
    offset = (target.known.nan_to_num() - mean) * (-log_sd).exp()
    density = -0.5 * offset**2 - log_sd - 0.5 * math.log(2 * math.pi)
    return Tally(-(known * density).sum(), known.any(-1).sum())
