"""Scans whose chunks span many rows: every chunk is read once, with bounded memory, to the same values."""

import errno
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from invae.config import ComputeConfig, IngestConfig
from invae.errors import NoRoom
from invae.readers import open_recording
from invae.readers.chunked_source import by_rows
from invae.readers.ingest import ingest
from invae.readers.lazy import CHUNKS, View, lazy_variable
from invae.readers.raw import Key, Pixels
from invae.storage import store

SHAPE = (12, 10, 16, 14)
PATTERNS = np.random.default_rng(3).poisson(2.0, SHAPE).astype("u2")
DIMS = ("scan_y", "scan_x", "k_y", "k_x")
CHUNKINGS = [(12, 10, 1, 1), (12, 10, 4, 14), (5, 3, 6, 4), (1, 1, 16, 14), (4, 10, 16, 14)]


@dataclass(frozen=True)
class Counted:
    """Pixels in chunks that count how many chunks were read."""

    chunks: tuple[int, ...]
    read: list[int] = field(default_factory=list)

    def __call__(self, key: Key) -> np.ndarray:
        touched = [
            {place // chunk for place in range(n)[part]}
            for part, n, chunk in zip(key, SHAPE, self.chunks, strict=True)
        ]
        self.read.append(math.prod(map(len, touched)))
        return PATTERNS[key]

    def variable(self) -> xr.Variable:
        pixels = Pixels(Path("scan.h5"), SHAPE, PATTERNS.dtype, self, (), self.chunks)
        view = View(pixels, (0, 1, 2, 3))
        variable = lazy_variable(DIMS, view, {})
        variable.encoding[CHUNKS] = view.chunks
        return variable

    @property
    def n_chunks(self) -> int:
        sides = zip(SHAPE, self.chunks, strict=True)
        return math.prod(math.ceil(n / chunk) for n, chunk in sides)


@pytest.mark.parametrize("chunks", CHUNKINGS[:3])
@pytest.mark.parametrize("most_bytes", [100, 3000, 1e9])
def test_every_chunk_is_read_once(
    chunks: tuple[int, ...], most_bytes: float, tmp_path: Path
) -> None:
    counted = Counted(chunks)
    partial = tmp_path / ".recording.zarr.0123.partial"
    with by_rows(counted.variable(), partial, most_bytes=most_bytes, rows_at_once=1) as source:
        rows = [np.asarray(source[row : row + 1, 2:7].values) for row in range(SHAPE[0])]
        np.testing.assert_array_equal(np.concatenate(rows), PATTERNS[:, 2:7])
        np.testing.assert_array_equal(source[3, ::4, 2:9, 5].values, PATTERNS[3, ::4, 2:9, 5])
    assert sum(counted.read) == counted.n_chunks
    chunk_bytes = 2 * math.prod(chunks)
    assert max(counted.read) * chunk_bytes <= max(most_bytes, chunk_bytes)  # or all in memory
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chunks", CHUNKINGS[3:])
def test_rows_in_chunks_of_their_own_are_read_from_the_file(
    chunks: tuple[int, ...], tmp_path: Path
) -> None:
    variable = Counted(chunks).variable()
    with by_rows(variable, tmp_path, most_bytes=100, rows_at_once=4) as source:
        assert source is variable


def emd(path: Path, chunks: tuple[int, ...]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("scan")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", data=PATTERNS, chunks=chunks, compression="gzip")
        for n, name in enumerate(("y", "x", "ky", "kx")):
            vector = group.create_dataset(f"dim{n + 1}", data=np.arange(float(SHAPE[n])))
            vector.attrs.update({"name": name, "units": ""})


def zarr_store(path: Path, chunks: tuple[int, ...]) -> None:
    named = xr.DataArray(PATTERNS, dims=DIMS, name="pattern").to_dataset()
    named.to_zarr(path, consolidated=False, encoding={"pattern": {"chunks": chunks}})


WRITERS: dict[str, Callable[[Path, tuple[int, ...]], None]] = {
    "scan.emd": emd,
    "scan.zarr": zarr_store,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("chunks", CHUNKINGS)
@pytest.mark.parametrize("slab_mb", [0.005, 96])
def test_a_scan_in_any_chunks_is_taken_in_as_it_is(
    name: str,
    chunks: tuple[int, ...],
    slab_mb: float,
    tmp_path: Path,
    receipt_for: Callable[..., Any],
) -> None:
    WRITERS[name](tmp_path / name, chunks)
    assert open_recording(tmp_path / name)["pattern"].variable.encoding[CHUNKS] == chunks
    target = tmp_path / "recording.zarr"
    config = IngestConfig.model_validate({"scan": {"slab_mb": slab_mb}})
    ingest(
        [tmp_path / name],
        target,
        config=config,
        receipt=receipt_for(),
        compute=ComputeConfig(workers=2),
    )
    stored = zarr.open_group(target, mode="r")["pattern"]
    assert isinstance(stored, zarr.Array)
    np.testing.assert_array_equal(np.asarray(stored[...]), PATTERNS)
    assert store.open_store(target, group="maps").sizes["scan_y"] == SHAPE[0]
    assert {entry.name for entry in tmp_path.iterdir()} == {name, target.name}


def test_a_full_disk_is_told_before_anything_is_copied(
    tmp_path: Path, receipt_for: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped file that meets a full disk would end the process by a signal."""

    def full(descriptor: int, start: int, length: int) -> None:
        assert length == PATTERNS.nbytes
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    emd(tmp_path / "scan.emd", (SHAPE[0], SHAPE[1], 1, 1))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NoRoom, match="no room left"):
        ingest(
            [tmp_path / "scan.emd"],
            tmp_path / "recording.zarr",
            config=IngestConfig.model_validate({"scan": {"slab_mb": 0.005}}),
            receipt=receipt_for(),
        )
