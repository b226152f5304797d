"""A training set from several stores is the sites of all of them, as if they were one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from invae import dims
from invae.config import ComputeConfig, EmbedConfig, ModelConfig, TrainingConfig
from invae.embedding import embed
from invae.errors import InputError
from invae.estimators.invariant_vae import InvariantVAE
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.training import dataset as module
from invae.training.annotations import SiteAnnotations, joined
from invae.training.batches import Batches
from invae.training.dataset import open_pool, refuse_another_kind, training_set
from invae.training.model_folder import load, refuse_unfit
from invae.training.signal_sources import ArraySource, SignalStream, StreamSource, open_signals
from invae.training.train import train, train_on

ON_CPU = ComputeConfig(device="cpu")
CPU = torch.device("cpu")
MODEL = ModelConfig(family="rVAE", poses=None)
TRAINING = TrainingConfig(epochs=2, batch_size=16, checkpoint_seconds=0, held_out=0.2)
SITES = (32, 48)


def receipt(stage: str, key: str, recording: str = "letters", **inputs: str) -> Receipt:
    return Receipt(
        stage=stage, key=key, recording=recording, sources=(), inputs=inputs, config={},
        config_hash="", seed=0, code="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair(draw_letters, tmp_path_factory) -> list[Path]:
    """Descriptor stores of two recordings, with receipts."""
    folder, rng, made = tmp_path_factory.mktemp("pair"), np.random.default_rng(2), []
    for number, n_sites in enumerate(SITES):
        letters = draw_letters(n_sites, seed=number, size=(16, 16))
        dataset = xr.Dataset(
            {"patch": (dims.PATCH, letters.patches)},
            coords={
                "frame": (dims.SITE, np.arange(n_sites, dtype=np.int32) // 4),
                "y": (dims.SITE, rng.uniform(0, 200, n_sites)),
                "x": (dims.SITE, rng.uniform(0, 200, n_sites)),
                "source": (dims.SITE, np.arange(n_sites, dtype=np.int32) // (n_sites // 2)),
                "channel": ["height"],
            },
            attrs={"pixel_size_nm": 5.0},
        )
        path = folder / f"scan_{number}" / "descriptors.zarr"
        path.parent.mkdir()
        store.write_dataset(path, dataset)
        store.write_receipt(path, receipt("describe", f"{number}" * 64, f"scan_{number}"))
        made.append(path)
    return made


@pytest.fixture(scope="module")
def model(pair, tmp_path_factory) -> Path:
    """A model of both."""
    target = tmp_path_factory.mktemp("models") / "both"
    keys = {f"describe/scan_{n}": f"{n}" * 64 for n in range(2)}
    train(
        pair,
        target,
        model=MODEL,
        training=TRAINING,
        seed=0,
        receipt=receipt("train", "m" * 64, "both", **keys),
        compute=ON_CPU,
    )
    return target


def whole(pair: list[Path]) -> np.ndarray:
    return np.concatenate([store.open_store(path)["patch"].to_numpy() for path in pair])


def test_training_on_two_stores_is_training_on_their_sites_in_one(pair, model):
    split = training_set(pair, share=TRAINING.held_out, seed=0).split
    places = joined([open_signals(p).known for p in pair], lengths=SITES)
    together = train_on(
        ArraySource(whole(pair), known=places),
        split,
        model=MODEL,
        training=TRAINING,
        seed=0,
        device=CPU,
        channels=("height",),
    )
    weights = load(model).model.state_dict()
    for name, value in together.model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0)


def test_blocks_are_held_out_of_every_store(pair, model):
    split = load(model).split
    for first, last in ((0, SITES[0]), (SITES[0], sum(SITES))):
        own = split.held_out[(split.held_out >= first) & (split.held_out < last)]
        assert 0 < len(own) < (last - first) / 2
    assert not np.intersect1d(split.held_out, split.training).size


def test_streamed_from_two_stores_the_batches_are_those_of_one(pair, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)
    pool = open_pool(pair)
    patches = whole(pair)
    assert not isinstance(pool, ArraySource)
    assert len(pool) == len(patches)
    shards = [len(group) for group in pool.groups(np.arange(len(pool)))]
    assert shards == list(SITES), "one file each"
    one = StreamSource(
        {"image": SignalStream(lambda place: (patches[place], None), patches.shape)}, shard=16
    )
    monkeypatch.setattr(one, "groups", pool.groups)
    sites = np.sort(np.random.default_rng(0).permutation(len(patches))[:50])
    made, wanted = ([*Batches(s, sites, 8, CPU).shuffled(3, 1)] for s in (pool, one))
    for mine, its in zip(made, wanted, strict=True):
        assert torch.equal(mine["image"].values, its["image"].values)
        assert mine["image"].valid is None


def test_a_model_tells_which_sites_of_which_recording_it_was_not_trained_on(pair, model, tmp_path):
    split = load(model).split
    for number, first in enumerate((0, SITES[0])):
        target = tmp_path / f"{number}.zarr"
        made = receipt("embed", "e" * 64, describe=f"{number}" * 64)
        embed.embed(pair[number], model, target, config=EmbedConfig(), receipt=made, compute=ON_CPU)
        found = store.open_store(target)
        expected = np.isin(np.arange(SITES[number]) + first, split.held_out)
        assert np.array_equal(found["held_out"], expected)
        assert found.attrs["trained_on"].endswith("scan_0, scan_1, with this one among them")


def test_all_sites_of_another_recording_are_held_out(pair, model, tmp_path):
    made = receipt("embed", "e" * 64, describe="another")
    embed.embed(
        pair[0], model, tmp_path / "e.zarr", config=EmbedConfig(), receipt=made, compute=ON_CPU
    )
    found = store.open_store(tmp_path / "e.zarr")
    assert found["held_out"].all()
    assert found.attrs["trained_on"] == "the model was trained on scan_0, scan_1, not on this one"


def test_the_estimator_takes_a_list_of_stores(pair, model):
    vae = InvariantVAE("rVAE", training=TRAINING, seed=0, device="cpu").fit(pair)
    weights = load(model).model.state_dict()
    for name, value in vae.trained.model.state_dict().items():
        assert torch.equal(weights[name], value)
    latents = vae.encode(pair)
    assert latents.sizes["site"] == sum(SITES)
    assert np.array_equal(np.unique(latents["source"]), [0, 1, 2, 3])
    alone = vae.encode(pair[1])
    assert np.array_equal(latents["content"][SITES[0] :], alone["content"])
    with pytest.raises(InputError, match="its own mask"):
        vae.fit(pair, valid=np.ones(3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_y": slice(2, None)}, "has patches 1 × 14 × 16, .* has 1 × 16 × 16; one model takes one kind"),
        ({"channel": "phase"}, r"has channels \('phase',\), .* has \('height',\)"),
    ],
)  # fmt: skip
def test_stores_of_another_kind_are_refused(pair, tmp_path, change, message):
    other = store.open_store(pair[1]).load().drop_encoding()
    if "channel" in change:
        other = other.assign_coords(channel=[change["channel"]])
    else:
        other = other.isel(change)
    store.write_dataset(tmp_path / "other.zarr", other)
    with pytest.raises(InputError, match=message):
        training_set([pair[0], tmp_path / "other.zarr"], share=0.1, seed=0)


def spectra_over(values: np.ndarray, units: str) -> xr.Dataset:
    """A store of spectra, with this axis."""
    coords = {"patch_x": ("patch_x", values, {"units": units}), "channel": ["eels"]}
    patch = (("site", "channel", "patch_y", "patch_x"), np.ones((2, 1, 1, len(values))))
    return xr.Dataset({"patch": patch}, coords, {"spectrum_axis": "energy"})


def test_spectra_over_another_axis_are_refused():
    electronvolts, other = spectra_over(np.linspace(0.4, 1.2, 9), "eV"), Path("other.zarr")
    refuse_another_kind(other, electronvolts, Path("first.zarr"), electronvolts)
    for axis in (spectra_over(np.linspace(400, 1200, 9), "meV"), spectra_over(np.linspace(0.5, 1.2, 9), "eV")):  # fmt: skip
        with pytest.raises(InputError, match=r"spectra over energy, 9 values from .* has energy, 9 values from 0.4 to 1.2 eV; one model"):  # fmt: skip
            refuse_another_kind(other, axis, Path("first.zarr"), electronvolts)


def test_a_model_is_refused_for_patches_of_another_kind_in_one_line(pair, model):
    mine = store.open_store(pair[0])
    refuse_unfit(model, mine, patches=pair[0])
    with pytest.raises(
        InputError, match="1 channels of 16 × 9 pixels, the model takes 1 of 16 × 16"
    ):
        refuse_unfit(model, mine.isel(patch_x=slice(9)), patches=pair[0])
    with pytest.raises(
        InputError, match=r"has the channels phase, the model .* takes height"
    ) as caught:
        refuse_unfit(model, mine.assign_coords(channel=["phase"]), patches=pair[0])
    assert "\n" not in str(caught.value)


def test_what_is_known_in_one_store_alone_is_unknown_in_the_others():
    labelled = SiteAnnotations(
        labels=np.array([1, 0]), place=np.array([[0, 1, 1], [2, 1, 1]], np.float32)
    )
    other = SiteAnnotations(place=np.array([[0, 5, 5]], np.float32))
    known = joined([labelled, other], lengths=[2, 1])
    assert known.labels is not None
    assert known.labels.tolist() == [1, 0, -1]
    assert known.place is not None
    assert known.place[:, 0].tolist() == [0, 2, 3], "frames of different recordings are different"
    given = replace(labelled, condition=np.ones((2, 1), np.float32))
    with pytest.raises(InputError, match=r"condition differs among the recordings"):
        joined([given, other], lengths=[2, 1])
