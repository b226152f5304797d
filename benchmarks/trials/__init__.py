"""The tasks of the scoreboard, in the order of its page."""

from benchmarks.trial import Trial
from benchmarks.trials import cards, digits, ensembles, fourd, others, shifts, speed

TRIALS: tuple[Trial, ...] = (
    *cards.TRIALS,
    *digits.TRIALS,
    *shifts.TRIALS,
    *ensembles.TRIALS,
    *speed.TRIALS,
    *others.TRIALS,
    *fourd.TRIALS,
)
