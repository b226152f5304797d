"""Cards: what is said of a picture is what it shows."""

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from invae.config import CardsConfig
from invae.storage import store
from invae.synthetic import cards, posing
from invae.synthetic import scene as scenes
from invae.synthetic.cards import SUITS, SYMMETRY, draw, render, simulate
from invae.synthetic.posing import Poses

SEEDS = (3, 1234)


def small(**changes) -> CardsConfig:
    return CardsConfig.model_validate({"n_per_suit": 10, "size": 32, **changes})


def still(**changes) -> CardsConfig:
    return small(**{"angle": 0, "shear": 0, "shift": 0, **changes})


def picture(suit: str, *, angle=0.0, shear=0.0, shift=(0.0, 0.0), size=48) -> np.ndarray:
    """One suit in a pose; angles in degree, shift in half frames."""
    poses = Poses(np.deg2rad([angle]), np.deg2rad([shear]), np.array([shift]))
    return render(np.array([SUITS.index(suit)]), poses, size=size, fill=0.62)[0].astype(float)


def centre(image: np.ndarray) -> np.ndarray:
    """Centre of mass from the middle of the frame (y, x) [pixel]."""
    places = np.indices(image.shape) - (len(image) - 1) / 2
    return (places * image).sum((1, 2)) / image.sum()


@pytest.mark.parametrize("suit", SUITS)
@pytest.mark.parametrize("size", [48, 33])
def test_a_quarter_turn_is_rot90(suit, size):
    for angle in (0.0, 37.0):
        turned = picture(suit, angle=angle + 90, size=size)
        np.testing.assert_allclose(
            turned, np.rot90(picture(suit, angle=angle, size=size)), atol=2e-3
        )


@pytest.mark.parametrize("suit", SUITS)
@pytest.mark.parametrize("shift", [(0.2, -0.1), (-0.137, 0.061)])
def test_a_shift_moves_the_centre_of_mass_by_itself(suit, shift):
    poses: tuple[dict[str, Any], ...] = ({}, {"angle": 50.0, "shear": 15.0})
    for pose in poses:
        moved = centre(picture(suit, shift=shift, **pose)) - centre(picture(suit, **pose))
        np.testing.assert_allclose(moved, np.array(shift) * 24, atol=0.02)


def test_a_shear_moves_rows_along_x_and_leaves_them_in_place():
    upright, sheared = (picture("diamonds", shear=shear, size=96) for shear in (0.0, 20.0))
    np.testing.assert_allclose(sheared.sum(1), upright.sum(1), atol=0.05)
    rows = np.arange(96) - 47.5
    inked = upright.sum(1) > 5
    middle = (sheared @ rows)[inked] / sheared.sum(1)[inked]
    np.testing.assert_allclose(middle, np.tan(np.deg2rad(20)) * rows[inked], atol=0.1)


def test_suits_are_sheared_then_turned_then_shifted():
    """Shear alone, turned as a picture and moved as a picture, is what all three together give."""
    sheared = picture("spades", shear=20)
    together = picture("spades", shear=20, angle=90, shift=(0.25, -0.125))
    step_by_step = np.roll(np.rot90(sheared), (6, -3), axis=(0, 1))
    np.testing.assert_allclose(together, step_by_step, atol=2e-3)


def test_diamonds_alone_look_the_same_after_half_a_turn():
    for suit, symmetry in zip(SUITS, SYMMETRY, strict=True):
        for shear in (0.0, 20.0):
            upright, turned = (picture(suit, angle=a, shear=shear) for a in (30, 210))
            assert (np.abs(upright - turned).max() < 0.05) == (symmetry == 2), suit


def test_upright_suits_stand():
    """Hearts are heavy above, spades below, and left is as right but for the font's rounding."""
    assert centre(picture("hearts"))[0] < -1
    assert centre(picture("spades"))[0] > 0.3
    for suit in SUITS:
        np.testing.assert_allclose(picture(suit), picture(suit)[:, ::-1], atol=0.3)


def test_ink_is_one_on_zero_and_nothing_is_cut_off():
    images = draw(small(n_per_suit=40, angle=180, shear=20, size=48), seed=8)["image"].to_numpy()
    assert images.min() == 0
    assert images.max() == 1
    rim = np.concatenate((images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]), axis=1)
    assert (rim.max(1) > 0.5).mean() < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_said_of_a_frame_draws_it_again(seed):
    config = small(angle=180, shear=20)
    drawn = draw(config, seed=seed)
    poses = Poses(
        drawn["angle"].to_numpy(), drawn["shear"].to_numpy(), drawn["shift"].to_numpy() / 16
    )
    again = render(drawn["suit"].to_numpy(), poses, size=32, fill=config.fill)
    np.testing.assert_allclose(drawn["image"], again, atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_factors_fill_their_ranges(seed):
    drawn = draw(small(n_per_suit=250, angle=60, shear=20, shift=0.2, size=8), seed=seed)
    limits = {"angle": np.deg2rad(60), "shear": np.deg2rad(20), "shift": 0.2 * 8}
    for name, limit in limits.items():
        values = drawn[name].to_numpy()
        assert 0.98 * limit < np.abs(values).max() <= limit, name
        assert np.abs(values).mean() == pytest.approx(limit / 2, rel=0.1), name
    shift = drawn["shift"].to_numpy()
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.15
    assert np.bincount(drawn["suit"]).tolist() == [250] * 4


def test_another_seed_gives_other_factors_and_other_noise():
    one, other = (draw(small(noise=0.1), seed=seed) for seed in (1, 2))
    for name in ("suit", "angle", "shear", "shift", "image"):
        assert not np.array_equal(one[name], other[name]), name
    assert not {*one["angle"].to_numpy()} & {*other["angle"].to_numpy()}


def test_the_noise_is_what_was_asked_for():
    clean, noisy = (draw(still(noise=sd), seed=4)["image"] for sd in (0, 0.3))
    rest = (noisy - clean).to_numpy()
    assert rest.std() == pytest.approx(0.3, rel=0.02)
    assert rest.mean() == pytest.approx(0, abs=0.01)
    assert abs(np.corrcoef(rest[0].ravel(), rest[1].ravel())[0, 1]) < 0.15


def test_values_do_not_depend_on_the_blocks(tmp_path, monkeypatch):
    config = small(noise=0.2)
    expected = draw(config, seed=5)
    monkeypatch.setattr(scenes, "SHARD_BYTES", 7 * 32 * 32 * 4)
    monkeypatch.setattr(posing, "BATCH_SAMPLES", 3 * 96 * 96)
    told: list[tuple[int, int]] = []
    simulate(tmp_path / "cards.zarr", config=config, seed=5, progress=lambda *now: told.append(now))
    stored = store.open_store(tmp_path / "cards.zarr")
    np.testing.assert_allclose(stored["image"], expected["image"], atol=1e-6)
    truth = store.open_store(tmp_path / "cards.zarr", group="truth")
    xr.testing.assert_equal(truth, expected[list(truth.data_vars)].drop_vars(["frame"]))
    assert told[-1] == (40, 40)
    assert len(told) == 6


def test_a_killed_run_goes_on_to_the_same_values(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "SHARD_BYTES", 10 * 32 * 32 * 4)

    class Killed(BaseException): ...

    def kill(done: int, total: int) -> None:
        if done == 20:
            raise Killed

    with pytest.raises(Killed):
        simulate(tmp_path / "cards.zarr", config=small(), seed=5, progress=kill)
    assert not (tmp_path / "cards.zarr").exists()
    simulate(tmp_path / "cards.zarr", config=small(), seed=5)
    stored = store.open_store(tmp_path / "cards.zarr")
    np.testing.assert_allclose(stored["image"], draw(small(), seed=5)["image"], atol=1e-6)


def test_the_store_says_how_it_was_made(tmp_path):
    simulate(tmp_path / "cards.zarr", config=small(suits=["hearts"]), seed=5)
    receipt = store.read_receipt(tmp_path / "cards.zarr")
    assert receipt is not None
    assert (receipt.stage, receipt.seed, receipt.recording) == ("simulate", 5, "cards")
    stored = store.open_store(tmp_path / "cards.zarr")
    assert json.loads(stored.attrs["metadata"])["config"]["suits"] == ["hearts"]
    assert (store.open_store(tmp_path / "cards.zarr", group="truth")["suit"] == 3).all()


def test_every_variable_says_what_it_is():
    drawn = draw(small(n_per_suit=1), seed=0)
    for name, variable in drawn.data_vars.items():
        assert variable.attrs["long_name"], name
        assert variable.attrs["units"], name
    assert drawn["suit"].attrs["flag_meanings"].split() == list(SUITS)
    assert drawn["symmetry"].to_numpy().tolist() == [1, 1, 2, 1]


def test_the_outline_file_names_font_and_licence():
    text = (cards.files("invae.synthetic") / "suits.json").read_text("utf-8")
    said = json.loads(text)
    assert "DejaVu" in said["font"]
    assert "Bitstream" in said["copyright"]
    assert [said["suits"][suit]["character"] for suit in SUITS] == list("♣♠♦♥")


def test_a_suit_named_twice_is_refused():
    with pytest.raises(ValidationError, match="must differ; name each once"):
        small(suits=["clubs", "clubs"])
