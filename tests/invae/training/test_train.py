"""The stage: a store of patches becomes the folder of a model, and a killed run ends like an undisturbed one."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.config import ComputeConfig, ModelConfig, TrainingConfig
from invae.errors import InputError
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.training.checkpoint import CHECKPOINT_FILE
from invae.training.history import Epoch
from invae.training.model_folder import load
from invae.training.train import train

ON_CPU = ComputeConfig(device="cpu")
MODEL = ModelConfig(family="rtVAE")
TRAINING = TrainingConfig(epochs=4, batch_size=16, checkpoint_seconds=0)


def receipt(key: str = "a" * 64) -> Receipt:
    return Receipt(
        stage="train", key=key, recording="letters", sources=(), inputs={}, config={},
        config_hash="", seed=0, code="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def patches(draw_letters, tmp_path_factory) -> Path:
    """A descriptor store of 90 sites in 9 frames, three delays."""
    letters = draw_letters(90, seed=3, size=(16, 16), n_channels=3)
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 200, (2, 90))
    dataset = xr.Dataset(
        {
            "patch": (dims.PATCH, letters.patches),
            "valid": (dims.PATCH, np.ones(letters.patches.shape, bool)),
        },
        coords={
            "frame": (dims.SITE, np.repeat(np.arange(9, dtype=np.int32), 10)),
            "y": (dims.SITE, place[0]),
            "x": (dims.SITE, place[1]),
            "channel": ["t-1", "t", "t+1"],
        },
        attrs={"pixel_size_nm": 5.0},
    )
    path = tmp_path_factory.mktemp("letters") / "descriptors.zarr"
    store.write_dataset(path, dataset)
    return path


def run(patches: Path, target: Path, *, on_epoch=lambda epoch: None, seed: int = 0) -> None:
    train(
        patches,
        target,
        model=MODEL,
        training=TRAINING,
        seed=seed,
        receipt=receipt(),
        compute=ON_CPU,
        on_epoch=on_epoch,
    )


def test_the_folder_tells_all_about_the_model(patches, tmp_path):
    seen: list[Epoch] = []
    run(patches, tmp_path / "model", on_epoch=seen.append)
    names = {p.name for p in (tmp_path / "model").iterdir()}
    assert names == {
        "model.safetensors",
        "model.json",
        "history.json",
        "split.json",
        "symptoms.json",
        "receipt.json",
        "manifest.json",
        ".listed",
    }
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["channels"] == ["t-1", "t", "t+1"]
    assert card["pixel_size_nm"] == 5.0
    assert card["geometry"] == {"n_channels": 3, "height": 16, "width": 16}
    assert len(card["normalisation"]["scale"]) == 3
    assert card["config"] == MODEL.model_dump(mode="json")
    assert len(json.loads((tmp_path / "model" / "history.json").read_text())) == len(seen) == 4
    assert store.is_current(tmp_path / "model", receipt().key)


def test_held_out_frames_touch_no_training_frame(patches, tmp_path):
    run(patches, tmp_path / "model")
    split = load(tmp_path / "model").split
    frame = np.repeat(np.arange(9), 10)
    assert len(split.held_out) > 0
    with xr.open_zarr(patches, consolidated=False, chunks=None) as dataset:
        y, x = dataset["y"].to_numpy(), dataset["x"].to_numpy()
    for held_out in split.held_out:
        near = (
            (np.abs(frame[split.training] - frame[held_out]) < 3)
            & (np.abs(y[split.training] - y[held_out]) < 16)
            & (np.abs(x[split.training] - x[held_out]) < 16)
        )
        assert not near.any()


class Killed(BaseException):
    """Stands for a signal: nothing gets to tidy up."""


def test_a_killed_training_is_continued_to_identical_files(patches, tmp_path):
    def die(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise Killed

    run(patches, tmp_path / "undisturbed")
    with pytest.raises(Killed):
        run(patches, tmp_path / "model", on_epoch=die)
    (partial,) = tmp_path.glob(".model.*.partial")
    assert (partial / CHECKPOINT_FILE).exists()
    assert not (tmp_path / "model").exists()
    seen: list[Epoch] = []
    run(patches, tmp_path / "model", on_epoch=seen.append)
    assert [epoch.epoch for epoch in seen] == [0, 1, 2, 3]
    for file in (tmp_path / "undisturbed").iterdir():
        assert file.read_bytes() == (tmp_path / "model" / file.name).read_bytes(), file.name


def test_another_seed_holds_out_other_blocks(patches, tmp_path):
    for seed in (0, 1):
        run(patches, tmp_path / f"model{seed}", seed=seed)
    one, other = (load(tmp_path / f"model{seed}").split.held_out for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_a_store_with_a_broken_patch_is_refused_before_anything_is_written(patches, tmp_path):
    dataset = xr.open_zarr(patches, consolidated=False, chunks=None).load()
    dataset["patch"][3, 0, 0, 0] = np.nan
    broken = tmp_path / "broken.zarr"
    store.write_dataset(broken, dataset.drop_encoding())
    with pytest.raises(InputError, match="1 values are NaN or infinite, the first in patch 3"):
        run(broken, tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["broken.zarr"]
