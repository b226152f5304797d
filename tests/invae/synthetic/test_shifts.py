"""Shifted peaks: position and width are what a fit finds."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import curve_fit

from invae.config import ShiftsConfig
from invae.storage import store
from invae.synthetic.shifts import draw, simulate


def peak(axis, position, width):
    return np.exp(-((axis - position) ** 2) / (2 * width**2))


@pytest.mark.parametrize("seed", [0, 77])
def test_a_fit_finds_position_and_width(seed):
    drawn = draw(ShiftsConfig(n_signals=60, noise=(0.001, 0.02)), seed=seed)
    axis = np.linspace(-12, 12, 100)
    assert drawn["image"].shape == (60, 1, 100)
    for signal, position, width, sd in zip(
        drawn["image"].to_numpy()[:, 0], drawn["position"], drawn["width"], drawn["noise"],
        strict=True,
    ):  # fmt: skip
        (found, broad), _ = curve_fit(peak, axis, signal.astype(float), p0=(0, 2))
        assert found == pytest.approx(float(position), abs=0.03 + 4 * float(sd))
        assert abs(broad) == pytest.approx(float(width), abs=0.03 + 4 * float(sd))


@pytest.mark.parametrize("seed", [1, 9])
def test_factors_lie_where_they_are_said_to(seed):
    drawn = draw(ShiftsConfig(), seed=seed)
    steps = drawn["position"].to_numpy() / 0.1
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    assert np.unique(np.rint(steps)).tolist() == list(range(-30, 31))
    for name, (low, high) in {"width": (0.5, 5), "noise": (0.001, 0.1)}.items():
        values = drawn[name].to_numpy()
        assert low <= values.min() < low + 0.01 * high
        assert 0.99 * high < values.max() <= high
    assert abs(np.corrcoef(steps, drawn["width"])[0, 1]) < 0.06


def test_the_noise_of_a_signal_is_what_is_said():
    config = ShiftsConfig(n_signals=300, n_points=400)
    drawn = draw(config, seed=3)
    axis = np.linspace(-12, 12, 400)
    clean = peak(axis, drawn["position"].to_numpy()[:, None], drawn["width"].to_numpy()[:, None])
    sd = (drawn["image"].to_numpy()[:, 0] - clean).std(1) / drawn["noise"].to_numpy()
    assert sd.mean() == pytest.approx(1, abs=0.02)
    assert sd.std() < 0.06


def test_a_store_holds_what_the_set_in_memory_holds(tmp_path):
    config = ShiftsConfig(n_signals=50)
    simulate(tmp_path / "shifts.zarr", config=config, seed=5)
    expected = draw(config, seed=5)
    np.testing.assert_array_equal(
        store.open_store(tmp_path / "shifts.zarr")["image"], expected["image"]
    )
    truth = store.open_store(tmp_path / "shifts.zarr", group="truth")
    for name in ("position", "width", "noise"):
        np.testing.assert_array_equal(truth[name], expected[name])
        assert truth[name].attrs["units"] == "1"


def test_seeds_give_other_signals():
    one, other = (draw(ShiftsConfig(n_signals=20), seed=seed) for seed in (1, 2))
    for name in ("position", "width", "noise", "image"):
        assert not np.array_equal(one[name], other[name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": (5, 0.5)}, "width runs from 5 to 0.5"),
        ({"position": 13}, "position 13 must be within extent 12"),
    ],
)
def test_impossible_sets_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        ShiftsConfig(**change)
