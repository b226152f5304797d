"""`Search`: what it proposes, what it depends on, when it ends."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import invae
from invae.active import Search
from invae.active.history import ACQUISITION, CHECK, INITIAL, STAGNATION, Calibration
from invae.active.proposals import n_learned
from invae.active.stopping import Standing, reason_to_stop
from invae.active.surrogates import SURROGATES, Foreknowledge
from invae.errors import ConfigError, InputError
from invae.regression.measures import Axis
from tests.invae.active.conftest import make_pool, order, run

WITHOUT_MODEL = [name for name in SURROGATES if name not in ("transfer", "dkl", "ensemble")]


def test_the_search_is_part_of_the_library():
    assert invae.active.Search is Search


def share_of_the_top(search, target, top=0.05):
    best = set(np.argsort(-target)[: round(top * len(target))].tolist())
    return len(best & set(order(search))) / len(best)


def test_a_search_finds_what_random_sites_do_not(pool):
    found = share_of_the_top(run(pool.search(), pool.target), pool.target)
    random = share_of_the_top(run(pool.search(surrogate="random"), pool.target), pool.target)
    assert found > 0.6 > random


def test_small_values_are_found_if_they_are_looked_for(pool):
    search = run(pool.search(direction="smallest"), pool.target)
    assert share_of_the_top(search, -pool.target) > 0.6


@pytest.mark.parametrize("surrogate", WITHOUT_MODEL)
def test_equal_seeds_and_measurements_give_equal_proposals(pool, surrogate):
    one, other = (
        order(run(pool.search(surrogate=surrogate, seed=3), pool.target)) for _ in range(2)
    )
    assert one == other
    assert len(set(one)) == 30


def test_another_seed_proposes_other_sites(pool):
    one, other = (order(run(pool.search(seed=s), pool.target, most=5)) for s in (0, 1))
    assert one != other


def test_a_proposal_asked_twice_is_the_same(pool):
    search = run(pool.search(acquisition="thompson"), pool.target, most=12)
    xr.testing.assert_identical(search.suggest(3), search.suggest(3))


@pytest.mark.parametrize("most", [1, 9, 23])
@pytest.mark.parametrize("options", [{}, {"acquisition": "thompson"}, {"scale": "arcsinh"}])
def test_a_resumed_search_proposes_what_the_undisturbed_one_does(pool, tmp_path, most, options):
    undisturbed = run(pool.search(**options), pool.target)
    run(pool.search(**options), pool.target, most=most).save(tmp_path / "search.zarr")
    resumed = run(Search.resume(tmp_path / "search.zarr"), pool.target)
    assert order(resumed) == order(undisturbed)
    np.testing.assert_array_equal(resumed.predict()["mean"], undisturbed.predict()["mean"])


def test_a_batch_has_no_site_twice_and_is_spread(pool):
    search = run(pool.search(), pool.target, most=12)
    sites = search.suggest(6)["candidate"].to_numpy()
    assert len(set(sites.tolist())) == 6
    assert not set(sites.tolist()) & set(order(search))


def test_a_batch_begins_with_the_single_proposal(pool):
    search = run(pool.search(), pool.target, most=12)
    assert int(search.suggest(1)["candidate"][0]) == int(search.suggest(4)["candidate"][0])


def test_every_twentieth_site_is_random(pool):
    search = run(pool.search(budget=60), pool.target)
    assert [k for k, one in enumerate(search.history) if one.reason == CHECK] == [19, 39, 59]


def test_the_first_sites_fill_the_space(pool):
    search = run(pool.search(initial=8), pool.target, most=9)
    assert [one.reason for one in search.history] == [INITIAL] * 8 + [ACQUISITION]


def test_after_ten_near_proposals_a_far_one_is_made(pool):
    search = run(pool.search(window=1000.0, random_share=0.0), pool.target)
    assert [one.reason for one in search.history][16] == STAGNATION
    assert search.history[17].reason == ACQUISITION


def test_intervals_before_the_measurement_hold_most_values():
    shares = []
    for seed in range(3):
        pool = make_pool(seed)
        noisy = pool.target + 0.3 * np.random.default_rng(seed).normal(size=len(pool.target))
        search = run(pool.search(budget=60, acquisition="variance", seed=seed), noisy)
        shares.append(search.calibration.all)
    assert np.mean(shares) > 0.8


def test_a_forbidden_area_is_never_proposed(pool):
    search = pool.search()
    inside = search.exclude((0, 7), (0, 15))
    assert inside == 8 * 16
    run(search, pool.target)
    assert min(pool.given["y"][order(search)]) > 7


def test_travel_costs_make_the_way_shorter(pool):
    def way(travel):
        search = run(pool.search(cost={"travel": travel}), pool.target)
        places = np.stack([pool.given[name][order(search)] for name in "yx"], 1)
        return np.linalg.norm(np.diff(places, axis=0), axis=1)[6:].sum()

    assert way(5.0) < 0.7 * way(0.0)


def test_no_place_gets_more_than_its_dose(pool):
    search = run(pool.search(cost={"dose_radius": 2.0, "most_dose": 1.0}), pool.target)
    places = np.stack([pool.given[name][order(search)] for name in "yx"], 1).astype(float)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(len(places), 1)]
    assert apart.min() > 2.0


def test_the_dose_ends_the_search(pool):
    search = run(pool.search(cost={"total_dose": 12.0}), pool.target)
    assert len(search.history) == 12
    assert search.stop.startswith("dose: 12 of 12")


def test_sites_that_fail_are_avoided(pool):
    bad = pool.target > np.percentile(pool.target, 80)
    search = pool.search(budget=60)
    while not search.stop:
        sites = search.suggest()
        chosen = sites["candidate"].to_numpy()
        search.observe(sites, values=pool.target[chosen], valid=~bad[chosen])
    failed = [not one.valid for one in search.history]
    assert sum(failed[:30]) > 0
    assert np.mean(failed[40:]) <= 0.3, "a fifth of the sites fail; without the model it was 0.8"


def test_a_search_without_gain_ends(pool):
    search = run(pool.search(least_gain=0.05, budget=200), pool.target)
    assert search.stop.startswith("gain: ")
    left = pool.target.max() - search.values()[0].max()
    assert left <= 0.05 * np.ptp(pool.target), "the remaining gain is below the limit"


def test_intervals_that_do_not_hold_end_no_search(pool):
    history = run(pool.search(least_gain=0, budget=30), pool.target).history
    small = [replace(one, expected_gain=1e-6) for one in history]
    config, allowed = pool.search(least_gain=0.05, budget=200).config, np.ones(9, bool)

    def why(held: float, n: int) -> str:
        calibration = Calibration(held, n, held, 2)
        return reason_to_stop(Standing(small, allowed, calibration, config))

    assert why(0.9, 25).startswith("gain: ")
    assert why(0.7, 25) == ""
    assert why(0.9, 10) == ""


def test_the_pool_may_be_exhausted():
    given = {name: values[:12] for name, values in make_pool().given.items()}
    search = run(Search(given, budget=90, least_gain=0), make_pool().target[:12])
    assert len(search.history) == 12
    assert search.stop.startswith("candidates: ")
    assert search.suggest().sizes["site"] == 0


def test_a_model_of_other_specimens_leads_to_the_maximum_at_once(pool):
    spectra = np.stack([pool.target, 2 * pool.target], 1)
    known = Foreknowledge(spectra, None, Axis("energy", np.arange(2.0), "1", "1"))
    search = pool.search(surrogate="transfer", model=known, budget=14)
    while not search.stop:
        sites = search.suggest()
        search.observe(sites, spectra[sites["candidate"]])
    assert share_of_the_top(search, pool.target, top=0.02) > 0.9


def test_the_target_may_change_midway(pool):
    spectra = np.stack([pool.target, pool.target[::-1]], 1)
    search = pool.search(surrogate="ensemble", target="height", budget=40, initial=6)
    while len(search.history) < 20:
        sites = search.suggest()
        search.observe(sites, spectra[sites["candidate"]])
    search.retarget("offset")
    assert search.values()[0][0] == pytest.approx(spectra[order(search)[0]].mean())
    sites = search.suggest()
    assert float(sites["lower"][0]) < float(sites["predicted"][0]) < float(sites["upper"][0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surrogate": "forest"}, "surrogate: "),
        ({"surrogate": "transfer"}, "surrogate transfer needs model="),
        ({"budgett": 3}, "budgett: Extra inputs"),
        ({"initial": 40}, "initial is 40, budget 30"),
        ({"target_range": (2, 1)}, "give the smaller value first"),
    ],
)
def test_wrong_options_are_named(pool, options, message):
    with pytest.raises(ConfigError, match=message):
        pool.search(**options)


def test_an_unknown_target_is_named(pool):
    search = pool.search(target="bandd")
    search.observe(search.suggest(), np.ones((1, 4)))
    with pytest.raises(ConfigError, match="'bandd' is no scalariser"):
        search.suggest()


def test_a_constant_target_is_refused(pool):
    search = pool.search()
    with pytest.raises(InputError, match=r"all 6 measured values of band are 2"):
        run(search, np.full(len(pool.target), 2.0))


def test_other_axes_are_refused(pool):
    search = pool.search()
    sites = search.suggest(3)

    def spectra(scale, units):
        axis = ("energy", scale * np.linspace(0.5, 1, 8), {"units": units})
        return xr.DataArray(np.ones((1, 8)), dims=("site", "energy"), coords={"energy": axis})

    search.observe(sites.isel(site=[0]), spectra(1.0, "eV"))
    with pytest.raises(InputError, match=r"over energy \[meV\], earlier ones over energy \[eV\]"):
        search.observe(sites.isel(site=[1]), spectra(1000.0, "meV"))
    with pytest.raises(
        InputError, match=r"8 channels from 1 to 2 eV, earlier ones 8 from 0\.5 to 1"
    ):
        search.observe(sites.isel(site=[1]), spectra(2.0, "eV"))
    assert len(search.history) == 1


def test_an_instrument_that_answers_another_site_is_refused(pool):
    search = pool.search()
    sites = search.suggest(2)
    spectra = (("site", "energy"), np.ones((2, 4)))
    answer = xr.Dataset({"spectrum": spectra}, coords={"candidate": ("site", [1, 2])})
    with pytest.raises(InputError, match=r"answers candidate \[1, 2\] instead of"):
        search.observe(sites, answer)
    assert not search.history


def test_a_site_is_not_measured_twice(pool):
    search = pool.search()
    sites = search.suggest()
    search.observe(sites, values=[1.0])
    with pytest.raises(InputError, match="is measured twice"):
        search.observe(sites, values=[1.0])


def test_values_that_are_not_finite_are_invalid(pool):
    search = pool.search()
    search.observe(search.suggest(2), values=[np.nan, 1.0])
    assert [one.valid for one in search.history] == [False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.ones((256, 10, 10))}, "all patches are constant"),
        ({"y": np.full(256, np.nan)}, "256 candidates have a patch or place that is not finite"),
        ({"x": None}, "candidates have no x"),
    ],
)
def test_unusable_candidates_are_refused(pool, change, message):
    given = {k: v for k, v in {**pool.given, **change}.items() if v is not None}
    with pytest.raises(InputError, match=message):
        Search(given)


def test_settings_are_learned_from_the_same_measurements_after_a_resume():
    assert [n_learned(n) for n in (7, 19, 23, 25, 99, 131, 457)] == [7, 19, 20, 25, 95, 120, 450]
