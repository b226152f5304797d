"""Places: paths and URLs mean one thing, and an object store's objects answer to pathlib's words."""

import os
import pickle
import time
import urllib.request
from pathlib import Path, PurePosixPath
from uuid import uuid4

import numpy as np
import pytest
import xarray as xr
import zarr.storage
from obstore.store import from_url

from benchmarks.standstills.dripping import dripping_server
from invae import dims
from invae.errors import InputError, StoreError
from invae.storage import location, store
from invae.storage.location import ObjectPath, as_path, put_if, read_tagged
from invae.storage.provenance import Receipt, Source


@pytest.fixture
def there(s3_bucket: str) -> Path:
    """An empty prefix on an object store."""
    return as_path(f"s3://{s3_bucket}/{uuid4().hex}")


@pytest.fixture
def other_bucket(s3_bucket: str) -> Path:
    """An empty prefix in a second bucket of the same object store."""
    address = f"{os.environ['AWS_ENDPOINT_URL']}/{s3_bucket}-other"
    urllib.request.urlopen(urllib.request.Request(address, method="PUT")).close()
    return as_path(f"s3://{s3_bucket}-other/{uuid4().hex}")


@pytest.fixture
def receipt() -> Receipt:
    source = Source("scan.ibw", "ab" * 32, 7)
    return Receipt("ingest", "k" * 64, "scan", (source,), {}, {"a": 1}, "h", 0, "c")


def fill(path: Path, values: np.ndarray) -> None:
    variable = store.Variable(("frame", "y", "x"), values.shape, values.dtype, dims.attrs("height"))
    store.lay_out(path, {"height": variable}, shard=2)
    for block in store.blocks(len(values), 2):
        store.write_block(path, {"height": values[block]}, start=block.start, shard=2)


def test_a_url_stays_one_through_pathlib_and_pickle() -> None:
    found = as_path("s3://bucket/a/b")
    assert str(found / "c.zarr") == "s3://bucket/a/b/c.zarr"
    assert as_path(Path("s3://bucket/a/b")) == found == as_path(str(found))
    assert found.parent == as_path("s3://bucket/a")
    assert (found.name, str(found.absolute())) == ("b", "s3://bucket/a/b")
    assert (found / "c").relative_to(found) == PurePosixPath("c")
    assert str(pickle.loads(pickle.dumps(found)).with_name("d")) == "s3://bucket/a/d"


def test_what_is_no_url_is_a_folder() -> None:
    assert as_path("results/a") == Path("results/a")
    assert as_path("file:///tmp/a%20b") == Path("/tmp/a b")
    assert not isinstance(as_path(Path("/tmp")), ObjectPath)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://host/a", "ftp://host/a: stores lie in a folder, or at s3, gs, az://"),
        ("s3://key:secret@bucket/a", "s3://…@bucket/a: credentials and options do not belong"),
        ("s3://bucket/a?key=secret", "s3://bucket/a: credentials and options do not belong"),
        ("s3://", "names no bucket"),
    ],
)
def test_other_urls_are_refused_without_telling_secrets(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")) as refused:
        as_path(text)
    assert "secret" not in str(refused.value)


def test_no_folder_of_this_machine_is_ever_meant(there: Path) -> None:
    with pytest.raises(StoreError, match="lies on an object store"):
        os.listdir(there)
    with pytest.raises(StoreError, match="cannot rename"):
        there.rename(there / "b")


def test_objects_answer_to_the_words_of_files(there: Path) -> None:
    assert not there.exists()
    (there / "a.json").write_text("α")
    (there / "in" / "b.json").write_bytes(b"bb")
    assert (there / "a.json").read_text() == "α"
    assert (there / "in").is_dir()
    assert not (there / "in").is_file()
    assert (there / "in" / "b.json").stat().st_size == 2
    assert [p.name for p in there.iterdir()] == ["a.json", "in"]
    assert [p.name for p in there.glob("*/b.json")] == ["b.json"]
    assert [p.name for p in there.rglob("*")] == ["a.json", "b.json"]
    (there / "a.json").replace(there / "c.json")
    assert [p.name for p in there.glob("*.json")] == ["c.json"]
    with pytest.raises(FileNotFoundError):
        (there / "a.json").unlink()
    store.remove(there)
    assert list(there.rglob("*")) == []


def test_a_store_appears_whole_and_replaces_the_old_one(there: Path, receipt: Receipt) -> None:
    target = there / "recording.zarr"
    for value in (1.0, 2.0):
        partial = store.begin(target, receipt.key)
        fill(partial, np.full((5, 2, 2), value))
        assert store.block_is_written(partial, ["height"], start=4, shard=2)
        store.publish(partial, target, receipt)
        assert store.open_store(target)["height"].to_numpy().max() == value
        assert [p.name for p in there.iterdir()] == ["recording.zarr"]
    assert store.read_receipt(target) == receipt
    objects = zarr.storage.ObjectStore(from_url(str(target)))
    with xr.open_zarr(objects, consolidated=False) as plain:
        assert plain["height"].shape == (5, 2, 2)


def test_a_death_while_publishing_leaves_no_store_and_loses_nothing(
    there: Path, receipt: Receipt
) -> None:
    target = there / "recording.zarr"
    partial = store.begin(target, receipt.key)
    fill(partial, np.ones((4, 2, 2)))
    store.write_receipt(partial, receipt)
    assert isinstance(partial, ObjectPath)
    assert isinstance(target, ObjectPath)
    location.copy(partial, target, last=())
    (target / "zarr.json").unlink()  # as it stands before the last object has come
    assert store.read_receipt(target) is None
    with pytest.raises(StoreError, match="is not a Zarr store, or an unfinished one"):
        store.open_store(target)
    store.publish(store.begin(target, receipt.key), target, receipt)
    assert store.open_store(target)["height"].to_numpy().min() == 1


@pytest.mark.parametrize("ends", ["here to there", "there to here", "to another bucket"])
def test_a_finished_store_is_shared_between_places_of_every_kind(
    ends: str, there: Path, other_bucket: Path, tmp_path: Path, receipt: Receipt
) -> None:
    first, second = {
        "here to there": (tmp_path, there),
        "there to here": (there, tmp_path),
        "to another bucket": (there, other_bucket),
    }[ends]
    made, shared = first / "a.zarr", second / "b.zarr"
    partial = store.begin(made, receipt.key)
    fill(partial, np.arange(20.0).reshape(5, 2, 2))
    store.publish(partial, made, receipt)
    for _ in range(2):
        store.share(made, shared)
    assert location.names_in(shared) == location.names_in(made)
    for name in location.names_in(made):
        assert (shared / name).read_bytes() == (made / name).read_bytes()
    assert store.read_receipt(shared) == receipt
    assert [path.name for path in second.iterdir()] == ["b.zarr"]


def test_what_others_began_goes_away(there: Path) -> None:
    first = store.begin(there / "a.zarr", "first key")
    fill(first, np.ones((2, 2, 2)))
    assert store.begin(there / "a.zarr", "first key") == first
    assert first.exists()
    store.begin(there / "a.zarr", "second key")
    assert not first.exists()


def test_of_two_writers_one_is_faster(there: Path) -> None:
    lock = there / "lock"
    assert isinstance(lock, ObjectPath)
    assert put_if(lock, b"first", tag=None)
    assert put_if(lock, b"second", tag=None) is None
    content, tag = read_tagged(lock)
    assert content == b"first"
    assert put_if(lock, b"third", tag=tag)
    assert put_if(lock, b"fourth", tag=tag) is None
    assert lock.read_bytes() == b"third"


def test_a_bucket_that_is_not_there_is_one_line(s3_bucket: str) -> None:
    with pytest.raises(StoreError, match=r"s3://no-such-bucket/a.*no such bucket") as refused:
        store.begin(as_path("s3://no-such-bucket/a/b.zarr"), "key")
    assert "\n" not in str(refused.value)


def test_only_the_store_and_readers_of_files_open_zarr_themselves() -> None:
    """Zarr takes a URL that has become a path for a folder, and makes it."""
    rooms = Path(store.__file__).parents[1]
    opening = {
        file.relative_to(rooms).as_posix()
        for file in rooms.rglob("*.py")
        if any(
            word in file.read_text() for word in (" zarr.open_group(", ".open_zarr(", ".to_zarr(")
        )
    }
    assert opening - {"synthetic/domains.py"} == {
        "readers/formats/abtem_zarr.py",
        "readers/formats/hyperspy.py",
        "readers/formats/zarr_netcdf.py",
        "storage/store.py",
    }


@pytest.mark.parametrize("manner", ["silent", "headers"])
def test_an_object_store_that_never_finishes_its_answer_is_named_soon(manner, monkeypatch):
    monkeypatch.setattr(location, "SECONDS_TO_ANSWER", 1.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "name")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with dripping_server(manner) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        began = time.monotonic()
        with pytest.raises(StoreError, match="takes longer than 1 s to answer; check its address"):
            location.require_answer(as_path(f"s3://{manner}-{uuid4().hex}/results"))
        assert time.monotonic() - began < 10


def test_a_folder_need_not_answer(tmp_path):
    location.require_answer(tmp_path / "missing")
