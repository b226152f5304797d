"""What came of a search: map, path, best sites, calibration, verdict."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from invae import dims
from invae.active.proposals import FEWEST
from invae.active.search import Search
from invae.active.search_store import OBSERVATION, history_dataset
from invae.active.surrogates import BLIND
from invae.active.verdict import verdict_of
from invae.errors import InputError

ORDERS = 200
"""Random orders whose best value is averaged."""


def outcome(search: Search, why: str) -> Mapping[str, xr.Dataset]:
    """The groups of the result: candidates with the map (""), and `measured` in order.

    Args:
        search: With at least one measurement.
        why: Why it ended.

    Raises:
        InputError: Nothing was measured.
    """
    if not search.history:
        raise InputError("nothing was measured; there is nothing to report")
    measured = history_dataset(search)
    values = measured["measured"].to_numpy()
    places = search.candidates.places(np.arange(len(search.candidates)))
    centre = tuple(n // 2 for n in search.candidates.patches.shape[2:])
    shown = search.candidates.patches[:, 0, centre[0], centre[1]]
    sites = xr.Dataset(
        {"pixel": (dims.SITE, shown, dims.attrs("image at the site"))}, coords=places
    )
    if search.config.surrogate not in BLIND and np.isfinite(values).sum() >= FEWEST:
        sites = sites.assign(search.predict().data_vars)
        measured["random_best"] = (OBSERVATION, best_of_random(sites, values, search))
    measured["best"] = (OBSERVATION, best_so_far(values, search.config.direction))
    attrs = {
        "why_stopped": why,
        "learnable": search.learnable.sentence,
        "target": search.config.target,
        "units": search.target.units,
        "surrogate": search.config.surrogate,
        "direction": search.config.direction,
        "notes": [],
        **verdict_of(search).attrs(),
    }
    return {"": sites.assign_attrs(attrs), "measured": measured}


def best_so_far(values: np.ndarray, direction: str) -> np.ndarray:
    """Best value up to every measurement; NaN before the first valid one."""
    sign = 1.0 if direction == "largest" else -1.0
    best = np.maximum.accumulate(np.where(np.isfinite(values), sign * values, -np.inf))
    return np.where(np.isfinite(best), sign * best, np.nan)


def best_of_random(sites: xr.Dataset, values: np.ndarray, search: Search) -> np.ndarray:
    """Best value of random orders of sites, as the predicted map has it (observation,), mean over orders."""
    rng = np.random.default_rng([search.config.seed, 43])
    mean, sd = sites["mean"].to_numpy().copy(), sites["sd"].to_numpy().copy()
    known = np.array([one.candidate for one in search.history])[np.isfinite(values)]
    mean[known], sd[known] = values[np.isfinite(values)], 0.0
    n = len(values)
    runs = []
    for _ in range(ORDERS):
        chosen = rng.choice(len(mean), n, replace=False)
        drawn = mean[chosen] + sd[chosen] * rng.normal(size=n)
        runs.append(best_so_far(drawn, search.config.direction))
    return np.mean(runs, axis=0)
