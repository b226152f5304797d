"""Taking a recording in: equal values, bounded memory, resumed by shard, all or nothing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from invae.config import ComputeConfig, IngestConfig
from invae.errors import ConfigError, InputError, StoreError
from invae.readers import open_recording
from invae.readers.ingest import ingest, ingest_dataset
from invae.storage import store
from invae.storage.provenance import Receipt
from tests.invae.readers.held import contents

Write = Callable[..., Path]
ReceiptFor = Callable[..., Receipt]
SMALL = IngestConfig(shard_mb=1e-3)
ONE = ComputeConfig(workers=1)


def stack(n_frames: int = 9) -> dict[str, np.ndarray]:
    values = np.random.default_rng(3).normal(size=(n_frames, 12, 16)).astype("f4")
    return {"height": values, "phase": values[::-1] * 2}


def taken_in(target: Path) -> xr.Dataset:
    return store.open_store(target)


@pytest.mark.parametrize(
    "name", ["nsid", "ibw", "gwy", "npy", "npz", "tiff", "zarr", "netcdf"]
)  # fmt: skip
def test_values_labels_and_receipt_arrive(
    name: str, write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path, target = write(name), tmp_path / "out" / "recording.zarr"
    receipt = receipt_for(path)
    ingest([path], target, config=SMALL, receipt=receipt, compute=ONE)
    recording, arrived = open_recording(path), taken_in(target)
    for variable in recording.variables:
        xr.testing.assert_equal(recording[variable], arrived[variable])
        assert recording[variable].attrs.items() <= arrived[variable].attrs.items()
    assert store.read_receipt(target) == receipt
    assert arrived.attrs["sources"] == [path.name]
    assert arrived["source"].dtype == np.int32
    assert os.listdir(target.parent) == ["recording.zarr"]
    assert open_recording(target).identical(open_recording(target))
    for channel in recording:
        np.testing.assert_array_equal(open_recording(target)[channel], recording[channel])


def test_a_series_remembers_its_files(
    shared_data: Path, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    paths = [shared_data / f"pfm/PZT_final000{n}.h5" for n in (1, 2, 3)]
    target = tmp_path / "recording.zarr"
    ingest(paths, target, config=IngestConfig(), receipt=receipt_for(*paths))
    arrived = taken_in(target)
    assert arrived.attrs["sources"] == [path.name for path in paths]
    np.testing.assert_array_equal(arrived["source"], [0, 1, 2])
    assert len(arrived.attrs["source_sha256"]) == 3


def test_gaps_are_kept_counted_and_noted(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    channels = stack()
    channels["height"][2, 3, 4:7], channels["height"][8, 0, 0] = np.nan, np.inf
    channels["empty"] = np.full_like(channels["phase"], np.nan)
    channels["flat"] = np.full_like(channels["phase"], 5)
    path, target = write("npz", channels), tmp_path / "recording.zarr"
    ingest([path], target, config=SMALL, receipt=receipt_for(path), compute=ONE)
    arrived = taken_in(target)
    np.testing.assert_array_equal(arrived["height"], channels["height"])
    assert (arrived["height"].attrs["n_nan"], arrived["height"].attrs["n_infinite"]) == (3, 1)
    finite = channels["height"][np.isfinite(channels["height"])]
    assert arrived["height"].attrs["actual_range"] == [finite.min(), finite.max()]
    assert "actual_range" not in arrived["empty"].attrs
    notes = "; ".join(arrived.attrs["notes"])
    assert "channel height has 3 NaN and 1 infinite values" in notes
    assert "channel empty holds no finite number" in notes
    assert "channel flat is constant (5)" in notes


def test_empty_channels_are_left_out_if_asked(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    channels = {**stack(), "flat": np.full((9, 12, 16), 5, "f4")}
    path, target = write("npz", channels), tmp_path / "recording.zarr"
    config = IngestConfig(drop_constant=True)
    ingest([path], target, config=config, receipt=receipt_for(path))
    assert set(taken_in(target).data_vars) == {"height", "phase"}
    assert "channel flat is constant (5) and was left out" in taken_in(target).attrs["notes"]


def test_channels_interval_and_pixel_size_are_as_configured(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path, target = write("npz", stack()), tmp_path / "recording.zarr"
    config = IngestConfig(channels=("phase",), frame_interval=0.5, pixel_size=4)
    ingest([path], target, config=config, receipt=receipt_for(path))
    arrived = taken_in(target)
    assert list(arrived) == ["phase"]
    np.testing.assert_array_equal(arrived["time"], np.arange(9) / 2)
    assert arrived["y"][1] == 4


def test_a_run_that_was_interrupted_goes_on_and_ends_the_same(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path = write("npz", stack())
    undisturbed, target = tmp_path / "a" / "recording.zarr", tmp_path / "b" / "recording.zarr"
    ingest([path], undisturbed, config=SMALL, receipt=receipt_for(path), compute=ONE)

    def stop(done: int, total: int) -> None:
        assert total == 9
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest([path], target, config=SMALL, receipt=receipt_for(path), compute=ONE, progress=stop)
    assert not target.exists()
    (growing,) = target.parent.iterdir()
    written = {file: file.stat().st_mtime_ns for file in growing.glob("*/c/*/0/0")}
    assert 8 <= len(written) < 18

    ingest([path], target, config=SMALL, receipt=receipt_for(path), compute=ONE)
    for file, changed in written.items():
        assert (target / file.relative_to(growing)).stat().st_mtime_ns == changed
    assert contents(target) == contents(undisturbed)


def test_what_another_key_left_unfinished_is_removed(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path, target = write("npz", stack()), tmp_path / "out" / "recording.zarr"
    store.begin(target, "another key").joinpath("rest").write_text("half")
    ingest([path], target, config=SMALL, receipt=receipt_for(path), compute=ONE)
    assert os.listdir(target.parent) == ["recording.zarr"]


def test_blocks_side_by_side_give_the_same_bytes(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path = write("npz", stack())
    for workers in (1, 4):
        ingest(
            [path],
            tmp_path / f"{workers}.zarr",
            config=SMALL,
            receipt=receipt_for(path),
            compute=ComputeConfig(workers=workers),
        )
    assert contents(tmp_path / "1.zarr") == contents(tmp_path / "4.zarr")


def test_a_file_that_grows_meanwhile_is_refused(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path, target = write("npz", stack()), tmp_path / "out" / "recording.zarr"

    def grow(done: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"\0")

    with pytest.raises(InputError, match=r"recording.npz: changed while it was read.*wait"):
        ingest([path], target, config=SMALL, receipt=receipt_for(path), compute=ONE, progress=grow)
    assert not target.parent.exists()


def test_a_recording_that_says_nothing_is_refused(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    flat = np.ones((3, 8, 8))
    path = write("npz", {"height": flat, "phase": flat * np.nan, "amplitude": flat * np.inf})
    with pytest.raises(
        InputError,
        match=r"recording.npz: nothing to analyse: channel height is constant \(1\).*no finite",
    ):
        ingest([path], tmp_path / "o" / "r.zarr", config=SMALL, receipt=receipt_for(path))
    assert not (tmp_path / "o").exists()


def test_the_same_content_under_two_names_is_refused(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    paths = [write("ibw", name="first"), write("ibw", name="second")]
    with pytest.raises(InputError, match=r"second.ibw: has the same content as first.ibw"):
        ingest(paths, tmp_path / "o" / "r.zarr", config=SMALL, receipt=receipt_for(*paths))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"channels": ("phase", "hight")}, "has no channel hight; .* among height, phase"),
        ({"channels": ()}, "has no channel chosen"),
        ({"format": "ibw"}, "is not of the format ibw"),
        ({"format": "xyz"}, "no format is called 'xyz'; choose one of mib"),
    ],
)
def test_a_configuration_that_does_not_fit_is_one_line(
    config: dict[str, object], message: str, write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path = write("npz", stack())
    with pytest.raises((ConfigError, InputError), match=message) as refused:
        ingest(
            [path],
            tmp_path / "o" / "r.zarr",
            config=IngestConfig.model_validate(config),
            receipt=receipt_for(path),
        )
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "o").exists()


def test_a_frame_interval_needs_frames(
    shared_data: Path, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path = shared_data / "spectra/BEPS_PTO_50x50.h5"
    config = IngestConfig(frame_interval=2)
    with pytest.raises(
        ConfigError, match=r"frame_interval is 2 s, .*no frames, only y, x, voltage"
    ):
        ingest([path], tmp_path / "r.zarr", config=config, receipt=receipt_for(path))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from invae.config import IngestConfig
from invae.errors import StoreError
from invae.storage.provenance import Receipt
from invae.readers.ingest import ingest
receipt = Receipt("ingest", "k" * 20, "r", (), {}, {}, "", 0, "")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    ingest([Path(sys.argv[1])], Path(sys.argv[2]), config=IngestConfig(), receipt=receipt)
except StoreError as error:
    print(error)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(write: Write, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, 64, 64))
    path, target = write("npz", {"height": values}), tmp_path / "out" / "recording.zarr"
    answer = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path, target], capture_output=True, text=True, check=True
    )
    assert "no room left" in answer.stdout
    assert "recording.zarr" in answer.stdout
    assert answer.stdout.count("\n") == 1
    assert not answer.stderr
    assert not target.parent.exists()


def test_a_place_that_is_no_folder_is_one_line(
    write: Write, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path = write("npz", stack())
    with pytest.raises(StoreError, match="cannot be written"):
        ingest([path], path / "r.zarr", config=SMALL, receipt=receipt_for(path))


@pytest.mark.parametrize("kind", ["dask", "numpy"])
def test_a_recording_that_lies_nowhere_is_taken_in(
    kind: str, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    values = stack()["height"]
    chunks: Any = (2, 12, 16)
    lazily = da.from_array(values, chunks=chunks) if kind == "dask" else values
    recording = xr.Dataset({"height": (("frame", "y", "x"), lazily, {"units": "m"})})
    target = tmp_path / "recording.zarr"
    ingest_dataset(recording, target, config=SMALL, receipt=receipt_for(), compute=ONE)
    np.testing.assert_array_equal(taken_in(target)["height"], values)
    assert taken_in(target).attrs["sources"] == ["recording"]


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
import numpy as np, xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing
from benchmarks.peak_memory import peak_mb
from invae.config import IngestConfig, ComputeConfig
from invae.storage.provenance import Receipt
from invae.readers.ingest import ingest_dataset
import dask
class Made(BackendArray):
    dtype = np.dtype("f4")
    def __init__(self, n): self.shape = (n, 256, 256)
    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self.read)
    def read(self, key):
        frames = np.arange(self.shape[0], dtype="f4")[key[0]]
        return (frames[:, None, None] + np.zeros(self.shape[1:], "f4"))[(slice(None), *key[1:])]
receipt = Receipt("ingest", "k" * 20, "r", (), {}, {}, "", 0, "")
for n in (32, 600):
    made = indexing.LazilyIndexedArray(Made(n))
    recording = xr.Dataset({"height": (("frame", "y", "x"), made, {"units": "m"})})
    ingest_dataset(recording, Path(sys.argv[1]) / f"{n}.zarr", receipt=receipt,
                   config=IngestConfig(shard_mb=8), compute=ComputeConfig(workers=2))
    print(peak_mb())
"""
    answer = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    few, many = map(float, answer.stdout.split())
    assert many - few < 64  # the second recording has 149 MB more
