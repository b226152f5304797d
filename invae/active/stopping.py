"""When a search ends, and why."""

from collections.abc import Callable, Sequence

import numpy as np

from invae.active.history import Observation
from invae.config.search import SearchConfig

Rule = Callable[[Sequence[Observation], np.ndarray, SearchConfig], str]


def budget_is_used(
    history: Sequence[Observation], allowed: np.ndarray, config: SearchConfig
) -> str:
    """The number of measurements."""
    if len(history) < config.budget:
        return ""
    return f"budget: {len(history)} of {config.budget} measurements are made"


def dose_is_used(history: Sequence[Observation], allowed: np.ndarray, config: SearchConfig) -> str:
    """The dose of the whole search."""
    total, used = config.cost.total_dose, config.cost.dose * len(history)
    if total is None or used + config.cost.dose <= total:
        return ""
    return f"dose: {used:g} of {total:g} is used, and one more measurement would exceed it"


def nothing_is_left(
    history: Sequence[Observation], allowed: np.ndarray, config: SearchConfig
) -> str:
    """Candidates that may be measured."""
    if allowed.any():
        return ""
    return "candidates: every site is measured, excluded or has its dose"


def nothing_is_gained(
    history: Sequence[Observation], allowed: np.ndarray, config: SearchConfig
) -> str:
    """Expected gain of the last proposals of the search."""
    gains = [one.expected_gain for one in history][-config.patience :]
    small = [gain < config.least_gain for gain in gains]
    if len(gains) < config.patience or not all(small):
        return ""
    return (
        f"gain: the last {config.patience} proposals had an expected improvement below "
        f"{config.least_gain:.1%} of the range"
    )


RULES: tuple[Rule, ...] = (budget_is_used, dose_is_used, nothing_is_left, nothing_is_gained)


def reason_to_stop(
    history: Sequence[Observation], allowed: np.ndarray, config: SearchConfig
) -> str:
    """Why the search ends; empty while it goes on."""
    return next((why for rule in RULES if (why := rule(history, allowed, config))), "")
