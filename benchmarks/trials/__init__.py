"""The tasks of the scoreboard, in the order of its page."""

from benchmarks.trial import Trial
from benchmarks.trials import (
    active,
    cards,
    digits,
    domain_walls,
    drift,
    ensembles,
    fourd,
    others,
    others_pairs,
    pairs,
    shifts,
    sites,
    speed,
    spoiled_cards,
    vacancies,
    verdict,
    wall_motion,
    walls,
)

TRIALS: tuple[Trial, ...] = (
    *cards.TRIALS,
    *spoiled_cards.TRIALS,
    *digits.TRIALS,
    *shifts.TRIALS,
    *ensembles.TRIALS,
    *speed.TRIALS,
    *others.TRIALS,
    *fourd.TRIALS,
    *sites.TRIALS,
    *walls.TRIALS,
    *drift.TRIALS,
    *vacancies.TRIALS,
    *domain_walls.TRIALS,
    *pairs.TRIALS,
    *others_pairs.TRIALS,
    *active.TRIALS,
    *verdict.TRIALS,
    *wall_motion.TRIALS,
)
