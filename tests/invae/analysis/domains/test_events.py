"""Events of switching and the first switch, on frames whose changes are known."""

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage as ndi

from invae import dims
from invae.analysis.domains.applied_field import FIELD
from invae.analysis.domains.events import LEAST_AREA, switching_events
from invae.analysis.domains.scores import truth_maps
from invae.config import DomainsConfig
from invae.descriptors.domains.walls import WALL_NON180
from invae.synthetic.domains import simulate_dataset

SIDE = 64
Y, X = np.indices((SIDE, SIDE), dtype=float)
NO_SCAN = np.zeros((SIDE, SIDE))


def series(*distances: np.ndarray, field=None, lamella: int | None = None) -> xr.Dataset:
    p = np.tanh(np.stack(distances) / 1.5).astype(np.float32)
    wall = np.zeros(p.shape, np.uint8)
    if lamella is not None:
        wall[:, :, lamella] = WALL_NON180
    maps = xr.Dataset(
        {
            "polarization": (dims.IMAGE, p),
            "wall": (dims.IMAGE, wall),
            "valid": (dims.IMAGE, np.ones(p.shape, bool)),
            "drift": (("frame", "axis"), np.zeros((len(p), 2))),
        }
    )
    return maps if field is None else maps.assign({FIELD: ("frame", np.asarray(field, float))})


def disc(radius: float, y: float = 32, x: float = 32) -> np.ndarray:
    return radius - np.hypot(Y - y, X - x)


def table(maps: xr.Dataset) -> xr.Dataset:
    return switching_events(maps, scanned=NO_SCAN).events


def test_a_domain_that_appears_is_one_nucleation():
    far = np.full((SIDE, SIDE), -20.0)
    events = table(series(far, disc(8), disc(8)))
    assert events.sizes["event"] == 1
    row = events.isel(event=0)
    assert (int(row["frame"]), int(row["sign"]), bool(row["nucleation"])) == (0, 1, True)
    assert float(row["area"]) == pytest.approx(np.pi * 64, rel=0.12)
    assert (float(row["y"]), float(row["x"])) == (pytest.approx(32), pytest.approx(32))


def test_growth_over_three_steps_is_one_event_that_begins_at_the_wall():
    events = table(series(*(disc(r) for r in (8, 11, 14, 17))))
    assert events.sizes["event"] == 1
    assert int(events["duration"][0]) == 3
    assert not bool(events["nucleation"][0])


def test_separate_domains_are_separate_events_with_their_signs():
    first = np.maximum(disc(8, 16, 16), disc(8, 48, 48))
    later = np.maximum(disc(12, 16, 16), disc(4.5, 48, 48))
    events = table(series(first, later))
    assert sorted(events["sign"].to_numpy()) == [-1, 1]


def test_a_wall_that_goes_back_is_another_event():
    events = table(series(disc(8), disc(12), disc(12), disc(8)))
    assert events["sign"].to_numpy().tolist() == [1, -1]
    assert events["frame"].to_numpy().tolist() == [0, 2]


def test_a_trembling_wall_has_no_events():
    rng = np.random.default_rng(0)
    radii = 12 + 0.3 * rng.standard_normal(8)
    assert table(series(*(disc(r) for r in radii))).sizes["event"] == 0


def test_events_know_their_field_and_their_lamella():
    events = table(series(disc(8), disc(12), field=[0.7, 0.9], lamella=60))
    assert float(events[FIELD][0]) == 0.7
    assert float(events["lamella_distance"][0]) == pytest.approx(60 - 32 - 12, abs=2)


def test_small_specks_are_noise():
    far = np.full((SIDE, SIDE), -20.0)
    speck = far.copy()
    speck[30, 30] = 20.0
    assert LEAST_AREA > 1
    assert table(series(far, speck, far)).sizes["event"] == 0


def test_the_first_switch_and_the_coercive_field_of_a_steady_wall():
    walls = [10.0 + 4 * frame - X for frame in range(8)]
    found = switching_events(series(*walls, field=np.arange(8.0)), scanned=NO_SCAN).maps
    middle = found["first_switch"].to_numpy()[32]
    expected = (np.arange(14, 34) - 10) / 4
    np.testing.assert_allclose(middle[14:34], expected, atol=0.3)
    np.testing.assert_allclose(found["coercive_field"].to_numpy()[32, 14:34], expected, atol=0.3)
    assert np.isnan(middle[:8]).all()
    assert np.isnan(middle[50:]).all()


def test_first_switches_agree_with_the_simulated_ones():
    config = DomainsConfig.model_validate(
        {"n_frames": 12, "rows": 96, "columns": 96, "probe": {"scars": 0, "tip_loss": 0}}
    )
    _, truth = simulate_dataset(config, 5)
    scanned = (np.arange(96) / 96)[:, None] * np.ones(96)
    found = switching_events(truth_maps(truth), scanned=scanned).maps["first_switch"].to_numpy()
    times = truth["switching_time"].to_numpy()
    true = np.where(np.isfinite(times), times, np.inf).min(axis=0)
    both = np.isfinite(true) & np.isfinite(found)
    inner = ndi.binary_erosion(np.ones(both.shape, bool), iterations=16)
    assert both[inner].sum() > 0.7 * np.isfinite(true)[inner].sum()
    assert np.median(np.abs(found - true)[both]) < 0.35
