"""Thermal noise, pins that the amplitude does not show, and the true motion of walls."""

import numpy as np
import pytest
import xarray as xr

from invae.config import DomainsConfig
from invae.config.synthetic import FieldConfig
from invae.storage import store
from invae.synthetic import domains
from invae.synthetic.domains import applied_field, simulate, simulate_dataset
from invae.synthetic.landau import PIXEL, TIME_STEP, Ferroelectric, wall_speed
from invae.synthetic.sample import disc_distance
from invae.synthetic.wall_dynamics import Disorder

SIDE = 64
QUIET = {"scars": 0.0, "tip_loss": 0.0, "drift": 0.0}
EVEN = {
    "bias_sd": 0, "depolarization": 0, "nucleation": 0, "lamellae": {"enabled": False}, "pins": {"density": 0},
}  # fmt: skip


def small(**changes) -> DomainsConfig:
    return DomainsConfig.model_validate({"rows": SIDE, "columns": SIDE, "n_frames": 4, **changes})


def with_terms(p: np.ndarray, **terms) -> Ferroelectric:
    one, none = np.ones(p.shape), np.zeros(p.shape)
    return Ferroelectric(p.astype(np.float32), one, none, terms=Disorder(**terms))


def bump(depth: float) -> np.ndarray:
    distance = disc_distance((SIDE, SIDE), np.array([SIDE / 2, SIDE / 2]), 0.0)
    return (depth * np.exp(-((distance / 3) ** 2) / 2)).astype(np.float32)


@pytest.mark.parametrize("terms", [{"gradient": 1 + bump(-0.8)}, {"charge": bump(-0.8)}])
def test_a_hidden_pin_does_not_change_a_domain(terms):
    sample = with_terms(np.ones((SIDE, SIDE)), **terms)
    sample.run(200, field=lambda _: 0.0)
    np.testing.assert_allclose(sample.polarization, 1, atol=1e-4)


def stripe(centre: float) -> np.ndarray:
    rows = np.abs(np.arange(SIDE) - centre)
    return np.repeat(np.tanh((16 - rows) * PIXEL / np.sqrt(2))[:, None], SIDE, 1)


def wall_row(sample: Ferroelectric) -> float:
    """Lower wall of the stripe in the column of the pin [px]."""
    column = sample.polarization[:, SIDE // 2]
    last = int(np.flatnonzero(column > 0).max())
    return last + float(column[last] / (column[last] - column[last + 1]))


def test_a_place_with_a_smaller_gradient_coefficient_attracts_a_wall():
    free, pinned = (with_terms(stripe(14.0), gradient=1 + bump(depth)) for depth in (0.0, -0.8))
    for sample in (free, pinned):
        sample.run(400, field=lambda _: 0.0)
    assert wall_row(pinned) > wall_row(free) + 0.5


def test_a_charge_pushes_a_wall_by_its_sign():
    rows = []
    for depth in (-0.8, 0.0, 0.8):
        sample = with_terms(stripe(14.0), charge=bump(depth))
        sample.run(100, field=lambda _: 0.0)
        rows.append(wall_row(sample))
    assert rows[0] < rows[1] - 0.3
    assert rows[2] > rows[1] + 0.3


def test_thermal_noise_has_the_variance_of_its_temperature():
    noise = Disorder(temperature=0.02, noise=lambda frame: np.random.default_rng(frame))
    noise.begin(3)
    change = noise.change(np.zeros((202, 202), np.float32))
    assert change.std() == pytest.approx(np.sqrt(2 * 0.02 * TIME_STEP) / PIXEL, rel=0.02)


def test_a_warm_series_that_was_killed_goes_on_to_the_same_values(tmp_path, monkeypatch):
    monkeypatch.setattr(domains, "SHARD_BYTES", 2 * SIDE * SIDE * 4)
    config = small(sample={"temperature": 0.01, "pins": {"kind": "gradient"}})

    class Killed(BaseException): ...

    def kill(done: int, total: int) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        simulate(tmp_path / "series.zarr", config=config, seed=5, progress=kill)
    simulate(tmp_path / "series.zarr", config=config, seed=5)
    truth = store.open_store(tmp_path / "series.zarr", group="truth")
    xr.testing.assert_equal(truth, simulate_dataset(config, 5)[1])


def test_the_true_velocity_follows_the_law_of_a_free_wall():
    field = {"waveform": "constant", "amplitude": 0.1}
    sample = {"start": "stripes", "domain_size": 32, **EVEN}
    _, truth = simulate_dataset(small(field=field, sample=sample, probe=QUIET), 2)
    velocity = truth["wall_velocity"] + 8.16 * truth["wall_curvature"]
    expected = wall_speed(0.1, steps_per_frame=40)
    assert float(velocity.median()) == pytest.approx(expected, rel=0.05)


def test_switching_times_are_the_changes_of_sign_between_frames():
    probe = {**QUIET, "row_skew": False}
    _, truth = simulate_dataset(small(probe=probe, sample={"lamellae": {"enabled": False}}), 4)
    sign = truth["polarization"].to_numpy() > 0
    for frame in range(3):
        flipped = sign[frame] != sign[frame + 1]
        times = truth["switching_time"].to_numpy()[frame]
        assert np.isfinite(times[flipped]).mean() > 0.99
        assert np.nanmin(times) > frame
        assert np.nanmax(times) <= frame + 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"waveform": "staircase", "period": 8, "steps": 4}, [0.25, 0.25, 0.5, 0.5, 0.75, 1, 1, 1]),
        ({"waveform": "pulses", "period": 4, "duty": 0.25}, [1, 0, 0, 0, 1, 0, 0, 0]),
    ],
)
def test_staircases_and_pulses(settings, expected):
    config = FieldConfig.model_validate({"amplitude": 1.0, **settings})
    times = [0, 1, 2, 3, 4, 6, 7, 9] if "steps" in settings else range(8)
    assert [applied_field(config, float(time)) for time in times] == expected


def test_a_recording_has_the_field_if_asked():
    recording, truth = simulate_dataset(small(field={"recorded": True}), 1)
    np.testing.assert_array_equal(recording["applied_field"], truth["field"])
    assert "applied_field" not in simulate_dataset(small(), 1)[0]
