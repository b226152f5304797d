"""Whether a target can be learned at all: *no* is an answer, and is given before any map."""

from dataclasses import dataclass

import numpy as np

from invae.active.belief import Measured
from invae.active.pool_process import learn
from invae.active.surrogates import Pool

LEAST_EVIDENCE = 3.0
"""Log marginal likelihood over that of a constant with noise, below which nothing is learned [nats]: odds of 20 to 1."""
LEAST_REPEAT = 0.3
"""Correlation of two measurements of one site below which the target is noise."""
ENOUGH = 20
"""Valid measurements before anything is said."""


@dataclass(frozen=True)
class Learnable:
    """Whether the target follows from image and place."""

    known: bool | None
    """None: too few measurements."""
    sentence: str
    evidence: float
    """Log marginal likelihood over that of a constant with noise [nats]."""
    evidence_place: float
    """The same of the place alone."""


def learnable(pool: Pool, measured: Measured, repeat_r: float | None = None) -> Learnable:
    """Judge what the measurements say of the target.

    Args:
        pool: Candidates.
        measured: Valid measurements.
        repeat_r: Correlation of two measurements of the same sites, where there are any.
    """
    n = len(measured.data)
    nan = float("nan")
    if n < ENOUGH:
        return Learnable(None, f"not known: {n} valid measurements, {ENOUGH} are needed", nan, nan)
    if repeat_r is not None and repeat_r < LEAST_REPEAT:
        return Learnable(
            False,
            f"not learnable: repetitions of the measurement agree with r = {repeat_r:.2f} only",
            nan,
            nan,
        )
    if np.ptp(measured.data.values) == 0:
        return Learnable(False, "not learnable: all measured values are equal", nan, nan)
    place = learn((pool.place,), measured.data).evidence
    both = learn((pool.content, pool.place), measured.data).evidence
    odds = f"log evidence {both:.1f} over a constant with noise, {place:.1f} from the place alone"
    if both < LEAST_EVIDENCE:
        return Learnable(
            False,
            f"not learnable from this image: {n} measurements follow neither from what the patches show nor from the place ({odds}); "
            "measure everything, or choose another target",
            both,
            place,
        )
    if both < place + 1:
        return Learnable(
            True, f"learnable from the place, the image adds nothing ({odds})", both, place
        )
    return Learnable(True, f"learnable from the image ({odds})", both, place)
