"""When a search ends, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from invae.active.history import LEAST_INSIDE, Calibration, Observation
from invae.config.search import SearchConfig

FEWEST_JUDGED = 20
"""Predictions that are compared with their measurement before an expected improvement is believed."""


@dataclass(frozen=True)
class Standing:
    """What a rule may use."""

    history: Sequence[Observation]
    allowed: np.ndarray
    """Candidates that may still be measured (site,)."""
    held: Calibration
    config: SearchConfig


Rule = Callable[[Standing], str]


def budget_is_used(at: Standing) -> str:
    """The number of measurements."""
    n, budget = len(at.history), at.config.budget
    return f"budget: {n} of {budget} measurements are made" if n >= budget else ""


def dose_is_used(at: Standing) -> str:
    """The dose of the whole search."""
    cost = at.config.cost
    total, used = cost.total_dose, cost.dose * len(at.history)
    if total is None or used + cost.dose <= total:
        return ""
    return f"dose: {used:g} of {total:g} is used, and one more measurement would exceed it"


def nothing_is_left(at: Standing) -> str:
    """Candidates that may be measured."""
    if at.allowed.any():
        return ""
    return "candidates: every site is measured, excluded or has its dose"


def nothing_is_gained(at: Standing) -> str:
    """Expected gain of the last proposals of the search; it counts only once enough intervals were compared, and held."""
    config, held = at.config, at.held
    if held.n_all < FEWEST_JUDGED or held.all < LEAST_INSIDE:
        return ""
    gains = [one.expected_gain for one in at.history][-config.patience :]
    small = [gain < config.least_gain for gain in gains]
    if len(gains) < config.patience or not all(small):
        return ""
    return (
        f"gain: the last {config.patience} proposals had an expected improvement below "
        f"{config.least_gain:.1%} of the range"
    )


RULES: tuple[Rule, ...] = (budget_is_used, dose_is_used, nothing_is_left, nothing_is_gained)


def reason_to_stop(at: Standing) -> str:
    """Why the search ends; empty while it goes on."""
    return next((why for rule in RULES if (why := rule(at))), "")
