"""How walls move and where they stay, recovered from frames whose walls are known."""

import numpy as np
import pytest
import xarray as xr
from skimage.measure import find_contours

from invae import dims
from invae.analysis.domains.motion import FORWARD, REVERSE, evolution, residence, wall_motion
from invae.analysis.domains.scores import auc, truth_maps
from invae.config import AnalyseConfig, ComputeConfig, DomainsConfig
from invae.synthetic.domains import simulate_dataset
from invae.synthetic.landau import PIXEL, Ferroelectric
from invae.synthetic.sample import disc_distance
from invae.synthetic.zero_line import zero_line

SIDE = 64
Y, X = np.indices((SIDE, SIDE), dtype=float) - (SIDE - 1) / 2
CONFIG = AnalyseConfig()
COMPUTE = ComputeConfig(workers=1)
QUIET = {"scars": 0, "tip_loss": 0}
PERFECT = {
    "bias_sd": 0, "depolarization": 0, "nucleation": 0, "lamellae": {"enabled": False}, "pins": {"density": 0},
}  # fmt: skip


def maps_of(*distances: np.ndarray, drift=None) -> xr.Dataset:
    """Maps of soft domains, positive where the distance from their wall is."""
    p = np.tanh(np.stack(distances) / 2).astype(np.float32)
    return xr.Dataset(
        {
            "polarization": (dims.IMAGE, p),
            "wall": (dims.IMAGE, np.stack([zero_line(image) for image in p]).astype(np.uint8)),
            "valid": (dims.IMAGE, np.ones(p.shape, bool)),
            "drift": (("frame", "axis"), np.zeros((len(p), 2)) if drift is None else drift),
        }
    )


def contours_of(maps: xr.Dataset) -> xr.Dataset:
    """Sub-pixel wall points, as the describe stage keeps them."""
    points, frames = [], []
    for frame, image in enumerate(maps["polarization"].to_numpy()):
        for line in find_contours(image, 0.0):
            points.append(line)
            frames += [frame] * len(line)
    y, x = np.concatenate(points).T
    return xr.Dataset({"frame": ("point", frames), "y": ("point", y), "x": ("point", x)})


def velocities(maps: xr.Dataset, **config) -> xr.Dataset:
    frames = range(maps.sizes["frame"])
    return wall_motion(maps, contours_of(maps), frames=frames, config=AnalyseConfig(**config))


@pytest.mark.parametrize("step", [0.4, 3.0, -2.6])
@pytest.mark.parametrize("turned", [False, True])
def test_a_wall_that_advances_into_the_unswitched_side_has_a_positive_velocity(step, turned):
    across = Y if turned else X
    found = velocities(maps_of(5.2 - across, 5.2 + step - across))
    first = found["normal_velocity"].to_numpy()[found["frame"] == 0]
    np.testing.assert_allclose(first, step, atol=0.05)
    assert found["normal_velocity"][found["frame"] == 1].isnull().all()


def test_a_growing_disc_grows_everywhere_at_one_speed():
    found = velocities(maps_of(*(radius - np.hypot(Y, X) for radius in (12.0, 14.5))))
    first = found["normal_velocity"].to_numpy()[found["frame"] == 0]
    assert np.nanmedian(first) == pytest.approx(2.5, abs=0.1)
    assert np.nanstd(first) < 0.1


def test_the_other_field_makes_an_advance_a_retreat():
    maps = maps_of(-X, 2 - X)
    up, down = (velocities(maps, field=field) for field in ("positive", "negative"))
    assert float(up["normal_velocity"].median()) == pytest.approx(2, abs=0.05)
    assert float(down["normal_velocity"].median()) == pytest.approx(-2, abs=0.05)


def test_drift_is_no_motion():
    drift = np.array([[0.0, 0.0], [-2.4, 3.3]])
    still = maps_of(14 - np.hypot(Y, X), 14 - np.hypot(Y - 2.4, X + 3.3), drift=drift)
    assert np.abs(velocities(still)["normal_velocity"]).max() < 0.1
    assert not evolution(still, frames=[0, 1], config=CONFIG)["transition"].any()


def test_a_wall_that_vanishes_has_no_velocity():
    found = velocities(maps_of(5 - np.hypot(Y, X), X - 25))
    assert (found["frame"] == 0).any()
    assert found["normal_velocity"].isnull().all()


def test_a_wall_on_the_wrong_side_is_another_wall():
    """The area around the first wall has switched, so the wall went to the right; only one on the left is to be seen."""
    found = velocities(maps_of(-X, X + 9))
    assert found["normal_velocity"][found["frame"] == 0].isnull().all()


def test_walls_arrive_and_leave():
    maps = maps_of(-X, 6 - X)
    transition = evolution(maps, frames=[0, 1], config=CONFIG)["transition"].to_numpy()
    middle = transition[0, SIDE // 2]
    assert np.abs(X[0, middle == FORWARD] - 6).max() <= 1
    assert np.abs(X[0, middle == REVERSE] - 0).max() <= 1
    assert not transition[1].any()


def test_a_step_within_the_tolerance_is_no_transition():
    maps = maps_of(-X, 1.5 - X)
    assert not evolution(maps, frames=[0], config=CONFIG)["transition"].any()


def test_masked_pixels_have_no_transition():
    maps = maps_of(-X, 6 - X)
    maps["valid"][1, :20] = False
    transition = evolution(maps, frames=[0], config=CONFIG)["transition"].to_numpy()[0]
    assert not transition[:20].any()
    assert transition[21:].any()


def test_a_wall_that_rests_is_pinned_and_one_that_passes_is_not():
    """The left wall rests; the right one moves on by 3 px in each frame."""
    maps = maps_of(*(np.minimum(X + 20, 3 * k - X) for k in range(8)))
    found = residence(maps, config=CONFIG, compute=COMPUTE)
    row = found["residence"].to_numpy()[SIDE // 2]
    assert row[X[0] == -19.5] == 1
    assert row[(X[0] > 3) & (X[0] < 18)].max() < 0.5
    assert found["wall_frames"].to_numpy().max() == 8


def test_where_no_wall_was_near_nothing_is_known_about_pins():
    found = residence(maps_of(-X - 20, -X - 20), config=CONFIG, compute=COMPUTE)
    assert found["residence"].isnull().to_numpy()[:, X[0] > 0].all()
    assert (found["wall_frames"].to_numpy()[:, X[0] > 0] == 0).all()


def test_residence_is_drawn_on_the_first_frame():
    drift = np.array([[0.0, 0.0], [4.0, -6.0]])
    still = maps_of(10 - np.hypot(Y, X), 10 - np.hypot(Y + 4, X - 6), drift=drift)
    found = residence(still, config=CONFIG, compute=COMPUTE)["residence"].to_numpy()
    on_wall = np.abs(10 - np.hypot(Y, X)) < 0.5
    assert found[on_wall].min() == 1


def test_blocks_of_frames_do_not_change_what_is_pinned(monkeypatch):
    maps = maps_of(*(3 * k - X for k in range(7)))
    whole = residence(maps, config=CONFIG, compute=COMPUTE)
    monkeypatch.setattr("invae.analysis.domains.motion.FRAMES_PER_BLOCK", 2)
    xr.testing.assert_identical(residence(maps, config=CONFIG, compute=COMPUTE), whole)


def swept_over(pins: np.ndarray, *, side: int, field: float, period: int) -> xr.Dataset:
    """Two planar walls at a and three quarters of a sample, driven forth and back over pins (pin, axis) for 60 frames."""
    distance = side / 4 - np.abs(np.arange(side) - side / 2)
    stripe = np.tile(np.tanh(distance * PIXEL / np.sqrt(2)), (side, 1)).astype(np.float32)
    gaps = np.min([disc_distance((side, side), pin, 0.0) ** 2 for pin in pins], axis=0)
    sample = Ferroelectric(stripe, 1 - 0.9 * np.exp(-gaps / (2 * 3**2)), np.zeros_like(stripe))
    frames = []
    for frame in range(60):
        frames.append(sample.polarization.copy())
        sign = 1 if (frame + period // 4) % period < period // 2 else -1
        sample.run(40, field=lambda _, sign=sign: sign * field)
    return maps_of(*(2 * np.arctanh(np.clip(p, -0.999, 0.999)) for p in frames))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_walls_stay_at_the_true_pins(seed):
    """AUC of the map of where walls stay, at the pins that walls meet, over all that the walls sweep."""
    generator, side = np.random.default_rng(seed), 96
    middles = np.array([(y, x) for y in (24, 72) for x in (24, 72)])
    pins = middles + generator.uniform((-8, -4), (8, 4), (4, 2))
    maps = swept_over(pins, side=side, field=0.05, period=30)
    found = residence(maps, config=CONFIG, compute=COMPUTE)["residence"]
    y, x = np.indices((side, side))
    nearest = np.min([np.hypot(y - pin[0], x - pin[1]) for pin in pins], axis=0)
    assert auc(found.where(found > 0).to_numpy(), nearest <= 2) > 0.9


def test_the_speed_law_is_read_from_the_frames():
    """Slope of the median velocity over the field, drift and all, against 3/√2."""
    config = DomainsConfig.model_validate(
        {
            "rows": 96,
            "columns": 96,
            "n_frames": 24,
            "field": {"waveform": "sine", "amplitude": 0.15, "period": 16},
            "sample": {**PERFECT, "start": "stripes", "domain_size": 50},
            "probe": {**QUIET, "drift": 1.5, "row_skew": False},
        }
    )
    _, truth = simulate_dataset(config, 4)
    maps = truth_maps(truth)
    motion = wall_motion(maps, contours_of(maps), frames=range(23), config=CONFIG)
    speed = motion["normal_velocity"].groupby(motion["frame"]).median()
    field = truth["effective_field"].to_numpy()
    between = (field[:-1] + field[1:]) / 2
    slope, offset = np.polyfit(between, speed.to_numpy(), 1)
    assert slope == pytest.approx(truth.attrs["wall_speed_per_field"], rel=0.06)
    assert abs(offset) < 0.05
