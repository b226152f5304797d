"""Forces on walls, recovered where they are known."""

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage as ndi

from invae.analysis.domains.force_balance import TooFew, balance, density, held
from invae.analysis.domains.force_terms import Grid, drive
from invae.analysis.domains.scores import truth_maps
from invae.analysis.domains.uneven_amplitude import uneven_amplitude
from invae.analysis.domains.wall_steps import WallSteps, crossing, wall_steps
from invae.config import ComputeConfig, DomainsConfig
from invae.synthetic.domains import simulate_dataset

COMPUTE = ComputeConfig(workers=1)
SIDE, FRAMES, C = 96, 24, 8.0
ALONG = 300


def planted(rng: np.random.Generator, *, noise: float) -> tuple[WallSteps, np.ndarray, np.ndarray]:
    """Steps at random places that obey a balance with known b and e; the curvature of each frame has noise of its own."""
    frame = np.repeat(np.arange(FRAMES - 1), ALONG)
    n = len(frame)
    y, x = rng.uniform(0, SIDE, (2, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    bend = rng.normal(0, 0.05, n)
    field = 1.5 * ndi.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 8, mode="wrap")
    field = (field - field.mean()) * 1.5 / field.std()  # a uniform part is an offset of the force
    force = 2 * np.sin(2 * np.pi * np.arange(FRAMES) / 20)
    line = rng.uniform(0, 1, n)
    blank = WallSteps(frame, y, x, np.zeros((n, 2)), x * 0, bend, bend, line)
    velocity = drive(blank, n_frames=FRAMES) @ force - C * bend
    velocity += ndi.map_coordinates(field, [y, x], order=1) + rng.normal(0, 0.2, n)
    normal = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    seen, beside = (bend + rng.normal(0, noise, n) for _ in range(2))
    return WallSteps(frame, y, x, normal, velocity, seen, beside, line), field, force


def solved(steps: WallSteps, **more):
    settings = {"uneven": np.zeros(len(steps), bool), "shape": (SIDE, SIDE), "n_frames": FRAMES}
    return balance(steps, **{**settings, "margin": 4, "seed": 0, **more})


def test_planted_forces_are_recovered_although_the_curvature_is_noisy():
    steps, field, force = planted(np.random.default_rng(1), noise=0.05)
    found = solved(steps)
    assert float(found.tension.value) == pytest.approx(C, rel=0.1)
    assert float(found.tension.low) < C < float(found.tension.high)
    assert np.corrcoef(found.field.value.ravel(), field.ravel())[0, 1] > 0.9
    inside = (found.field.low < field) & (field < found.field.high)
    assert inside.mean() > 0.85
    np.testing.assert_allclose(found.drive.value[1:-1], force[1:-1], atol=0.35)


def test_least_squares_on_a_noisy_curvature_would_give_half_the_tension():
    steps, _, _ = planted(np.random.default_rng(1), noise=0.05)
    naive = -np.polyfit(steps.curvature, steps.velocity, 1)[0]
    assert naive < 0.65 * C


def test_the_wall_energy_is_left_out_where_it_predicts_nothing():
    steps, _, _ = planted(np.random.default_rng(2), noise=0.02)
    assert solved(steps).energy is None


def test_an_uneven_wall_energy_is_seen_where_walls_cross_it():
    rng = np.random.default_rng(3)
    steps, _, _ = planted(rng, noise=0.02)
    y, x = np.indices((SIDE, SIDE)) - SIDE / 2
    energy = -12 * np.exp(-(y**2 + x**2) / (2 * 8.0**2))
    slope = [ndi.map_coordinates(part, [steps.y, steps.x], order=1) for part in np.gradient(energy)]
    push = -(slope[0] * steps.normal[:, 0] + slope[1] * steps.normal[:, 1])
    pushed = WallSteps(**{**vars(steps), "velocity": steps.velocity + push})
    found = solved(pushed)
    assert found.energy is not None
    assert found.energy.high[SIDE // 2, SIDE // 2] < 0
    assert np.corrcoef(found.energy.value.ravel(), energy.ravel())[0, 1] > 0.8


def test_few_steps_give_a_reason():
    steps, _, _ = planted(np.random.default_rng(1), noise=0.05)
    with pytest.raises(TooFew, match="500"):
        solved(steps.where(np.arange(len(steps)) < 100))


def test_the_same_seed_gives_the_same_intervals():
    steps, _, _ = planted(np.random.default_rng(1), noise=0.05)
    one, other = (solved(steps) for _ in range(2))
    np.testing.assert_array_equal(one.field.low, other.field.low)


def test_a_wall_that_is_pushed_and_stays_is_held():
    steps, _, _ = planted(np.random.default_rng(1), noise=0.02)
    found = solved(steps)
    still = WallSteps(**{**vars(steps), "velocity": steps.velocity * 0})
    assert held(found, still).all()
    assert held(found, steps).mean() < 0.3


def test_density_counts_steps_in_a_square():
    steps, _, _ = planted(np.random.default_rng(1), noise=0.02)
    one = steps.where(np.arange(len(steps)) == 0)
    count = density(one, (SIDE, SIDE))
    assert count.sum() == 25
    assert count[int(np.rint(one.y[0])), int(np.rint(one.x[0]))] == 1


def test_a_map_is_read_between_its_nodes():
    grid = Grid((20, 30), 3)
    y, x = np.indices(grid.nodes)
    np.testing.assert_allclose(
        grid.image((2.0 * y + x).ravel()), (2 * np.indices((20, 30))[0] + np.indices((20, 30))[1]) / 3 + 3
    )  # fmt: skip


def tilted(shift: float) -> np.ndarray:
    rows, columns = np.indices((64, 64))
    return np.tanh((30 + shift - rows + 0.3 * columns) / 3)


def test_a_crossing_is_the_displacement_along_the_normal():
    normal = np.array([[1.0, -0.3]]) / np.hypot(1, 0.3)
    start = np.array([[30 + 0.3 * 32, 32.0]])
    moved = crossing(tilted(2.5), start, normal)
    assert moved[0] == pytest.approx(2.5 / np.hypot(1, 0.3), abs=0.02)


def test_no_wall_within_reach_is_unknown():
    assert np.isnan(crossing(tilted(20), np.array([[30 + 9.6, 32.0]]), np.array([[1.0, 0]]))).all()


@pytest.fixture(scope="module")
def scene() -> tuple[xr.Dataset, WallSteps]:
    """True maps of a scene without pins, in which walls obey the balance."""
    config = DomainsConfig.model_validate(
        {
            "n_frames": 24,
            "sample": {"pins": {"density": 0}, "lamellae": {"enabled": False}},
            "probe": {"scars": 0, "tip_loss": 0},
        }
    )
    _, truth = simulate_dataset(config, 6)
    return truth, wall_steps(truth_maps(truth), compute=COMPUTE)


def test_a_simulated_scene_gives_its_line_tension_field_and_force(scene):
    truth, steps = scene
    size = truth.sizes["y"]
    found = solved(steps, shape=(size, size), margin=16)
    assert float(found.tension.value) == pytest.approx(8.16, rel=0.15)
    seen = density(steps, (size, size)) >= 4
    bias = truth["bias"].to_numpy()
    assert np.corrcoef(found.field.value[seen], bias[seen])[0, 1] > 0.85
    field = truth["effective_field"].to_numpy()[1:-1]
    assert np.corrcoef(found.drive.value[1:-1], field)[0, 1] > 0.99
    assert np.polyfit(field, found.drive.value[1:-1], 1)[0] == pytest.approx(12.12, rel=0.08)


def test_steps_have_the_true_velocity_and_curvature(scene):
    truth, steps = scene
    first = steps.where(steps.frame == 3)
    rows, columns = (np.rint(v).astype(int) for v in (first.y, first.x))
    size = truth.sizes["y"]
    drift = truth["drift"].to_numpy()[3].round().astype(int)
    near = []
    for row, column, bend in zip(rows - drift[0], columns - drift[1], first.curvature, strict=True):
        if 2 <= row < size - 2 and 2 <= column < size - 2:
            part = truth["wall_curvature"].to_numpy()[3, row - 1 : row + 2, column - 1 : column + 2]
            if np.isfinite(part).any():
                near.append((bend, np.nanmedian(part)))
    measured, true = np.array(near).T
    assert len(near) > 200
    assert np.corrcoef(measured, true)[0, 1] > 0.7


def test_the_response_is_uneven_at_pins_and_lamellae():
    config = DomainsConfig.model_validate(
        {"n_frames": 12, "sample": {"pins": {"density": 20}}, "probe": {"drift": 0, "snr": 30}}
    )
    _, truth = simulate_dataset(config, 2)
    uneven = uneven_amplitude(truth_maps(truth), compute=COMPUTE)
    weak = np.asarray(ndi.maximum_filter(truth["well"].to_numpy() < 0.7, 5), bool)
    around = np.asarray(ndi.binary_dilation(weak, iterations=6), bool)
    assert np.median(uneven[weak]) > 3 * np.median(uneven[~around])


def test_points_keep_the_order_of_their_frames(scene):
    _, steps = scene
    assert (np.diff(steps.frame) >= 0).all()
    assert steps.frame.max() == 22
    np.testing.assert_allclose(np.hypot(*steps.normal.T), 1, rtol=1e-6)
