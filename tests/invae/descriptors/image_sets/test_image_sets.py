"""A set of images: every frame is a patch, and keeps what is known of it."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.config import CardsConfig, ImagesConfig, IngestConfig, ProcessConfig
from invae.config.describe import WallsConfig
from invae.errors import ConfigError, InputError
from invae.readers.ingest import ingest
from invae.stages import stages
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.synthetic import cards, shifts
from invae.training.dataset import split_store


def taken_in(source: Path, tmp_path: Path) -> Path:
    """The recording that a store becomes."""
    target = tmp_path / "taken" / "recording.zarr"
    config = ProcessConfig()
    receipt = stages.receipt_of_recording(target.parent, stages.sources_of([source]), config)
    ingest([source], target, config=IngestConfig(), receipt=receipt)
    return target


@pytest.fixture
def suits(tmp_path) -> Path:
    """A small set of cards, taken in."""
    simulated = tmp_path / "cards.zarr"
    cards.simulate(simulated, config=CardsConfig(n_per_suit=10, size=24), seed=2)
    return taken_in(simulated, tmp_path)


@pytest.fixture
def frames(tmp_path) -> Path:
    """Two signals of frames 9 × 12 px with variables beside them, and pixels that are not known."""
    rng = np.random.default_rng(0)
    image, other = rng.normal(size=(2, 5, 9, 12)).astype(np.float32)
    image[1, 3, 4] = np.nan
    label = ("frame", np.array([0, 2, -1, 1, 1]), dims.flags(["a", "b", "c"], "phase"))
    dataset = xr.Dataset(
        {
            "image": (dims.IMAGE, image, dims.attrs("one", "nm")),
            "other": (dims.IMAGE, other, dims.attrs("other", "nm")),
            "temperature": ("frame", [1.0, 2.0, 3.0, np.nan, 5.0], dims.attrs("temperature", "K")),
            "dose": ("frame", [10.0, 20, 30, 40, 50], dims.attrs("dose")),
            "phase": label,
        },
        coords={
            "frame": np.arange(5),
            "y": ("y", np.arange(9) * 2.0, dims.attrs("y", "nm")),
            "x": ("x", np.arange(12) * 2.0, dims.attrs("x", "nm")),
        },
    )
    dataset.to_zarr(tmp_path / "frames.zarr", consolidated=False, zarr_format=3)
    return taken_in(tmp_path / "frames.zarr", tmp_path)


def patches_of(described, recording: Path, **settings) -> xr.Dataset:
    return store.open_store(described(recording, ImagesConfig.model_validate(settings))).load()


def test_every_frame_is_a_patch_with_its_truth(suits, described):
    patches = patches_of(described, suits)
    drawn = cards.draw(CardsConfig(n_per_suit=10, size=24), seed=2)
    np.testing.assert_allclose(patches["patch"][:, 0], drawn["image"], atol=1e-6)
    assert patches["patch"].dims == dims.PATCH
    assert bool(patches["valid"].all())
    assert patches["channel"].to_numpy().tolist() == ["image"]
    for name in ("suit", "angle", "shear"):
        np.testing.assert_array_equal(patches[f"truth_{name}"], drawn[name])
    np.testing.assert_array_equal(patches["truth_shift_y"], drawn["shift"][:, 0])
    np.testing.assert_array_equal(patches["truth_shift_x"], drawn["shift"][:, 1])
    assert list(patches["truth_suit"].attrs["symmetry"]) == [1, 1, 2, 1]
    assert dims.meanings(patches["truth_suit"].attrs) == list(cards.SUITS)


def test_a_site_is_the_middle_of_its_frame(frames, described):
    patches = patches_of(described, frames)
    assert (dims.KINDS[int(patches["kind"][0])], patches.sizes["site"]) == ("image", 5)
    assert patches["frame"].to_numpy().tolist() == [0, 1, 2, 3, 4]
    assert (float(patches["y"][0]), float(patches["x"][0])) == (4.0, 5.5)
    assert (float(patches["y_nm"][0]), float(patches["x_nm"][0])) == (8.0, 11.0)
    assert patches.attrs["pixel_size_nm"] == 2
    assert patches["patch_x"].to_numpy().tolist() == [n - 5.5 for n in range(12)]


def test_unknown_pixels_are_masked(frames, described):
    patches = patches_of(described, frames)
    unknown = np.argwhere(~patches["valid"].to_numpy()).tolist()
    assert unknown == [[1, 0, 3, 4]]
    assert float(patches["patch"][1, 0, 3, 4]) == 0


def test_signals_are_the_channels_in_their_order(frames, described):
    patches = patches_of(described, frames, signals=["other", "image"])
    assert patches["channel"].to_numpy().tolist() == ["other", "image"]
    recording = store.open_store(frames)
    np.testing.assert_array_equal(patches["patch"][:, 0], recording["other"])


def test_frames_are_cropped_about_their_middle_and_binned(frames, described):
    patches = patches_of(described, frames, signals=["other"], crop=8, bin=2)
    recording = store.open_store(frames)["other"].to_numpy()
    middle = recording[:, :8, 2:10].reshape(5, 4, 2, 4, 2).mean((2, 4))
    np.testing.assert_allclose(patches["patch"][:, 0], middle, atol=1e-6)
    assert (float(patches["y"][0]), float(patches["x"][0])) == (3.5, 5.5)
    assert patches["patch_y"].to_numpy().tolist() == [-3, -1, 1, 3]
    assert patches.attrs["pixel_size_nm"] == 4


def test_a_bin_is_the_mean_of_what_is_known_in_it(frames, described):
    patches = patches_of(described, frames, signals=["image"], bin=3)
    square = store.open_store(frames)["image"].to_numpy()[1, 3:6, 3:6]
    assert bool(patches["valid"].all())
    assert float(patches["patch"][1, 0, 1, 1]) == pytest.approx(np.nanmean(square), abs=1e-6)


def test_spectra_keep_their_one_row(tmp_path, described):
    simulated = tmp_path / "shifts.zarr"
    shifts.simulate(simulated, config=shifts.ShiftsConfig(n_signals=12), seed=1)
    patches = patches_of(described, taken_in(simulated, tmp_path), crop=80, bin=2)
    assert patches["patch"].shape == (12, 1, 1, 40)
    assert {"truth_position", "truth_width"} <= set(patches.coords)


def test_labels_conditions_and_targets_lie_beside_the_patches(frames, described):
    patches = patches_of(
        described, frames, labels="phase", condition=["dose", "phase"], target=["temperature"]
    )
    assert patches["labels"].dtype == np.int64
    assert patches["labels"].to_numpy().tolist() == [0, 2, -1, 1, 1]
    names = ["dose", "phase=a", "phase=b", "phase=c"]
    assert patches["condition_name"].to_numpy().tolist() == names
    assert patches["condition"].to_numpy()[1].tolist() == [20, 0, 0, 1]
    np.testing.assert_array_equal(patches["target"][:, 0], [1, 2, 3, np.nan, 5])
    assert patches["temperature"].attrs["units"] == "K"


@pytest.mark.parametrize("seed", [0, 9])
def test_a_share_of_the_true_labels_is_kept(suits, described, seed):
    config = {"labels": "suit", "target": ["shear"], "label_share": 0.25, "label_seed": seed}
    patches = patches_of(described, suits, **config)
    known = patches["labels"].to_numpy() >= 0
    assert known.sum() == 10
    np.testing.assert_array_equal(patches["labels"][known], patches["truth_suit"][known])
    np.testing.assert_array_equal(np.isfinite(patches["target"].to_numpy()[:, 0]), known)


def test_another_label_seed_keeps_other_labels(suits, described):
    first, second = (
        patches_of(described, suits, labels="suit", label_share=0.5, label_seed=seed)["labels"]
        for seed in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_frames_of_a_set_are_held_out_one_by_one(suits, described):
    split = split_store(patches_of(described, suits), share=0.25, seed=0)
    assert len(split.held_out) == 10
    assert sorted([*split.training, *split.held_out]) == list(range(40))
    assert np.diff(split.held_out).max() > 1


def test_frames_of_a_film_are_held_out_in_stretches(suits, described):
    film = xr.open_zarr(suits, consolidated=False, chunks=None).load()
    film = film.assign_coords(time=("frame", np.arange(40.0), dims.attrs("time", "s")))
    film.to_zarr(suits.with_name("film.zarr"), consolidated=False, zarr_format=3)
    split = split_store(patches_of(described, suits.with_name("film.zarr")), share=0.25, seed=0)
    assert np.ptp(split.held_out) == len(split.held_out) - 1


def test_values_do_not_depend_on_the_blocks(suits, tmp_path, described, monkeypatch):
    expected = patches_of(described, suits)
    monkeypatch.setattr("invae.descriptors.layout.PATCH_BYTES", 7 * 24 * 24 * 4)
    again = described(suits, ImagesConfig(), name="blocks.zarr")
    xr.testing.assert_identical(store.open_store(again).load(), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"signals": ["height"]},
            "describe.signals names 'height'; the recording has image, other",
        ),
        ({"labels": "suit"}, "describe.labels names 'suit'; .* has dose, phase, temperature"),
        ({"labels": "dose", "condition": ["temperature"]}, "temperature is not known of 1 frames"),
        ({"target": ["voltage"]}, "describe.target names 'voltage'"),
    ],
)
def test_what_the_recording_lacks_is_named(frames, described, settings, message):
    with pytest.raises(ConfigError, match=message):
        patches_of(described, frames, **settings)


def test_labels_that_are_no_classes_are_refused(suits, described):
    with pytest.raises(ConfigError, match=r"angle holds .*; labels are whole numbers from 0"):
        patches_of(described, suits, labels="angle")


def test_what_leaves_no_picture_is_refused(frames, described):
    with pytest.raises(InputError, match="leave 1×1 of 9×12 px"):
        patches_of(described, frames, crop=4, bin=4)


def test_a_recording_without_images_is_refused(tmp_path, described):
    spectra = xr.Dataset({"current": (("y", "x", "energy"), np.ones((4, 5, 6)))})
    spectra.to_zarr(tmp_path / "grid.zarr", consolidated=False, zarr_format=3)
    with pytest.raises(InputError, match=r"holds no images \(frame, y, x\) but y x energy"):
        patches_of(described, tmp_path / "grid.zarr")


def test_a_missing_kind_means_walls_and_an_unknown_one_is_named():
    config = ProcessConfig.model_validate({"describe": {"sites": {"spacing": 9}}})
    assert isinstance(config.describe, WallsConfig)
    config = ProcessConfig.model_validate({"describe": {"kind": "images", "bin": 2}})
    assert config.describe == ImagesConfig(bin=2)
    assert ProcessConfig.model_validate(config.model_dump(mode="json")) == config
    kinds = "'walls', 'images', 'atoms', 'dense', 'patterns'"
    with pytest.raises(ValueError, match=kinds):
        ProcessConfig.model_validate({"describe": {"kind": "image"}})


def test_the_stage_says_what_it_was_made_from(suits, described):
    receipt = store.read_receipt(described(suits, ImagesConfig()))
    assert isinstance(receipt, Receipt)
    assert receipt.stage == "describe"
