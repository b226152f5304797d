"""A recording consists of its own files: links that lead out of it, devices and pipes are refused, also if they come later."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr

import invae
from invae.config import IngestConfig
from invae.errors import InputError
from invae.readers import files_of, own_files_of
from invae.readers.formats import npy
from invae.readers.ingest import ingest
from invae.readers.own_files import mark_of
from invae.stages.stages import sources_of

KEY = (b"-----BEGIN PRIVATE KEY----- not really a key " * 200)[:4096]
REFUSED = "is a link that leaves|is a device or pipe"

Store = Callable[[Path], Path]
Swap = Callable[[Path, Path], None]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A private file that is as long as a chunk, outside of the folder of recordings."""
    path = tmp_path / "secret" / "key"
    path.parent.mkdir()
    path.write_bytes(KEY)
    return path


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """The folder in which recordings arrive."""
    path = tmp_path / "box"
    path.mkdir()
    return path


def raw_v3(box: Path) -> Path:
    """A store with one uncompressed chunk; returns the chunk."""
    return _raw(box, zarr_format=3)


def raw_v2(box: Path) -> Path:
    return _raw(box, zarr_format=2)


def sharded(box: Path) -> Path:
    return _raw(box, zarr_format=3, shards=(64, 64), chunks=(32, 32))


def nested(box: Path) -> Path:
    """The chunk of a second array, in a group within the store."""
    _raw(box, zarr_format=3)
    group = zarr.open_group(box / "scan.zarr" / "inner", mode="a")
    group.create_array("more", data=np.zeros((8, 8)))
    return box / "scan.zarr" / "inner" / "more" / "c" / "0" / "0"


def _raw(box: Path, *, zarr_format: Any, chunks: Any = (64, 64), shards: Any = None) -> Path:
    group = zarr.open_group(box / "scan.zarr", mode="w", zarr_format=zarr_format)
    array = group.create_array(
        "signal",
        shape=(64, 64),
        dtype="u1",
        chunks=chunks,
        shards=shards,
        compressors=None,
        filters=None,
        dimension_names=("y", "x") if zarr_format == 3 else None,
    )
    array.attrs["_ARRAY_DIMENSIONS"] = ["y", "x"]
    array[:] = np.arange(4096, dtype="u1").reshape(64, 64)
    (chunk,) = [p for p in (box / "scan.zarr" / "signal").rglob("*") if p.name in ("0", "0.0") and p.is_file()]  # fmt: skip
    return chunk


STORES: tuple[Store, ...] = (raw_v3, raw_v2, sharded, nested)


def to_file(part: Path, secret: Path) -> None:
    part.unlink()
    part.symlink_to(secret)


def to_folder(part: Path, secret: Path) -> None:
    """The folder of the chunk is outside."""
    part.rename(secret.with_name(part.name))
    part.parent.rename(part.parent.with_name(".away"))
    part.parent.symlink_to(secret.parent)


def to_device(part: Path, secret: Path) -> None:
    part.unlink()
    part.symlink_to("/dev/zero")


def to_pipe(part: Path, secret: Path) -> None:
    part.unlink()
    os.mkfifo(part)


def to_metadata(part: Path, secret: Path) -> None:
    """The description of the array is outside."""
    described = [p / name for p in part.parents for name in ("zarr.json", ".zarray")]
    found = next(path for path in described if path.is_file())
    outside = found.rename(secret.with_name("array.json"))
    found.symlink_to(outside)


SWAPS: tuple[Swap, ...] = (to_file, to_folder, to_device, to_pipe, to_metadata)


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize("store", STORES)
def test_no_part_of_a_store_is_read_from_elsewhere(
    store: Store, swap: Swap, box: Path, secret: Path
) -> None:
    part = store(box)
    path = box / "scan.zarr"
    assert np.nanmax(invae.open_recording(path)["signal"]) == 255, "it can be read as it is"
    swap(part, secret)
    for read in (invae.open_recording, own_files_of, lambda path: sources_of([path])):
        with pytest.raises(InputError, match=REFUSED):
            read(path)


def test_links_within_a_store_and_to_what_the_user_names_are_followed(
    box: Path, tmp_path: Path
) -> None:
    chunk = raw_v3(box)
    chunk.symlink_to(chunk.rename(chunk.with_name("values")))
    (tmp_path / "link.zarr").symlink_to(box / "scan.zarr")
    (tmp_path / "link").symlink_to(box)
    for path in (tmp_path / "link.zarr", tmp_path / "link" / "scan.zarr"):
        assert np.nanmax(invae.open_recording(path)["signal"]) == 255
        assert sources_of([path])
    with pytest.raises(InputError, match=r"link\.zarr: is a link that leaves the folder"):
        own_files_of(tmp_path / "link.zarr", folder=tmp_path / "another")
    assert own_files_of(tmp_path / "link.zarr", folder=tmp_path / "link"), "it leads into it"


def test_a_companion_is_not_taken_from_elsewhere(box: Path, secret: Path) -> None:
    np.save(box / "scan.npy", np.eye(8))
    secret.write_text(json.dumps({"auths": {"registry": "token"}}))
    (box / "scan.json").symlink_to(secret)
    with pytest.raises(
        InputError, match=r"scan.json: is a link that leaves the folder of scan.npy"
    ):
        invae.open_recording(box / "scan.npy")
    (box / "scan.json").unlink()
    (box / "real.json").write_text("{}")
    (box / "scan.json").symlink_to(box / "real.json")
    assert invae.open_recording(box / "scan.npy").sizes["y"] == 8


def test_a_companion_beside_the_target_of_a_named_link_is_its_own(
    box: Path, tmp_path: Path
) -> None:
    np.save(box / "scan.npy", np.eye(8))
    (box / "scan.json").write_text("{}")
    for name in ("scan.npy", "scan.json"):
        (tmp_path / name).symlink_to(box / name)
    assert len(own_files_of(tmp_path / "scan.npy")) == 2


def test_a_pipe_beside_a_recording_is_not_opened(box: Path) -> None:
    (box / "scan.raw").write_bytes(b"\0" * 100)
    os.mkfifo(box / "acquisition.xml")
    assert files_of(box / "scan.raw") == (box / "scan.raw",)


OME = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><Image ID="Image:0">
<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="32" SizeY="32" SizeZ="1" SizeC="1" SizeT="2">
<Channel ID="Channel:0:0" SamplesPerPixel="1"/>
<TiffData FirstT="0" IFD="0" PlaneCount="1"><UUID FileName="a.ome.tif">urn:uuid:1</UUID></TiffData>
<TiffData FirstT="1" IFD="0" PlaneCount="1"><UUID FileName="../secret/b.tif">urn:uuid:2</UUID></TiffData>
</Pixels></Image></OME>"""


def test_a_tiff_that_names_another_file_does_not_show_it(box: Path, secret: Path) -> None:
    own, other = np.arange(1024, dtype="u2").reshape(32, 32), np.full((32, 32), 7777, "u2")
    for path, image in ((box / "a.ome.tif", own), (secret.with_name("b.tif"), other)):
        tifffile.imwrite(path, image, description=OME, metadata=None)
    recording = invae.open_recording(box / "a.ome.tif")
    np.testing.assert_array_equal(recording["signal"].values.squeeze(), own)
    assert any("other files, which are not read" in note for note in recording.attrs["notes"])


@pytest.mark.parametrize("back", [True, False], ids=["and back", "to stay"])
def test_a_file_that_is_swapped_while_it_is_read_is_not_published(
    back: bool,
    box: Path,
    secret: Path,
    tmp_path: Path,
    receipt_for: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, read = box / "scan.npy", npy._read_npy_pixels
    np.save(path, np.arange(64.0).reshape(8, 8))
    np.save(secret.with_name("other.npy"), 7 * np.eye(8))

    def swapping(*given: Any, **options: Any) -> np.ndarray:
        path.rename(box / ".away")
        path.symlink_to(secret.with_name("other.npy"))
        values = read(*given, **options)
        if back:
            (box / ".away").replace(path)
        return values

    monkeypatch.setattr(npy, "_read_npy_pixels", swapping)
    target = tmp_path / "out" / "recording.zarr"
    with pytest.raises(InputError, match=r"scan\.npy: changed while it was read"):
        ingest([path], target, config=IngestConfig(), receipt=receipt_for(path))
    assert not target.exists()


def test_a_mark_tells_what_was_written_swapped_or_moved_away_and_back(box: Path) -> None:
    chunk = raw_v3(box)
    store = box / "scan.zarr"
    before = mark_of(store)
    assert mark_of(store) == before
    chunk.rename(box / "away")
    (box / "away").rename(chunk)
    after = mark_of(store)
    assert after != before
    assert after.n_bytes == before.n_bytes


def test_a_recording_that_runs_inside_a_folder_is_not_a_link_out_of_it(
    box: Path, secret: Path, tmp_path: Path, receipt_for: Callable[..., Any]
) -> None:
    np.save(secret.with_name("other.npy"), np.eye(8))
    (box / "scan.npy").symlink_to(secret.with_name("other.npy"))
    target = tmp_path / "out" / "recording.zarr"
    with pytest.raises(InputError, match=r"scan\.npy: is a link that leaves the folder"):
        sources_of([box / "scan.npy"], inside=box)
    receipt = receipt_for(box / "scan.npy")
    with pytest.raises(InputError, match=r"scan\.npy: is a link that leaves the folder"):
        ingest([box / "scan.npy"], target, config=IngestConfig(), receipt=receipt, inside=box)
    assert not target.exists()
    ingest([box / "scan.npy"], target, config=IngestConfig(), receipt=receipt)
    assert xr.open_zarr(target, consolidated=False).sizes["y"] == 8, "named by the user"
