"""Stores: laid out in shards, written block by block, published whole or not at all."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from invae import dims
from invae.errors import StoreError
from invae.storage import store
from invae.storage.provenance import Receipt, Source
from invae.storage.store import Variable


@pytest.fixture
def receipt() -> Receipt:
    source = Source("scan.ibw", "ab" * 32, 7)
    return Receipt("ingest", "k" * 64, "scan", (source,), {}, {"a": 1}, "h", 0, "c")


def fill(path: Path, values: np.ndarray, *, shard: int) -> None:
    variable = Variable(("frame", "y", "x"), values.shape, values.dtype, dims.attrs("height", "m"))
    store.lay_out(path, {"height": variable}, shard=shard)
    for block in store.blocks(len(values), shard):
        store.write_block(path, {"height": values[block]}, start=block.start, shard=shard)


@settings(derandomize=True, max_examples=15, deadline=None)
@given(
    n=st.integers(1, 13),
    shard=st.integers(1, 15),
    rows=st.integers(1, 5),
    dtype=st.sampled_from(["f4", "f8", "u2", "i1", "?"]),
)
def test_blocks_come_back_as_they_were(
    n: int, shard: int, rows: int, dtype: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    values = (np.arange(n * rows * 4) % 120).reshape(n, rows, 4).astype(dtype)
    fill(path, values, shard=shard)
    dataset = store.open_store(path)
    np.testing.assert_array_equal(dataset["height"], values)
    assert dataset["height"].attrs["units"] == "m"
    starts = [block.start for block in store.blocks(n, shard)]
    assert all(store.block_is_written(path, ["height"], start=s, shard=shard) for s in starts)


def test_blocks_cover_everything_once() -> None:
    assert store.blocks(10, 4) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert store.blocks(0, 4) == []


def test_a_shard_stays_within_its_size() -> None:
    large = Variable(("frame", "y", "x"), (1000, 100, 100), np.float32)
    small = Variable(("frame", "y", "x"), (1000, 100, 100), np.bool_)
    assert store.shard_length({"a": large, "b": small}, shard_bytes=4e6) == 100
    assert store.shard_length({"a": large}, shard_bytes=1) == 1
    assert store.shard_length({"a": large}, shard_bytes=1e12) == 1000


def test_chunks_are_about_a_megabyte_and_shards_hold_whole_ones(tmp_path: Path) -> None:
    shapes = {"frames": (64, 64, 64), "large": (64, 3000, 2001), "scan": (64, 7, 96, 96)}
    for name, shape in shapes.items():
        variable = Variable(tuple("abcd"[: len(shape)]), shape, np.dtype("f4"))
        store.lay_out(tmp_path / name, {"values": variable}, shard=12)
        array = zarr.open_group(tmp_path / name, mode="r")["values"]
        assert isinstance(array, zarr.Array)
        assert array.shards is not None
        assert np.prod(array.chunks) * 4 <= 1.1 * store.CHUNK_BYTES
        assert all(s % c == 0 for s, c in zip(array.shards, array.chunks, strict=True))
        assert array.shards[0] == 12


def test_a_block_that_is_there_is_seen(tmp_path: Path) -> None:
    variable = Variable(("frame", "y", "x"), (8, 3, 3), np.float32)
    store.lay_out(tmp_path / "a", {"height": variable}, shard=4)
    written = [
        lambda s=start: store.block_is_written(tmp_path / "a", ["height"], start=s, shard=4)
        for start in (0, 4)
    ]
    assert [is_there() for is_there in written] == [False, False]
    # zeros are the fill value, and leave their file all the same
    store.write_block(tmp_path / "a", {"height": np.zeros((4, 3, 3), "f4")}, start=4, shard=4)
    assert [is_there() for is_there in written] == [False, True]


@pytest.mark.parametrize(("start", "n"), [(1, 4), (0, 3), (4, 2)])
def test_a_block_of_half_shards_is_refused(start: int, n: int, tmp_path: Path) -> None:
    variable = Variable(("frame", "y", "x"), (10, 3, 3), np.float32)
    store.lay_out(tmp_path / "a", {"height": variable}, shard=4)
    with pytest.raises(StoreError, match="does not cover whole shards of 4"):
        store.write_block(
            tmp_path / "a", {"height": np.ones((n, 3, 3), "f4")}, start=start, shard=4
        )


def test_a_layout_that_is_there_is_left_alone(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(6, 2, 2)
    fill(tmp_path / "a", values, shard=2)
    variable = Variable(("frame", "y", "x"), values.shape, values.dtype)
    store.lay_out(tmp_path / "a", {"height": variable}, shard=2)
    np.testing.assert_array_equal(store.open_store(tmp_path / "a")["height"], values)


def test_text_and_groups_come_back(tmp_path: Path) -> None:
    truth = xr.Dataset(
        {"name": ("pin", ["a", "λ"]), "y": ("pin", [1.0, 2.0])},
        coords={"kind": ("pin", ["x", "y"])},
    )
    store.write_dataset(tmp_path / "a", truth, group="truth")
    found = store.open_store(tmp_path / "a", group="truth")
    assert found["name"].values.tolist() == ["a", "λ"]
    assert found["kind"].values.tolist() == ["x", "y"]
    assert xr.open_zarr(tmp_path / "a", group="truth", consolidated=False)["y"].values[1] == 2


def test_a_store_appears_whole_and_replaces_the_old_one(tmp_path: Path, receipt: Receipt) -> None:
    target = tmp_path / "recording.zarr"
    for value in (1.0, 2.0):
        partial = store.begin(target, receipt.key)
        fill(partial, np.full((3, 2, 2), value), shard=1)
        store.publish(partial, target, receipt)
        assert store.open_store(target)["height"].values.max() == value
        assert os.listdir(tmp_path) == ["recording.zarr"]
    assert store.is_current(target, receipt.key)
    assert not store.is_current(target, "other")
    assert store.read_receipt(target) == receipt
    assert store.open_store(target).attrs["source_sha256"] == ["ab" * 32]


def test_a_folder_carries_its_receipt_in_a_file(tmp_path: Path, receipt: Receipt) -> None:
    target = tmp_path / "model"
    partial = store.begin(target, receipt.key)
    (partial / "model.json").write_text("{}")
    store.publish(partial, target, receipt)
    assert store.read_receipt(target) == receipt


def test_what_was_begun_goes_on_and_what_others_began_goes_away(tmp_path: Path) -> None:
    target = tmp_path / "recording.zarr"
    first = store.begin(target, "first key")
    (first / "shard").write_text("done")
    assert (store.begin(target, "first key") / "shard").exists()
    second = store.begin(target, "second key")
    assert list(tmp_path.iterdir()) == [second]


@pytest.mark.parametrize(
    "change",
    [
        {"versions": True},
        {"config": []},
        {"inputs": "k"},
        {"machine": None},
        {"seed": 1.5},
        {"key": 7},
        {"sources": [{"name": "a", "sha256": [], "n_bytes": 7}]},
        {"sources": [{"name": "a", "sha256": "b", "n_bytes": "many"}]},
    ],
)
def test_a_receipt_with_a_field_of_another_type_is_none(
    change: dict[str, Any], tmp_path: Path, receipt: Receipt
) -> None:
    file = tmp_path / store.RECEIPT_FILE
    file.write_text(json.dumps(receipt.to_json()))
    assert store.read_receipt(tmp_path) == receipt
    file.write_text(json.dumps({**receipt.to_json(), **change}))
    assert store.read_receipt(tmp_path) is None


def test_a_death_between_the_two_renames_loses_nothing(tmp_path: Path, receipt: Receipt) -> None:
    target = tmp_path / "recording.zarr"
    partial = store.begin(target, receipt.key)
    fill(partial, np.ones((2, 2, 2)), shard=1)
    store.publish(partial, target, receipt)
    target.rename(tmp_path / ".recording.zarr.retired")
    assert store.read_receipt(target) is None
    assert not target.exists()  # whoever only looks changes nothing
    store.recover(target)
    assert store.is_current(target, receipt.key)
    assert target.exists()


@pytest.mark.parametrize("content", ["", "{", '{"attributes": {}}', "[]", '{"attributes": []}'])
def test_what_has_no_receipt_is_not_finished(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(content)
    assert store.read_receipt(tmp_path / "a.zarr") is None
    assert store.read_receipt(tmp_path / "nothing") is None


def test_a_store_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a.zarr is not a Zarr store, or an unfinished one"):
        store.open_store(tmp_path / "a.zarr")
    fill(tmp_path / "a.zarr", np.ones((2, 2, 2)), shard=1)
    with pytest.raises(StoreError, match=r"a.zarr/truth is not a Zarr store"):
        store.open_store(tmp_path / "a.zarr", group="truth")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no room left to write it .No space left on device.; free some space"),
        (errno.EDQUOT, "no room left"),
        (errno.EROFS, "cannot be written .Read-only file system.; choose a writable folder"),
        (errno.EACCES, "cannot be written .Permission denied."),
    ],
)
def test_what_the_disk_refuses_is_one_line(number: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=message) as refused, store.writing(tmp_path / "a.zarr"):
        raise OSError(number, os.strerror(number))
    assert str(refused.value).startswith(str(tmp_path / "a.zarr"))
    assert "\n" not in str(refused.value)


def test_other_failures_of_the_disk_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"), store.writing(tmp_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _in_the_way(path: Path, receipt: Receipt) -> list[Callable[[], object]]:
    variable = Variable(("frame", "y", "x"), (2, 2, 2), np.float32)
    return [
        lambda: store.begin(path / "a.zarr", "key"),
        lambda: store.lay_out(path / "a.zarr", {"height": variable}, shard=1),
        lambda: store.publish(path / "a", path / "b", receipt),
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_file_in_the_way_is_one_line(number: int, tmp_path: Path, receipt: Receipt) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"file/\w.* cannot be written"):
        _in_the_way(tmp_path / "file", receipt)[number]()


def test_sparse_counts_take_a_sixth_of_their_memory_on_disk(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(0.35, (16, 192, 192)).astype(np.uint16)
    fill(tmp_path / "a.zarr", counts, shard=16)
    stored = sum(file.stat().st_size for file in (tmp_path / "a.zarr" / "height" / "c").rglob("0"))
    assert 0 < stored < counts.nbytes / 6
    np.testing.assert_array_equal(store.open_store(tmp_path / "a.zarr")["height"], counts)
