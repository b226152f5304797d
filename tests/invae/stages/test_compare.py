"""What is the same is called the same, and what is not is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from safetensors.numpy import save_file

from invae.stages.compare import differences, digest_of
from invae.storage import store

OUTPUTS = ("result.zarr", "model")


def filled(folder: Path, seed: int = 0) -> Path:
    """A store of two groups and a model."""
    rng = np.random.default_rng(seed)
    root = xr.Dataset(
        {
            "content": (("site", "latent"), rng.normal(size=(7, 2)).astype(np.float32)),
            "count": ("site", rng.integers(0, 9, 7)),
            "gap": ("site", np.full(7, np.nan)),
        },
        coords={"name": ("site", [f"site {index}" for index in range(7)])},
        attrs={"created": seed},
    )
    folder.mkdir(parents=True)
    store.write_dataset(folder / "result.zarr", root)
    store.write_dataset(folder / "result.zarr", root[["count"]], group="inner")
    (folder / "model").mkdir()
    save_file({"weight": rng.normal(size=(3, 2))}, folder / "model" / "model.safetensors")
    (folder / "model" / "model.json").write_text(json.dumps({"seed": seed}))
    (folder / "model" / store.RECEIPT_FILE).write_text(str(folder))
    return folder


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    return filled(tmp_path / "old"), filled(tmp_path / "new")


def test_equal_folders_do_not_differ_whenever_they_were_made(pair):
    assert differences(*pair, outputs=OUTPUTS) == []


def test_one_value_is_found_with_its_place_and_size(pair):
    target = store.open_store(pair[1] / "result.zarr").load()
    target["content"][3, 1] += 0.5
    target["count"][2] += 4
    target["gap"][0] = 1.0
    store.write_dataset(pair[1] / "result.zarr", target)
    found = {one.name: one for one in differences(*pair, outputs=OUTPUTS)}
    assert found.keys() == {f"result.zarr/{name}" for name in ("content", "count", "gap")}
    assert found["result.zarr/content"].n_values == 1
    assert found["result.zarr/content"].largest == pytest.approx(0.5, rel=1e-6)
    assert found["result.zarr/content"].what == "1 of 14 values differ"
    assert found["result.zarr/count"].largest == 4
    assert found["result.zarr/gap"].n_values == 1


def test_other_values_differ_in_every_array_and_weight(tmp_path):
    old, new = filled(tmp_path / "old"), filled(tmp_path / "new", seed=1)
    places = {one.name for one in differences(old, new, outputs=OUTPUTS)}
    assert places == {
        "result.zarr/content",
        "result.zarr/count",
        "result.zarr/inner/count",
        "model/weight",
        "model/model.json",
    }


def test_what_is_missing_new_or_of_another_shape_is_named(pair):
    old, new = pair
    more = xr.Dataset({"extra": ("site", np.zeros(7)), "text": ("site", ["a"] * 7)})
    store.write_dataset(new / "result.zarr", more)
    store.write_dataset(new / "result.zarr", xr.Dataset({"count": ("site", [1])}), group="other")
    save_file({"weight": np.zeros((3, 3))}, new / "model" / "model.safetensors")
    found = {one.name: one.what for one in differences(old, new, outputs=(*OUTPUTS, "none"))}
    assert found == {
        "result.zarr/extra": "is new",
        "result.zarr/text": "is new",
        "result.zarr/other": "is new",
        "model/weight": "(axis_0 3, axis_1 2) became (axis_0 3, axis_1 3)",
        "none": f"{old / 'none'} is missing",
    }


def test_arrays_larger_than_a_block_are_compared_to_their_end(pair, monkeypatch):
    monkeypatch.setattr("invae.stages.compare.BLOCK_BYTES", 8.0)
    target = store.open_store(pair[1] / "result.zarr").load()
    target["content"][6, 1] += 0.25
    store.write_dataset(pair[1] / "result.zarr", target)
    (found,) = differences(*pair, outputs=OUTPUTS)
    assert (found.name, found.n_values) == ("result.zarr/content", 1)


def test_equal_values_have_equal_digests_however_they_are_cut(pair, tmp_path):
    for name in OUTPUTS:
        assert digest_of(pair[0] / name) == digest_of(pair[1] / name)
    whole = store.open_store(pair[0] / "result.zarr").load().drop_encoding()
    halves = whole.chunk(site=4)
    for path, dataset in ((tmp_path / "whole.zarr", whole), (tmp_path / "halves.zarr", halves)):
        store.write_dataset(path, dataset)
    assert digest_of(tmp_path / "whole.zarr") == digest_of(tmp_path / "halves.zarr")


@pytest.mark.parametrize("name", ["content", "count", "gap", "name"])
def test_one_other_value_is_another_digest(pair, name):
    target = store.open_store(pair[1] / "result.zarr").load()
    target[name][0] = "site x" if name == "name" else target[name][0].fillna(0) + 1
    store.write_dataset(pair[1] / "result.zarr", target)
    assert digest_of(pair[0] / "result.zarr") != digest_of(pair[1] / "result.zarr")


def test_a_weight_and_a_setting_count_in_the_digest_of_a_model(pair):
    before = digest_of(pair[0] / "model")
    (pair[1] / "model" / "model.json").write_text(json.dumps({"seed": 8}))
    assert digest_of(pair[1] / "model") != before
    save_file({"weight": np.ones((3, 2))}, pair[0] / "model" / "model.safetensors")
    assert digest_of(pair[0] / "model") != before
