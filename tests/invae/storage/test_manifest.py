"""Damage to a finished store: lost, shortened and changed files are noticed, and named."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from invae.errors import Damaged, StoreError
from invae.storage import manifest, store
from invae.storage.provenance import Receipt
from invae.storage.store import Variable

N = 40


def receipt(key: str = "k") -> Receipt:
    return Receipt("ingest", key, "scan", (), {}, {}, "", 0, "")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with several shards, coordinates, text and a group."""
    target = tmp_path_factory.mktemp("stores") / "recording.zarr"
    partial = store.begin(target, "k")
    values = np.random.default_rng(0).normal(size=(N, 8, 8)).astype(np.float32)
    store.lay_out(partial, {"a": Variable(("frame", "y", "x"), values.shape, np.float32)}, shard=10)
    for block in store.blocks(N, 10):
        store.write_block(partial, {"a": values[block]}, start=block.start, shard=10)
    named = xr.Dataset({"b": ("y", np.arange(8.0))}, coords={"name": ("y", list("abcdefgh"))})
    store.write_dataset(partial, named)
    store.write_dataset(partial, xr.Dataset({"c": ("z", np.arange(3))}), group="inner")
    store.publish(partial, target, receipt())
    return target


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "recording.zarr"))


def files_of(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file())


def test_a_whole_store_passes_and_opens_without_a_warning(whole: Path):
    assert manifest.check_bytes(whole) == len(files_of(whole)) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(xr.open_zarr(whole, consolidated=False)) == {"a", "b"}
        assert "a" in dict(zarr.open_group(whole, mode="r").members())


def test_every_lost_file_is_noticed_at_opening(copy: Path):
    for file in files_of(copy):
        if file == copy / "zarr.json" or file == manifest.file_of(copy):
            continue
        content = file.read_bytes()
        file.unlink()
        assert not store.is_current(copy, "k")
        with pytest.raises(StoreError, match=r"damaged: .* is missing; remove it"):
            manifest.check_sizes(copy, again=True)
        file.write_bytes(content)
    assert store.is_current(copy, "k")


def test_a_lost_shard_is_no_zeros(copy: Path):
    (copy / "a" / "c" / "2" / "0" / "0").unlink()
    with pytest.raises(Damaged, match="a/c/2/0/0 is missing"):
        store.open_store(copy)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-1], lambda b: b"", lambda b: b + b"\0"],
    ids=["shortened", "emptied", "longer"],
)
def test_files_of_another_size_are_noticed_at_opening(copy: Path, damage: Callable[[bytes], bytes]):
    file = copy / "a" / "c" / "1" / "0" / "0"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(Damaged, match=r"a/c/1/0/0 has \d+ bytes instead of \d+"):
        store.open_store(copy)


def test_no_flipped_bit_of_a_value_is_read_as_another_value(copy: Path):
    """Every chunk has a checksum: of the arrays that are written by blocks, of coordinates, and of text."""
    rng = np.random.default_rng(1)
    expected = {name: store.open_store(copy)[name].to_numpy() for name in ("a", "b", "name")}
    n_noticed = 0
    for name, values in expected.items():
        chunk = next(
            p for p in files_of(copy / name) if p.name not in ("zarr.json", manifest.WITNESS)
        )
        content = chunk.read_bytes()
        for _ in range(40):
            changed = bytearray(content)
            changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
            chunk.write_bytes(changed)
            with pytest.raises(Damaged):
                manifest.check_bytes(copy)
            try:
                read = store.open_store(copy)[name].to_numpy()
            except (StoreError, ValueError, RuntimeError):
                n_noticed += 1
            else:
                np.testing.assert_array_equal(read, values)
        chunk.write_bytes(content)
    assert n_noticed > 100


def test_a_changed_chunk_says_how_its_file_is_found(copy: Path):
    file = copy / "a" / "c" / "0" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0x55
    file.write_bytes(content)
    with pytest.raises(Damaged, match="doctor --verify"):
        store.open_store(copy)["a"].to_numpy()
    with pytest.raises(Damaged, match="a/c/0/0/0 is not as it was written"):
        manifest.check_bytes(copy)


def test_metadata_and_manifest_are_compared_too(copy: Path):
    for file in (copy / "zarr.json", copy / "a" / "zarr.json", manifest.file_of(copy)):
        text = file.read_text()
        file.write_text(text.replace("1", "2", 1))
        with pytest.raises(Damaged):
            manifest.check_bytes(copy)
        file.write_text(text)


def test_a_store_whose_manifest_is_gone_is_not_current(copy: Path):
    shutil.rmtree(copy / manifest.GROUP)
    assert not store.is_current(copy, "k")
    for opening in (store.open_store, manifest.check_bytes):
        with pytest.raises(Damaged, match="its manifest is missing"):
            opening(copy)
    assert store.is_ours(copy)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    partial = store.begin(tmp_path / "model", "k")
    (partial / "model.json").write_text(json.dumps({"scales": [1.0, 2.0], "seed": 0}))
    (partial / "figures").mkdir()
    (partial / "figures" / "one.png").write_bytes(b"png" * 100)
    store.publish(partial, tmp_path / "model", receipt())
    return tmp_path / "model"


def test_the_changed_field_of_a_json_file_is_named(folder: Path):
    (folder / "model.json").write_text(json.dumps({"scales": [9.0, 2.0], "seed": 0}))
    with pytest.raises(Damaged, match=r"model\.json is not as it was written \(field scales\)"):
        manifest.check_bytes(folder)


def test_a_changed_model_without_its_manifest_is_refused(folder: Path):
    (folder / "model.json").write_text("{}")
    (folder / manifest.FILE).unlink()
    with pytest.raises(Damaged, match="its manifest is missing"):
        manifest.check_bytes(folder)


def test_a_folder_that_lost_a_figure_is_made_again(folder: Path):
    assert store.is_current(folder, "k")
    shutil.rmtree(folder / "figures")
    assert not store.is_current(folder, "k")


def test_a_foreign_store_has_no_manifest_and_is_not_compared(tmp_path: Path):
    xr.Dataset({"a": ("x", np.arange(4))}).to_zarr(tmp_path / "foreign.zarr", consolidated=False)
    assert manifest.check_bytes(tmp_path / "foreign.zarr") == 0
    assert list(store.open_store(tmp_path / "foreign.zarr")) == ["a"]


@pytest.mark.parametrize("place", ["whole.zarr", "other.zarr"])
def test_a_store_copied_by_another_program_with_its_attributes_is_foreign(
    whole: Path, tmp_path: Path, place: str
):
    dataset = xr.open_zarr(whole, consolidated=False).load()
    target = tmp_path / "copies" / place
    dataset.to_zarr(target, consolidated=False, zarr_format=3)
    assert store.read_receipt(target) == store.read_receipt(whole)
    xr.testing.assert_identical(store.open_store(target).load(), dataset)
    assert manifest.check_bytes(target) == 0


def test_a_copy_of_all_groups_by_another_program_is_foreign(whole: Path, tmp_path: Path):
    tree = xr.open_datatree(whole, engine="zarr", consolidated=False)
    tree.to_zarr(tmp_path / "tree.zarr", zarr_format=3, consolidated=False)
    assert manifest.check_bytes(tmp_path / "tree.zarr") == 0
    assert dict(store.open_store(tmp_path / "tree.zarr").sizes) == dict(tree.sizes)


def test_a_lost_witness_is_noticed(copy: Path):
    for witness in copy.rglob(manifest.WITNESS):
        witness.unlink()
    with pytest.raises(Damaged, match="listed is missing"):
        manifest.check_bytes(copy)


def test_the_manifest_of_a_store_with_groups_alone_is_missed(tmp_path: Path):
    partial = store.begin(tmp_path / "groups.zarr", "k")
    store.write_dataset(partial, xr.Dataset({"a": ("x", np.arange(4))}), group="one")
    store.publish(partial, tmp_path / "groups.zarr", receipt())
    shutil.rmtree(tmp_path / "groups.zarr" / manifest.GROUP)
    with pytest.raises(Damaged, match="its manifest is missing"):
        store.open_store(tmp_path / "groups.zarr", group="one")


def test_a_shared_store_has_the_manifest_of_its_source(whole: Path, tmp_path: Path):
    store.share(whole, tmp_path / "other.zarr")
    assert manifest.check_bytes(tmp_path / "other.zarr") == manifest.check_bytes(whole)


def test_an_unfinished_store_opens_whatever_a_killed_process_has_left(copy: Path):
    """A receipt without its manifest, or a manifest of other files: the store is completed by the next run."""
    growing = copy.rename(copy.with_name(".recording.zarr.k.partial"))
    (growing / "b" / "zarr.json").write_text((growing / "b" / "zarr.json").read_text() + " ")
    assert set(store.open_store(growing)) == {"a", "b"}
    shutil.rmtree(growing / manifest.GROUP)
    assert set(store.open_store(growing)) == {"a", "b"}
