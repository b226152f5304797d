"""Scores on answers whose quality is known."""

import numpy as np
import pytest
import xarray as xr

from invae.analysis.domains.scores import (
    auc,
    drift_error,
    held_out_r2,
    lamella_score,
    mask_iou,
    scoreboard,
    truth_maps,
    wall_f1,
    wall_score,
)
from invae.analysis.domains.switching import describe_sites
from invae.config import AnalyseConfig, ComputeConfig, DomainsConfig
from invae.errors import InputError, StoreError
from invae.storage import store
from invae.synthetic.domains import simulate, simulate_dataset

SMALL = DomainsConfig(rows=96, columns=96, n_frames=5)


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return simulate_dataset(SMALL, 6)[1]


def lines(*columns: int) -> np.ndarray:
    walls = np.zeros((1, 40, 40), bool)
    walls[:, :, list(columns)] = True
    return walls


def test_the_truth_scores_one_against_itself(truth):
    maps = truth_maps(truth)
    assert wall_score(maps, truth) == 1
    np.testing.assert_array_equal(drift_error(maps["drift"], truth["drift"]), 0)


@pytest.mark.parametrize(("off", "score"), [(0, 1), (2, 1), (3, 0)])
def test_a_wall_counts_within_the_tolerance(off, score):
    assert wall_f1(lines(10 + off), lines(10), tolerance=2) == score


def test_false_and_missed_walls_both_cost():
    assert wall_f1(lines(10, 30), lines(10), tolerance=2) == pytest.approx(2 / 3)
    assert wall_f1(lines(10), lines(10, 30), tolerance=2) == pytest.approx(2 / 3)
    assert wall_f1(lines(), lines(10), tolerance=2) == 0
    assert wall_f1(lines(), lines(), tolerance=2) == 1


def test_pixels_that_were_lost_are_not_judged():
    judged = np.ones((1, 40, 40), bool)
    judged[:, :, 25:] = False
    assert wall_f1(lines(10, 30), lines(10), tolerance=2, judged=judged) == 1


def test_the_drift_error_is_a_distance_in_pixels(truth):
    off = truth["drift"] + xr.DataArray([3.0, 4.0], dims="axis")
    np.testing.assert_allclose(drift_error(off, truth["drift"]), 5)
    assert len(drift_error(off, truth["drift"])) == SMALL.n_frames - 1


def test_lamellae_are_scored_by_their_area(truth):
    true = truth["non180"]
    maps = truth_maps(truth).assign(lamella=true)
    assert lamella_score(maps, truth) == 1
    half = true & (np.arange(96) < 48)
    share = half.to_numpy().sum() / true.to_numpy().sum()
    assert lamella_score(maps.assign(lamella=half), truth) == pytest.approx(share, rel=0.05)
    assert lamella_score(maps.assign(lamella=true & ~true), truth) == 0


def test_runs_without_areas_of_lamellae_have_no_score_of_them(truth):
    assert np.isnan(lamella_score(truth_maps(truth), truth))


def test_iou_and_auc_of_known_masks():
    one, other = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert mask_iou(one, other) == pytest.approx(1 / 3)
    assert mask_iou(one & False, one & False) == 1
    assert auc(np.array([3.0, 1, 2, np.nan]), np.array([True, False, False, True])) == 1
    assert auc(np.array([1.0, 1, 1, 1]), one) == 0.5
    assert np.isnan(auc(np.array([1.0, 2.0]), np.array([True, True])))


def sites(n: int = 600, seed: int = 0) -> tuple[np.random.Generator, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator, generator.uniform(0, 200, (n, 2))


def test_latents_that_hold_the_answer_score_one():
    generator, places = sites()
    latents = generator.standard_normal((600, 2))
    linear = held_out_r2(latents, latents @ [2, -1], places, gap=20)
    assert linear["linear"] == pytest.approx(1)
    assert linear["kNN"] > 0.9
    curved = held_out_r2(latents, np.abs(latents[:, 0]), places, gap=20)
    assert curved["kNN"] > 0.9
    assert curved["linear"] < 0.2


def test_latents_of_noise_score_nothing():
    generator, places = sites()
    score = held_out_r2(generator.standard_normal((600, 2)), places[:, 0], places, gap=20)
    assert max(score.values()) < 0.05


def test_knowing_the_place_does_not_help():
    """Latents that only tell neighbours by their place predict a smooth map in random splits, not on held-out strips."""
    _, places = sites()
    target = np.sin(places[:, 0] / 12) * np.cos(places[:, 1] / 12)
    assert held_out_r2(places, target, places, gap=24)["kNN"] < 0.3


def test_movies_are_held_out_whole():
    generator, places = sites()
    movie = generator.integers(0, 3, 600)
    offset = np.array([0.0, 5.0, -5.0])[movie]
    latents = np.column_stack([offset, generator.standard_normal(600)])
    target = latents[:, 1] + offset**2
    assert held_out_r2(latents, target, places, gap=20, group=movie)["kNN"] < 0.5
    assert held_out_r2(latents, latents[:, 1], places, gap=20, group=movie)["linear"] > 0.99


def test_too_few_sites_give_no_answer():
    generator, places = sites(20)
    scores = held_out_r2(generator.standard_normal((20, 2)), places[:, 0], places, gap=20)
    assert all(np.isnan(value) for value in scores.values())


def test_the_scoreboard_reads_a_run_and_its_truth(tmp_path):
    """A run that is the truth itself: perfect walls and drift, and latents that are two of the descriptors."""
    simulate(tmp_path / "sim.zarr", config=SMALL, seed=6)
    truth = store.open_store(tmp_path / "sim.zarr", group="truth").load()
    maps = truth_maps(truth)
    found = xr.Dataset({name: (("site",), values) for name, values in zip(
        ("frame", "y", "x"), np.argwhere(truth["wall"].to_numpy())[::3].T.astype(float), strict=True
    )})  # fmt: skip
    found["frame"] = found["frame"].astype(int)
    answers = describe_sites(
        maps,
        found,
        window=16,
        config=AnalyseConfig(field="positive"),
        compute=ComputeConfig(workers=1),
    )
    latents = np.column_stack([answers["switching_degree"], answers["wall_curvature"]])
    found["content"] = (("site", "latent"), np.nan_to_num(latents))
    patch = xr.Dataset(
        {"patch": (("site", "channel", "patch_y", "patch_x"), np.zeros((1, 1, 16, 16)))}
    )
    store.write_dataset(tmp_path / "run" / "descriptors.zarr", patch)
    store.write_dataset(tmp_path / "run" / "descriptors.zarr", maps, group="maps")
    store.write_dataset(tmp_path / "run" / "result.zarr", found)
    scores = {s.name: s.value for s in scoreboard(tmp_path / "run", tmp_path / "sim.zarr")}
    assert scores["walls, F1 at 2 px"] == 1
    assert scores["drift error, worst [px]"] == 0
    assert scores["switching degree from latents, R² (linear)"] == pytest.approx(1)
    assert scores["wall curvature from latents, R² (kNN)"] > 0.8


def test_a_recording_without_truth_is_named(tmp_path):
    store.write_dataset(tmp_path / "plain.zarr", xr.Dataset({"height": ("x", np.zeros(3))}))
    with pytest.raises(StoreError, match=r"plain.zarr/truth is not a Zarr store"):
        scoreboard(tmp_path, tmp_path / "plain.zarr")


def test_a_truth_of_other_frames_is_refused(tmp_path, truth):
    simulate(tmp_path / "sim.zarr", config=SMALL.model_copy(update={"n_frames": 2}), seed=6)
    store.write_dataset(tmp_path / "run" / "descriptors.zarr", truth_maps(truth), group="maps")
    with pytest.raises(InputError, match=r"\(5, 96, 96\), the truth of .* has \(2, 96, 96\)"):
        scoreboard(tmp_path / "run", tmp_path / "sim.zarr")
