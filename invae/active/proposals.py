"""The next sites: they follow from the seed, the number of measurements and the measurements alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from invae.active import costs
from invae.active.acquisitions import ACQUISITIONS, Situation, log_expected_improvement
from invae.active.belief import NORMAL_90, Belief, Measured
from invae.active.features import scaled
from invae.active.history import (
    ACQUISITION,
    CHECK,
    INITIAL,
    NAN,
    ORDER,
    STAGNATION,
    Observation,
    sites_of,
)
from invae.active.surrogates import BLIND, SURROGATES, Pool
from invae.errors import InputError
from invae.regression.gaussian_process import distance

FEWEST = 4
"""Valid measurements before anything is predicted."""
LEAST_VALID = 0.3
"""Chance of a valid measurement below which a site is left to the random checks."""
NEAR_WINDOWS = 2.0
FILLING = 256
"""Random candidates among which the one farthest from all measured ones is taken: the farthest of all is often an outlier."""


@dataclass(frozen=True)
class Proposal:
    """A site, and the prediction for it."""

    candidate: int
    reason: str
    mean: float = NAN
    sd: float = NAN
    """Of a measurement."""
    expected_gain: float = NAN


@dataclass(frozen=True)
class State:
    """Everything on which a proposal depends."""

    pool: Pool
    history: Sequence[Observation]
    measured: Measured
    """The valid measurements, with the target as it is maximised."""
    forbidden: np.ndarray
    """(site,): never proposed."""
    learned: dict[tuple[int, str], Any] = field(default_factory=dict)
    """Settings of the surrogate by the number of measurements they were learned from, and the target; they are kept, not changed."""

    def belief(self, measured: Measured) -> Belief:
        """What the surrogate believes after some measurements; settings are learned from time to time."""
        config = self.pool.config
        surrogate = SURROGATES[config.surrogate]
        n = n_learned(len(self.measured.data))
        key = (n, config.target)
        if key not in self.learned:
            self.learned.clear()
            self.learned[key] = surrogate.learn(self.pool, self.measured.first(n))
        return surrogate.believe(self.pool, self.learned[key], measured)


def n_learned(n: int) -> int:
    """Measurements from which settings are learned: all of a few, then the last multiple of a step."""
    if n < 20:
        return n
    step = 5 if n < 100 else 20 if n < 400 else 50
    return n - n % step


def propose(state: State, batch: int) -> list[Proposal]:
    """The next sites, the first of which is the best; fewer than asked for when candidates run out.

    Sites of a batch are chosen one after the other, as if those before had been measured with the value that is predicted.

    Raises:
        InputError: The target is constant.
    """
    proposals: list[Proposal] = []
    for slot in range(batch):
        allowed = _allowed(state, proposals)
        if not allowed.any():
            break
        proposals.append(_next(state, proposals, allowed, number=len(state.history) + slot))
    return proposals


def _allowed(state: State, proposals: Sequence[Proposal]) -> np.ndarray:
    taken = [*sites_of(state.history).tolist(), *(one.candidate for one in proposals)]
    return allowed_in(state.pool, taken, state.forbidden)


def allowed_in(pool: Pool, taken: Sequence[int], forbidden: np.ndarray) -> np.ndarray:
    """Candidates that may still be measured (site,)."""
    allowed = ~forbidden & ~costs.dosed(pool.candidates, pool.config.cost, taken)
    allowed[list(taken)] = False
    return allowed


def _next(
    state: State, proposals: Sequence[Proposal], allowed: np.ndarray, *, number: int
) -> Proposal:
    config = state.pool.config
    rng = np.random.default_rng([config.seed, 31, number])
    if config.surrogate in BLIND:
        return Proposal(_in_order(state, allowed), ORDER)
    values = state.measured.data.values
    if number < config.initial or len(values) < FEWEST:
        return Proposal(_filling(state, proposals, allowed, rng), INITIAL)
    if values.max() == values.min():
        raise InputError(
            f"all {len(values)} measured values of {config.target} are {values[0]:g}; choose another target or target_range"
        )
    measured = _supposed(state, proposals)
    belief = state.belief(measured)
    situation = Situation(
        belief, measured.data.sites, state.pool.plain, state.measured.spectra, config, rng
    )
    gain = _expected_gain(situation, values, allowed)
    if _is_check(number, config.random_share):
        site, reason = int(rng.choice(np.flatnonzero(allowed))), CHECK
    elif _stagnates(state, proposals):
        site, reason = _filling(state, proposals, allowed, rng), STAGNATION
    else:
        name = config.acquisition or SURROGATES[config.surrogate].acquisition
        score = ACQUISITIONS[name](situation) + _log_worth(state, proposals, allowed)
        site, reason = int(np.where(allowed, score, -np.inf).argmax()), ACQUISITION
    return Proposal(
        site, reason, float(belief.mean[site]), float(belief.sd_of_measurement[site]), gain
    )


def _supposed(state: State, proposals: Sequence[Proposal]) -> Measured:
    """The measurements, and the sites of the batch with their predicted values."""
    new = [one for one in proposals if np.isfinite(one.mean)]
    if not new:
        return state.measured
    sites = np.array([one.candidate for one in new])
    return state.measured.with_values(sites, np.array([one.mean for one in new]))


def _log_worth(state: State, proposals: Sequence[Proposal], allowed: np.ndarray) -> np.ndarray:
    """Logarithm of the chance of a valid measurement per second; −∞ where it is small, if there are other sites."""
    pool = state.pool
    sites = [*sites_of(state.history), *(one.candidate for one in proposals)]
    time = costs.seconds(pool.candidates, pool.config.cost, sites[-1] if sites else None)
    valid = np.array([one.valid for one in state.history], float)
    chance = costs.valid_share(pool.plain, sites_of(state.history), valid)
    likely = chance >= LEAST_VALID
    # A large gain that is not reached would else be tried again and again.
    worth = np.log(np.maximum(chance, 1e-12)) - np.log(time)
    return np.where(likely, worth, -np.inf) if (likely & allowed).any() else worth


def _expected_gain(situation: Situation, values: np.ndarray, allowed: np.ndarray) -> float:
    """Largest expected improvement, relative to the range of the values."""
    log_gain = log_expected_improvement(situation)[allowed].max()
    return float(np.exp(log_gain) / (values.max() - values.min()))


def _is_check(number: int, share: float) -> bool:
    """Whether a proposal is a random one; they are evenly spread."""
    return int((number + 1) * share) > int(number * share)


def _stagnates(state: State, proposals: Sequence[Proposal]) -> bool:
    """Whether the last proposals of the acquisition all lie within two windows."""
    config, candidates = state.pool.config, state.pool.candidates
    made: list[tuple[int, str]] = [(one.candidate, one.reason) for one in state.history]
    made += [(one.candidate, one.reason) for one in proposals]
    last = [pair for pair in made if pair[1] != CHECK][-config.stagnation :]
    if len(last) < config.stagnation or any(reason != ACQUISITION for _, reason in last):
        return False
    sites = np.array([site for site, _ in last])
    if len(np.unique(candidates.frame[sites])) > 1:
        return False
    window = config.window or candidates.window
    return bool(np.ptp(candidates.yx[sites], axis=0).max() <= NEAR_WINDOWS * window)


def _filling(
    state: State, proposals: Sequence[Proposal], allowed: np.ndarray, rng: np.random.Generator
) -> int:
    """Of some random candidates the one farthest from all measured ones, in content and place."""
    open_sites = np.flatnonzero(allowed)
    some = rng.choice(open_sites, min(FILLING, len(open_sites)), replace=False)
    taken = [*sites_of(state.history), *(one.candidate for one in proposals)]
    if not taken:
        return int(some[0])
    pool = state.pool
    values = np.hstack([scaled(pool.plain), scaled(pool.place.variants[0])])
    return int(some[distance(values[some], values[taken]).min(1).argmax()])


def _in_order(state: State, allowed: np.ndarray) -> int:
    """The next site of a random or raster order."""
    order = ORDERS[state.pool.config.surrogate](state.pool)
    return int(order[allowed[order].argmax()])


def _random_order(pool: Pool) -> np.ndarray:
    return np.random.default_rng([pool.config.seed, 37]).permutation(len(pool.candidates))


def _raster_order(pool: Pool) -> np.ndarray:
    """Row by row, from a random site."""
    candidates = pool.candidates
    order = np.lexsort((candidates.yx[:, 1], candidates.yx[:, 0], candidates.frame))
    start = int(np.random.default_rng([pool.config.seed, 37]).integers(len(order)))
    return np.roll(order, -start)


ORDERS: dict[str, Callable[[Pool], np.ndarray]] = {
    "random": _random_order,
    "raster": _raster_order,
}


def interval(proposal: Proposal) -> tuple[float, float]:
    """Ends of the 90 % interval of a measurement."""
    half = NORMAL_90 * proposal.sd
    return proposal.mean - half, proposal.mean + half
