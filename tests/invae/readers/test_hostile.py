"""Recordings that mean harm: nothing in them is executed, and nothing outside of them is read."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import invae
from invae.errors import InputError
from tests.invae.readers.conftest import write_nsid
from tests.invae.readers.scans.conftest import write_app5, write_emd, write_hspy

SECRET = b"root:x:0:0:not yours" * 100
SCAN = np.arange(4 * 4 * 8 * 8, dtype="u2").reshape(4, 4, 8, 8)


class Harm:
    """What a pickle does when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return (Path.touch, (self.mark,))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there if a pickle was read."""
    return tmp_path / "executed"


def test_a_pickle_that_is_read_leaves_its_mark(mark: Path) -> None:
    """So that the tests below can fail."""
    pickle.loads(pickle.dumps(Harm(mark)))
    assert mark.exists()


def _refused(path: Path, mark: Path) -> None:
    with pytest.raises(InputError, match=path.name):
        invae.open_recording(path).load()
    assert not mark.exists()


def test_arrays_of_pickled_objects_are_refused(tmp_path: Path, mark: Path) -> None:
    held = np.array([Harm(mark)] * 4, dtype=object).reshape(2, 2)
    np.save(tmp_path / "scan.npy", held, allow_pickle=True)
    np.savez(tmp_path / "scan.npz", signal=held)
    _refused(tmp_path / "scan.npy", mark)
    _refused(tmp_path / "scan.npz", mark)


@pytest.mark.parametrize(
    ("dtype", "filters", "compressor"),
    [
        ("<f4", [{"id": "pickle"}], None),
        ("<f4", None, {"id": "pickle"}),
        ("|O", [{"id": "vlen-utf8"}, {"id": "pickle"}], None),
        ("|O", [{"id": "vlen-utf8"}], {"id": "pickle"}),
    ],
    ids=["filter", "compressor", "filter of text", "compressor of text"],
)
def test_a_store_whose_codec_is_pickle_is_refused(
    dtype: str, filters: Any, compressor: Any, tmp_path: Path, mark: Path
) -> None:
    store = tmp_path / "scan.zarr"
    _write_array(store / "signal", (4, 4), "<f4", ["y", "x"], np.zeros((4, 4), "f4").tobytes())
    _write_array(store / "y", (4,), dtype, ["y"], pickle.dumps(Harm(mark)), filters, compressor)
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    _refused(store, mark)


def _write_array(
    folder: Path,
    shape: tuple[int, ...],
    dtype: str,
    names: list[str],
    values: bytes,
    filters: Any = None,
    compressor: Any = None,
) -> None:
    """An array of Zarr 2 in one chunk."""
    folder.mkdir(parents=True)
    told = {"zarr_format": 2, "shape": shape, "chunks": shape, "dtype": dtype, "order": "C"}
    told |= {"fill_value": 0, "filters": filters, "compressor": compressor}
    (folder / ".zarray").write_text(json.dumps(told))
    (folder / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": names}))
    (folder / ".".join("0" * len(shape))).write_bytes(values)


def write_netcdf(path: Path, values: np.ndarray) -> None:
    xr.Dataset({"signal": (("y", "x"), values[0, 0])}).to_netcdf(path, engine="h5netcdf")


def write_velox(path: Path, values: np.ndarray) -> None:
    told = np.frombuffer(json.dumps({"Core": {}}).encode(), "u1")
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([json.dumps({"format": "Velox", "version": "11"}).encode()])
        file["Data/Image/0123456789abcdef0123456789abcdef/Data"] = values[0]
        file["Data/Image/0123456789abcdef0123456789abcdef/Metadata"] = told[:, None]


WRITERS: dict[str, tuple[str, Callable[[Path, np.ndarray], None]]] = {
    "nsid": (".h5", lambda path, values: write_nsid(path, {"PhaseRetrace": values[0]})),
    "netcdf": (".nc", write_netcdf),
    "hyperspy": (".hspy", write_hspy),
    "py4dstem": (".h5", write_emd),
    "topspin": (".app5", write_app5),
    "velox": (".emd", write_velox),
}


@pytest.fixture(params=WRITERS)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of every format in HDF5, as it should be."""
    suffix, write = WRITERS[request.param]
    path = tmp_path / f"scan{suffix}"
    write(path, SCAN)
    return path


def test_a_link_to_another_file_is_refused(recording: Path, tmp_path: Path) -> None:
    invae.open_recording(recording)
    with h5py.File(tmp_path / "elsewhere.h5", "w") as other:
        other["values"] = np.zeros((8, 8))
    with h5py.File(recording, "a") as file:
        file["stray"] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "/values")
    with pytest.raises(InputError, match="stray is a link to another file, which is refused"):
        invae.open_recording(recording)


def test_values_that_lie_in_another_file_are_refused(recording: Path, tmp_path: Path) -> None:
    """HDF5 lets a dataset be a piece of any file that the reader may read."""
    secret = tmp_path / "passwd"
    secret.write_bytes(SECRET)
    with h5py.File(recording, "a") as file:
        found: list[h5py.Dataset] = []
        file.visititems(lambda _, item: _keep_numbers(found, item))
        largest = max(found, key=lambda dataset: (dataset.size, dataset.name))
        name, shape, attrs = str(largest.name), largest.shape, dict(largest.attrs)
        del file[name]
        made = file.create_dataset(
            name, shape, "u1", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
        )
        made.attrs.update({key: attrs[key] for key in ("quantity", "units") if key in attrs})
    with pytest.raises(InputError, match="another file, which is refused"):
        invae.open_recording(recording).load()


def _keep_numbers(found: list[h5py.Dataset], item: h5py.HLObject) -> None:
    if isinstance(item, h5py.Dataset) and item.ndim > 1 and item.dtype.kind in "uif":
        found.append(item)
