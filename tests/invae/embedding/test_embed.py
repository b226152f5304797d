"""The embedding stage: labelled, block by block, the same values as the estimator."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from invae import dims
from invae.config import ComputeConfig, EmbedConfig, ModelConfig, TrainingConfig
from invae.embedding import embed
from invae.errors import InputError, StoreError
from invae.estimators.invariant_vae import InvariantVAE
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.training.train import train

ON_CPU = ComputeConfig(device="cpu")
N_SITES = 70


def receipt(stage: str) -> Receipt:
    return Receipt(
        stage=stage, key=stage * 8, recording="letters", sources=(), inputs={}, config={},
        config_hash="", seed=0, code="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(draw_letters, tmp_path_factory) -> Path:
    """descriptors.zarr and model/."""
    path = tmp_path_factory.mktemp("embed")
    letters = draw_letters(N_SITES, seed=4, size=(16, 16))
    valid = np.random.default_rng(0).random(letters.patches.shape) > 0.05
    frame = np.repeat(np.arange(7, dtype=np.int32), 10)
    dataset = xr.Dataset(
        {
            "patch": (dims.PATCH, np.where(valid, letters.patches, np.nan)),
            "valid": (dims.PATCH, valid),
        },
        coords={
            "frame": (dims.SITE, frame),
            "y": (dims.SITE, np.linspace(0, 300, N_SITES), {"units": "pixel"}),
            "x": (dims.SITE, np.linspace(300, 0, N_SITES), {"units": "pixel"}),
            "kind": (dims.SITE, np.zeros(N_SITES, np.int8), dims.flags(dims.KINDS, "kind")),
            "channel": ["polarization"],
        },
        attrs={"pixel_size_nm": 5.0, "window": 16},
    )
    store.write_dataset(path / "descriptors.zarr", dataset)
    train(
        path / "descriptors.zarr",
        path / "model",
        model=ModelConfig(family="rtVAE"),
        training=TrainingConfig(epochs=2),
        seed=0,
        receipt=receipt("train"),
        compute=ON_CPU,
    )
    return path


def run(folder: Path, target: Path, *, progress=lambda done, total: None) -> xr.Dataset:
    embed.embed(
        folder / "descriptors.zarr",
        folder / "model",
        target,
        config=EmbedConfig(batch_size=16),
        receipt=receipt("embed"),
        compute=ON_CPU,
        progress=progress,
    )
    return xr.open_zarr(target, consolidated=False, chunks=None).load()


def test_the_names_and_units_are_those_of_the_contract(folder, tmp_path):
    embedding = run(folder, tmp_path / "embedding.zarr")
    assert embedding["content"].dims == ("site", "latent")
    assert embedding["content_sd"].dims == ("site", "latent")
    assert embedding["shift"].dims == ("site", "axis")
    assert embedding["axis"].to_numpy().tolist() == ["y", "x"]
    units = {"angle": "rad", "angle_resultant": "1", "shift": "pixel", "content": "1"}
    assert {name: embedding[name].attrs["units"] for name in units} == units
    for name in ("angle", "angle_resultant", "log_likelihood", "elbo", "reconstruction_error"):
        assert embedding[name].dims == ("site",)
        assert np.isfinite(embedding[name]).all()
    assert ((embedding["angle_resultant"] >= 0) & (embedding["angle_resultant"] <= 1)).all()
    assert (np.abs(embedding["angle"]) <= np.pi + 1e-6).all()
    assert all(embedding[name].attrs["long_name"] for name in embedding.data_vars)


def test_sites_remember_where_they_came_from(folder, tmp_path):
    embedding = run(folder, tmp_path / "embedding.zarr")
    with xr.open_zarr(folder / "descriptors.zarr", consolidated=False, chunks=None) as patches:
        for name in ("frame", "y", "x", "kind"):
            np.testing.assert_array_equal(embedding[name], patches[name])
            assert embedding[name].attrs == patches[name].attrs
    assert dims.meanings(embedding["kind"].attrs) == list(dims.KINDS)
    assert embedding.attrs["pixel_size_nm"] == 5.0
    assert 0 < int(embedding["held_out"].sum()) < N_SITES


def test_blocks_give_the_values_of_one_piece(folder, tmp_path, monkeypatch):
    whole = run(folder, tmp_path / "whole.zarr")
    monkeypatch.setattr(embed, "SHARD_SITES", 32)
    calls: list[tuple[int, int]] = []
    blocks = run(folder, tmp_path / "blocks.zarr", progress=lambda *at: calls.append(at))
    assert calls == [(32, 70), (64, 70), (70, 70)]
    for name in whole.data_vars:
        np.testing.assert_allclose(blocks[name], whole[name], rtol=1e-3, atol=1e-4)


def test_a_killed_embedding_writes_no_block_twice(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "SHARD_SITES", 32)
    undisturbed = run(folder, tmp_path / "undisturbed.zarr")

    def die(done: int, total: int) -> None:
        if done == 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "embedding.zarr", progress=die)
    assert not (tmp_path / "embedding.zarr").exists()
    (partial,) = tmp_path.glob(".embedding.zarr.*.partial")
    shard = partial / "content" / "c" / "0" / "0"
    written = shard.stat().st_mtime_ns
    resumed = run(folder, tmp_path / "embedding.zarr")
    kept = tmp_path / "embedding.zarr" / "content" / "c" / "0" / "0"
    assert kept.stat().st_mtime_ns == written
    xr.testing.assert_identical(resumed.drop_attrs(), undisturbed.drop_attrs())


def test_the_estimator_says_the_same_of_the_same_store(folder, tmp_path):
    embedding = run(folder, tmp_path / "embedding.zarr")
    vae = InvariantVAE.load(folder / "model", device="cpu")
    again = vae.encode(folder / "descriptors.zarr")
    for name in again.data_vars:
        np.testing.assert_allclose(again[name], embedding[name], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(again["frame"], embedding["frame"])


def test_patches_of_another_shape_are_refused(folder, tmp_path):
    dataset = xr.open_zarr(folder / "descriptors.zarr", consolidated=False, chunks=None).load()
    narrow = dataset.isel(patch_x=slice(0, 12)).drop_encoding()
    (tmp_path / "other").mkdir()
    store.write_dataset(tmp_path / "other" / "descriptors.zarr", narrow)
    (folder / "model").is_dir()
    with pytest.raises(InputError, match="1 channels of 16 × 12 pixels, the model takes 1 of 16"):
        embed.embed(
            tmp_path / "other" / "descriptors.zarr",
            folder / "model",
            tmp_path / "embedding.zarr",
            config=EmbedConfig(),
            receipt=receipt("embed"),
            compute=ON_CPU,
        )
    assert not list(tmp_path.glob("*embedding*"))


def test_a_folder_without_a_model_is_named(folder, tmp_path):
    with pytest.raises(StoreError, match="empty holds no model that can be loaded"):
        embed.embed(
            folder / "descriptors.zarr",
            tmp_path / "empty",
            tmp_path / "embedding.zarr",
            config=EmbedConfig(),
            receipt=receipt("embed"),
            compute=ON_CPU,
        )


def test_only_a_batch_is_on_the_device(folder, monkeypatch):
    """Encoding must not move all data at once."""
    vae, largest = InvariantVAE.load(folder / "model", device="cpu"), []
    once = embed.encode_batch

    def watched(model, patches):
        largest.append(len(patches))
        return once(model, patches)

    monkeypatch.setattr(embed, "encode_batch", watched)
    batches = torch.zeros(1500, 1, 16, 16).numpy()
    vae.encode(batches)
    assert max(largest) <= 512
    assert sum(largest) == 1500


def test_values_do_not_depend_on_the_number_of_workers(folder, tmp_path):
    values = []
    for workers in (1, 3):
        target = tmp_path / str(workers) / "embedding.zarr"
        embed.embed(
            folder / "descriptors.zarr",
            folder / "model",
            target,
            config=EmbedConfig(batch_size=8),
            receipt=receipt("embed"),
            compute=ComputeConfig(device="cpu", workers=workers),
        )
        values.append(store.open_store(target).load())
    xr.testing.assert_identical(*values)
