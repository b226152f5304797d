"""What has been proposed and measured, in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NAN = float("nan")

INITIAL, ACQUISITION, CHECK, STAGNATION, ORDER = (
    "initial",
    "acquisition",
    "random check",
    "stagnation",
    "fixed order",
)
"""Why a site was proposed."""


@dataclass(frozen=True)
class Observation:
    """One measurement, and what was believed before it."""

    candidate: int
    valid: bool = True
    value: float = NAN
    """Target, where only numbers are measured."""
    sd: float = 0.0
    """Sd of the noise of the value, or of one channel of the spectrum; 0 if unknown."""
    spectrum: np.ndarray | None = None
    """(energy,)"""
    reason: str = "chosen by hand"
    target: str = ""
    """Target at the time of the proposal, to which `predicted`, `lower` and `upper` belong."""
    predicted: float = NAN
    lower: float = NAN
    """Lower end of the 90 % interval."""
    upper: float = NAN
    expected_gain: float = NAN
    """Expected improvement relative to the range of the measured values."""


def sites_of(history: Sequence[Observation]) -> np.ndarray:
    """Candidates in the order of their measurement."""
    return np.array([one.candidate for one in history], int)


LEAST_INSIDE = 0.8
"""Share of the measured values inside their 90 % intervals below which the intervals are too narrow."""


@dataclass(frozen=True)
class Calibration:
    """How often the 90 % intervals, as they were before the measurement, held the measured value."""

    all: float
    """Share of all predicted sites."""
    n_all: int
    checks: float
    """Share of the random sites: an honest test, because the values did not decide where they are."""
    n_checks: int


def calibration(history: Sequence[Observation], values: np.ndarray, target: str) -> Calibration:
    """Calibration of the predictions of one target.

    Args:
        history: Observations.
        values: Target of each; NaN where it is invalid.
        target: Name of the target.
    """
    lower, upper = (np.array([getattr(one, n) for one in history]) for n in ("lower", "upper"))
    same = np.array([one.target == target for one in history], bool)
    judged = same & np.isfinite(values) & np.isfinite(lower) & np.isfinite(upper)
    inside = (lower <= values) & (values <= upper)
    checks = judged & np.array([one.reason == CHECK for one in history], bool)

    def share(which: np.ndarray) -> float:
        return float(inside[which].mean()) if which.any() else NAN

    return Calibration(share(judged), int(judged.sum()), share(checks), int(checks.sum()))
