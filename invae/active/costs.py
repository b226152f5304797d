"""What a measurement costs: time with the way to it, dose, and the chance that it fails."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from invae.active.candidates import Candidates
from invae.config.search import CostConfig
from invae.regression.gaussian_process import distance, matern

FAILURES_KNOWN = 2.0
"""Measurements that the share of valid ones counts as, beside neighbours."""
REACH = 0.35
"""Length over which failures are alike, in units of the spread of what patches show."""


def seconds(
    candidates: Candidates, cost: CostConfig, last: int | None
) -> Float[np.ndarray, " site"]:
    """Time of a measurement at every candidate [s], with the way from the last one in the same frame."""
    if last is None or cost.travel == 0:
        return np.full(len(candidates), cost.seconds)
    way = np.linalg.norm(candidates.yx_travel - candidates.yx_travel[last], axis=1)
    return cost.seconds + cost.travel * way


def dosed(
    candidates: Candidates, cost: CostConfig, measured: Sequence[int]
) -> Bool[np.ndarray, " site"]:
    """Candidates where one more measurement would exceed the largest dose."""
    if cost.most_dose is None or not len(measured):
        return np.zeros(len(candidates), bool)
    at = np.asarray(measured)
    near = distance(candidates.yx, candidates.yx[at]) <= cost.dose_radius + 1e-9
    near &= candidates.frame[:, None] == candidates.frame[at]
    return cost.dose * (near.sum(1) + 1) > cost.most_dose + 1e-9


def valid_share(
    content: Float[np.ndarray, "site value"], measured: np.ndarray, valid: np.ndarray
) -> Float[np.ndarray, " site"]:
    """Probability that a measurement is valid, from those of patches that show the like.

    Source: failures modelled beside the target follow arXiv:2603.29135; here by a kernel average with the overall share as prior.
    """
    n = len(measured)
    rate = (valid.sum() + 1.0) / (n + 1.0)
    if n == 0 or valid.all():
        return np.ones(len(content))
    weight = matern(distance(content, content[measured]) / REACH)
    return (weight @ valid + FAILURES_KNOWN * rate) / (weight.sum(1) + FAILURES_KNOWN)
