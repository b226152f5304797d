"""The networks that mark domain walls: what does not matter to them, and how they are trained, calibrated and kept."""

import json

import numpy as np
import pytest
import torch

from invae.config.segment import WallNetworkConfig, WallVarietyConfig
from invae.segmentation.network_folder import SHIPPED
from invae.segmentation.train import train_members
from invae.segmentation.wall_calibration import calibration_error, near_wall
from invae.segmentation.wall_finder import WallNetworks, calibrate, load_walls, mark_walls
from invae.segmentation.wall_images import MARKS, batch_of_walls, marks, standardise
from invae.synthetic.wall_frames import draw

TINY = {
    "width": 4, "fine_width": 2, "n_steps": 2, "batch_size": 2, "n_members": 2, "images": {"size": 32},
}  # fmt: skip


def frame(number: int, *, snr: float = 10.0, **changes: object):
    config = WallVarietyConfig.model_validate({"size": 96, **changes})
    return draw(config, seed=99, number=number, snr=snr)


def test_frames_follow_from_seed_and_number_and_are_as_varied_as_the_shares():
    config = WallVarietyConfig()
    drawn = [draw(config, seed=3, number=number) for number in range(40)]
    np.testing.assert_array_equal(draw(config, seed=3, number=7).response, drawn[7].response)
    assert not np.array_equal(draw(config, seed=4, number=7).response, drawn[7].response)
    assert 0.3 < np.mean([one.lamella.any() for one in drawn]) < 0.9
    assert 0.1 < np.mean([not one.valid.all() for one in drawn]) < 0.8
    assert np.mean([one.wall.any() for one in drawn]) > 0.7


def test_walls_lie_where_the_polarity_changes_and_edges_where_lamellae_end():
    for number in range(12):
        one = frame(number)
        changes = one.up[:, 1:] != one.up[:, :-1]
        assert (one.wall[:, 1:] | one.wall[:, :-1])[changes].all()
        ends = one.lamella[:, 1:] != one.lamella[:, :-1]
        near = one.edge[:, 1:] | one.edge[:, :-1]
        assert not ends.any() or near[ends].mean() > 0.7


def test_the_response_is_plus_one_in_upper_domains_of_a_clean_frame():
    clean = {
        "lamellae": 0,
        "grains": 0,
        "dust": 0,
        "faults": 0,
        "background": 0,
        "tip_sd": (0.3, 0.4),
    }
    one = frame(2, snr=50.0, **clean)
    inner = ~near_wall(one)
    assert np.corrcoef(np.real(one.response)[inner], one.up[inner])[0, 1] > 0.9


def test_lines_that_were_not_recorded_have_no_weight():
    config = WallNetworkConfig.model_validate({"images": {"faults": 1.0, "size": 64}})
    batch = batch_of_walls(config, range(8))
    frames = [draw(config.images, seed=config.seed, number=number) for number in range(8)]
    assert batch.weights is not None
    for weights, one in zip(batch.weights, frames, strict=True):
        assert ((weights[:, :, 0] > 0).all(dim=0).numpy() == one.valid).all()
    assert any(not one.valid.all() for one in frames)
    assert batch.marks.shape == (8, len(MARKS), 64, 64)


def test_a_mark_is_one_on_the_wall_and_falls_as_a_gaussian():
    one = frame(0)
    wall = marks(one, sd=1.0)[0]
    assert (wall[one.wall] == 1).all()
    assert np.isclose(wall, np.exp(-0.5)).any()
    assert wall.min() >= 0


@pytest.mark.parametrize("unit", [1e-10, 1e4])
def test_the_unit_of_the_amplitude_does_not_matter(unit: float):
    one = frame(1)
    valid = np.ones(one.wall.shape, bool)
    plain, scaled = (mark_walls(one.response * u, valid) for u in (1, unit))
    np.testing.assert_allclose(scaled.wall, plain.wall, atol=1e-3)
    assert plain.wall.max() > 0.3


def test_which_polarization_is_called_up_does_not_matter():
    one = frame(1)
    valid = np.ones(one.wall.shape, bool)
    plain, turned = mark_walls(one.response, valid), mark_walls(-one.response, valid)
    np.testing.assert_allclose(turned.wall, plain.wall, atol=1e-5)
    np.testing.assert_allclose(turned.up, 1 - plain.up, atol=1e-5)


def test_invalid_pixels_have_no_probability_and_no_influence_on_the_scale():
    one = frame(1)
    valid = np.ones(one.wall.shape, bool)
    valid[20:30] = False
    spoiled = one.response.copy()
    spoiled[20:30] = np.nan
    marked = mark_walls(spoiled, valid)
    assert (marked.wall[20:30] == 0).all()
    assert np.isfinite(marked.wall).all()
    spoiled[20:30] = 1e9
    np.testing.assert_array_equal(standardise(spoiled, valid), standardise(one.response, valid))
    assert (mark_walls(spoiled, ~valid & valid).lamella == 0).all()


@pytest.mark.parametrize("shape", [(70, 133), (96, 40)])
def test_tiles_give_what_the_whole_gives(shape: tuple[int, int]):
    rng = np.random.default_rng(3)
    response = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    valid = np.ones(shape, bool)
    whole = mark_walls(response, valid, tile=256)
    assert whole.wall.shape == shape
    np.testing.assert_allclose(mark_walls(response, valid, tile=64).wall, whole.wall, atol=1e-5)


def test_walls_of_clear_frames_are_marked_in_their_places():
    right, either = 0, 0
    for number in range(6):
        one = frame(number, snr=20.0, lamellae=0, grains=0, dust=0, faults=0)
        marked = mark_walls(one.response, np.ones(one.wall.shape, bool)).wall > 0.5
        right += (marked & near_wall(one)).sum()
        either += (marked | near_wall(one)).sum()
    assert right / either > 0.75


def test_members_differ_and_the_seed_decides_them():
    config = WallNetworkConfig.model_validate(TINY)
    first, again = train_members(config), train_members(config)
    weights = [m.state_dict()["fine.1.weight"] for m in (*first, *again)]
    assert torch.equal(weights[0], weights[2])
    assert torch.equal(weights[1], weights[3])
    assert not torch.equal(weights[0], weights[1])
    one = frame(1)
    marked = mark_walls(one.response, np.ones(one.wall.shape, bool), WallNetworks(first, {}))
    assert marked.wall_spread.max() > 0


def test_members_of_two_processes_have_the_same_weights_and_calls():
    config = WallNetworkConfig.model_validate(TINY)
    weights, scores = [], []
    for workers in (1, 2):
        steps: list[tuple[int, int]] = []
        epochs: list[float] = []
        members = train_members(
            config,
            workers=workers,
            progress=lambda *done, steps=steps: steps.append(done),
            on_epoch=lambda epoch, epochs=epochs: epochs.append(epoch.score),
        )
        assert steps[-1] == (4, 4)
        weights.append([value for member in members for value in member.state_dict().values()])
        scores.append(epochs)
    assert all(map(torch.equal, *weights))
    assert scores[0] == scores[1]


def test_calibration_keeps_the_order_and_its_error_is_the_distance_from_the_frequency():
    probability = np.linspace(0, 1, 101)
    np.testing.assert_allclose(calibrate(probability, (1, 1, 0)), probability, atol=1e-5)
    assert (np.diff(calibrate(probability, (0.7, 1.4, -0.3))) > 0).all()
    rng = np.random.default_rng(0)
    drawn = rng.random(200_000)
    true = rng.random(drawn.size) < drawn
    assert calibration_error(drawn, true) < 0.005
    assert calibration_error(np.clip(drawn + 0.1, 0, 1), true) == pytest.approx(0.1, abs=0.01)


def test_the_shipped_networks_are_small_and_made_with_the_settings_as_they_are():
    assert sum(path.stat().st_size for path in SHIPPED.glob("walls.*")) < 800_000
    card = json.loads((SHIPPED / "walls.json").read_text())
    assert WallNetworkConfig.model_validate(card["config"]) == WallNetworkConfig()
    assert card["judged"]["wall_ece"] < 0.02
    assert len(load_walls().members) == WallNetworkConfig().n_members
