"""What every reader must return; a new reader adds one row to the writers and, if there is one, a real recording."""

import importlib.util
import json
import math
import os
import pickle
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gwyfile
import h5netcdf
import h5py
import igor2.binarywave
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr
from numpy.lib import format as npy_format

from invae import dims
from invae.errors import InputError
from invae.readers import all_readers, open_recording
from invae.readers.labels import canonical_units
from invae.readers.registry import MICROSCOPES, PROBES, SPECTROSCOPES, readers_of

OTHERS = (*MICROSCOPES, *SPECTROSCOPES, *PROBES)
"""Formats with tests of their own."""
FORMATS = [reader.name for reader in all_readers() if reader not in readers_of(OTHERS)]
ONE_CHANNEL = ("npy", "tiff", "hdf5")
ROSETTASCIIO = [
    "spectra/DMReader_Image_SI-Survey.dm3",
    "spectra/DMReader_SI-HAADF.dm3",
    "spectra/DMReader_SpectrumImage_SI-EELS.dm3",
]
"""Recordings that this optional library reads."""
REAL = [
    "pfm/PZT_final0001.h5",
    "pfm/scan_0001.ibw",
    "pfm/PTO_110_Virgin0001.gwy",
    "stem/MoS2_stem_Exp-000-2.npy",
    "stem/MoS2_stem_Exp-001-5.npy",
    "spectra/BEPS_PTO_50x50.h5",
    "4dstem/graphene_vacancy.npz",
    "4dstem/001_4x2_6bit.mib",
    *ROSETTASCIIO,
]
KINDS = {
    (dims.FRAME, "y", "x"),
    ("scan_y", "scan_x", "k_y", "k_x"),
    ("y", "x", "voltage"),
    ("y", "x", "energy"),
}
MEMORY = 48e6
"""More than opening needs, far less than the recordings that are opened [bytes]."""


@pytest.fixture(params=[*FORMATS, *REAL])
def path(request: pytest.FixtureRequest, write: Callable[..., Path]) -> Path:
    """A small written file of every format, and every real recording."""
    if request.param in FORMATS:
        return write(request.param)
    if request.param in ROSETTASCIIO and importlib.util.find_spec("rsciio") is None:
        pytest.skip("rosettasciio is not installed")
    return request.getfixturevalue("shared_data") / request.param


def test_dims_coordinates_and_units_are_those_of_the_contract(path: Path) -> None:
    recording = open_recording(path)
    assert {variable.dims for variable in recording.data_vars.values()} <= KINDS
    for name, variable in recording.data_vars.items():
        assert str(name).isidentifier()
        assert name == str(name).lower()
        assert {"units", "long_name", "label", "quantity"} <= set(variable.attrs)
        assert canonical_units(variable.attrs["units"]) == variable.attrs["units"]
        assert variable.dtype.isnative
    for dim in recording.dims:
        positions = recording[dim]
        assert positions.attrs["units"]
        assert positions.attrs["long_name"]
        if dim != "voltage":  # a loop goes up and down again
            assert np.all(np.diff(positions) > 0)
        if dim in ("y", "x", "scan_y", "scan_x"):
            assert positions[0] == 0
            assert positions.attrs["units"] in ("nm", "pixel")


def test_attributes_are_json_and_tell_the_source(path: Path) -> None:
    recording = open_recording(path)
    assert json.loads(json.dumps(recording.attrs, allow_nan=False)) == recording.attrs
    assert isinstance(json.loads(recording.attrs["metadata"]), dict)
    assert recording.attrs["sources"] == [path.name]
    assert recording.attrs["format"] in {reader.name for reader in all_readers()}
    assert recording.attrs["modality"]
    assert all(isinstance(note, str) and "\n" not in note for note in recording.attrs["notes"])
    for variable in recording.variables.values():
        json.dumps(variable.attrs, allow_nan=False)
    if dims.FRAME in recording.dims:
        assert recording["source"].dtype == np.int32


def test_no_value_is_held_and_no_file_is_open(path: Path) -> None:
    recording = open_recording(path)
    assert not any(variable.variable._in_memory for variable in recording.data_vars.values())
    for variable in recording.data_vars.values():
        variable[0].load()
    assert not _opened(path)


def test_every_way_of_indexing_gives_the_values_of_the_whole(path: Path) -> None:
    recording = open_recording(path)
    name = next(iter(recording.data_vars))
    whole, lazy = recording[name].values, recording[name].variable
    last = (slice(None),) * (whole.ndim - 2)
    for key in (
        (0, 1, 2),
        (slice(None), slice(3, 1, -1), slice(None, None, 2)),
        (slice(0, 0), 0, slice(2, 5)),
        (-1, slice(-4, None), -2),
        (0, [3, 0, 2], slice(1, 3)),
    ):
        expected = whole[key] if len(key) <= whole.ndim else None
        np.testing.assert_array_equal(lazy[key].values, expected)
    keep = np.arange(whole.shape[-1]) % 3 == 0
    np.testing.assert_array_equal(lazy[(*last, 0, keep)].values, whole[(*last, 0, keep)])


def test_it_travels_to_another_process(path: Path) -> None:
    recording = open_recording(path)
    name = next(iter(recording.data_vars))
    travelled = pickle.loads(pickle.dumps(recording))
    xr.testing.assert_identical(travelled[name][0].load(), recording[name][0].load())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", ["f4", "u2"])
def test_what_was_written_is_read(name: str, dtype: str, write: Callable[..., Path]) -> None:
    channels = _channels(name, dtype)
    recording = open_recording(write(name, channels))
    assert list(recording.data_vars) == {"tiff": ["signal"], "hdf5": ["image"]}.get(
        name, ["height", "phase"][: len(channels)]
    )
    for variable, values in zip(recording.data_vars.values(), channels.values(), strict=True):
        assert variable.dtype == (np.float64 if name == "gwy" else values.dtype)
        np.testing.assert_array_equal(variable.values, values)
        nameless = name in ("tiff", "hdf5")
        assert variable.attrs["label" if nameless else "direction"] in ("retrace", "signal")
    assert recording["y"].attrs["units"] == "nm"
    for dim, n in (("y", 7), ("x", 10)):
        np.testing.assert_allclose(recording[dim], np.arange(n) * 2.5, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "zarr"])
@pytest.mark.parametrize("suffix", [".dat", ".ibw", ".tif", ""])
def test_content_decides_not_the_extension(
    name: str, suffix: str, write: Callable[..., Path]
) -> None:
    path = write(name, _channels(name, "f4", n_rows=9))
    other = path.with_name(f"other{suffix}")
    shutil.copy(path, other)
    assert open_recording(other).attrs["format"] == name
    assert open_recording(path, format=name).attrs["format"] == name


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_larger_than_the_memory_opens_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"large.{name}"
    LARGE[name](path)
    open_recording(path)  # libraries are imported the first time
    tracemalloc.start()
    start = time.perf_counter()
    recording = open_recording(path)
    corner = next(iter(recording.data_vars.values()))[-1, -2:, -2:].values
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert recording.nbytes > 2 * MEMORY
    assert peak < MEMORY
    assert seconds < 5
    assert corner.shape == (2, 2)


def test_igor2_reads_the_same_pixels(shared_data: Path) -> None:
    path = shared_data / "pfm/scan_0001.ibw"
    wave = igor2.binarywave.load(path)["wave"]["wData"]
    recording = open_recording(path)
    assert list(recording) == [
        "height", "amplitude_1", "amplitude_2", "phase_1", "phase_2", "frequency"
    ]  # fmt: skip
    for number, variable in enumerate(recording.data_vars.values()):
        np.testing.assert_array_equal(variable[0], wave[:, ::-1, number].T)
    units = [variable.attrs["units"] for variable in recording.data_vars.values()]
    assert units == ["m", "m", "m", "degree", "degree", "Hz"]
    assert recording["phase_1"].attrs["direction"] == "retrace"
    assert recording["phase_1"].attrs["label"] == "Phase1Retrace"  # igor2 has Phase1Retracece
    assert recording.attrs["modality"] == "PFM"
    assert recording["x"][-1] == pytest.approx(5000)


def test_a_wave_from_a_big_endian_computer_is_read(
    tmp_path: Path, writers: SimpleNamespace
) -> None:
    channels = _channels("ibw", "f4")
    for name, order in (("little", "<"), ("big", ">")):
        (tmp_path / name).mkdir()
        writers.write["ibw"](tmp_path / name / "scan.ibw", channels, order=order)
    little, big = (open_recording(tmp_path / name / "scan.ibw") for name in ("little", "big"))
    xr.testing.assert_identical(big.load(), little.load())


def test_gwyfile_reads_the_same_pixels(shared_data: Path) -> None:
    path = shared_data / "pfm/PTO_110_Virgin0001.gwy"
    tree: Any = gwyfile.load(str(path))
    recording = open_recording(path)
    assert list(recording) == ["height", "amplitude", "deflection", "phase"]
    for number, variable in enumerate(recording.data_vars.values()):
        np.testing.assert_array_equal(variable[0], tree[f"/{number}/data"].data)
    assert recording["x"][1] == pytest.approx(10039.21568627451 / 256)


def values_of(file: h5py.File, name: str) -> np.ndarray:
    dataset = file[name]
    assert isinstance(dataset, h5py.Dataset)
    return dataset[()]


def test_an_nsid_image_of_an_asylum_wave_is_that_of_the_wave(shared_data: Path) -> None:
    path = shared_data / "pfm/PZT_final0001.h5"
    recording = open_recording(path)
    with h5py.File(path) as file:
        stored = values_of(file, "Measurement_000/Channel_4/Channel_4/Channel_4")
    np.testing.assert_array_equal(recording["phase"][0], stored.T[::-1])  # (x, y), y up
    assert any("Asylum wave" in note for note in recording.attrs["notes"])
    assert recording["phase"].attrs["units"] == "degree"
    assert recording["nap_phase"].attrs["units"] == "degree"  # the file says metres
    assert recording["user_in_0"].attrs["units"] == "V"
    assert recording["x"][-1] == pytest.approx(2000)
    assert any("nap_phase" in note for note in recording.attrs["notes"])


def test_scan_lines_of_an_nsid_image_lie_along_its_rows(shared_data: Path) -> None:
    height = open_recording(shared_data / "pfm/PZT_final0001.h5")["height"][0].values
    between_rows, between_columns = (np.diff(height.mean(axis=axis)).std() for axis in (1, 0))
    assert between_rows > 3 * between_columns  # the height jumps from line to line


def test_grids_of_spectra_keep_their_loop(shared_data: Path) -> None:
    path = shared_data / "spectra/BEPS_PTO_50x50.h5"
    recording = open_recording(path)
    with h5py.File(path) as file:
        stored = values_of(file, "Channel_000/generic/generic")
    np.testing.assert_array_equal(recording["piezoresponse"], stored.swapaxes(0, 1))  # (x, y, …)
    assert recording["voltage"].attrs["units"] == "V"
    assert recording["voltage"].values.max() == 8.5


def test_a_grid_of_spectra_without_names_is_asked_for(shared_data: Path) -> None:
    path = shared_data / "spectra/bepfm_test_data.npy"
    with pytest.raises(InputError, match=r"32 × 32 × 102 may be 32 frames.*dims=\[y,x,energy\]"):
        open_recording(path)
    recording = open_recording(path, names=["y", "x", "frequency"])
    np.testing.assert_array_equal(recording["signal"], np.load(path))
    assert recording["signal"].dims == ("y", "x", "frequency")


def test_the_calibration_beside_an_array_is_used(shared_data: Path) -> None:
    path = shared_data / "stem/MoS2_stem_Exp-001-5.npy"
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["signal"][0], np.load(path))
    assert recording["x"][1] == pytest.approx(7 / 512)
    assert recording.attrs["modality"] == "STEM"
    assert json.loads(recording.attrs["metadata"])["material_type"] == "MoS2 monolayer"


def test_an_archive_of_diffraction_patterns_is_calibrated(shared_data: Path) -> None:
    path = shared_data / "4dstem/graphene_vacancy.npz"
    recording = open_recording(path)
    stored = np.load(path)
    np.testing.assert_array_equal(recording["pattern"][3, 4:6], stored["counts"][3, 4:6])
    assert recording["k_x"].attrs["units"] == "mrad"
    np.testing.assert_allclose(recording["k_x"], stored["k_x"])
    assert recording["scan_x"][1] == pytest.approx(0.02)
    assert recording["scan_x"].attrs["origin"] == pytest.approx(stored["scan_x"][0] * 0.1)
    assert recording.attrs["modality"] == "4D-STEM"


def test_a_simulated_store_is_read_without_its_truth(write: Callable[..., Path]) -> None:
    path = write("zarr")
    truth = xr.Dataset({"wall": (("frame", "y", "x"), np.ones((3, 7, 10)))})
    truth.to_zarr(path, group="truth", mode="a", consolidated=False)
    assert list(open_recording(path)) == ["height", "phase"]


@pytest.mark.parametrize("kind", ["zlib", "pages", "plain", "ome", "channels", "big-endian"])
def test_every_kind_of_tiff_is_read(kind: str, tmp_path: Path) -> None:
    path, values = tmp_path / "stack.tif", _channels("tiff", "u2")["HeightRetrace"]
    if kind == "pages":
        with tifffile.TiffWriter(path) as file:
            for image in values:
                file.write(image, contiguous=False, photometric="minisblack")
    elif kind == "ome":
        metadata = {"axes": "TYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        metadata |= {"TimeIncrement": 100, "TimeIncrementUnit": "ms"}
        tifffile.imwrite(path, values, ome=True, metadata=metadata)
    elif kind == "channels":
        both = np.stack([values, values + 1], axis=1)
        tifffile.imwrite(path, both, imagej=True, metadata={"axes": "TCYX"})
    else:
        order = ">" if kind == "big-endian" else "<"
        compression = "zlib" if kind == "zlib" else None
        tifffile.imwrite(
            path, values, photometric="minisblack", byteorder=order, compression=compression
        )
    recording = open_recording(path)
    first = next(iter(recording.data_vars.values()))
    np.testing.assert_array_equal(first, values)
    if kind == "channels":
        np.testing.assert_array_equal(recording["channel_1"][1:, 2:], values[1:, 2:] + 1)
    if kind == "ome":
        assert recording["x"][1] == pytest.approx(250)
        np.testing.assert_allclose(recording["time"], [0, 0.1, 0.2])


def test_a_channel_called_like_an_axis_gets_another_name(write: Callable[..., Path]) -> None:
    values = next(iter(_channels("gwy", "f8").values()))
    recording = open_recording(write("gwy", {"X": values, "Time": values + 1}))
    assert list(recording) == ["x_channel", "time_channel"]
    np.testing.assert_array_equal(recording["x_channel"], values)


def test_a_pixel_size_that_is_given_replaces_the_files(write: Callable[..., Path]) -> None:
    assert open_recording(write("gwy"), pixel_size=3)["x"][1] == 3


def test_y_goes_down_whichever_way_the_file_has_it(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(3, 4)
    up = xr.Dataset({"height": (("y", "x"), values)}, coords={"y": [2.0, 1.0, 0.0]})
    up["y"].attrs["units"] = "um"
    up.to_netcdf(tmp_path / "up.nc", engine="h5netcdf")
    recording = open_recording(tmp_path / "up.nc")
    np.testing.assert_array_equal(recording["y"], [0, 1000, 2000])
    np.testing.assert_array_equal(recording["height"][0], values[::-1])


def _channels(name: str, dtype: str, *, n_rows: int = 7) -> dict[str, np.ndarray]:
    frames = 1 if name in ("ibw", "gwy") else 3
    values = np.arange(frames * n_rows * 10).reshape(frames, n_rows, 10).astype(dtype)
    channels = {"HeightRetrace": values, "PhaseRetrace": values[:, ::-1] + values.dtype.type(1)}
    return dict(list(channels.items())[: 1 if name in ONE_CHANNEL else 2])


def _opened(path: Path) -> list[str]:
    """Files below a path that this process holds open."""
    links = [Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if link.is_symlink()]
    return [target for target in targets if target.startswith(str(path))]


def _large_nsid(path: Path) -> None:
    with h5py.File(path, "w") as file:
        main = file.create_dataset("m/data", (400, 4096, 4096), "f4", chunks=(1, 64, 64))
        main.attrs.update({"quantity": "Height", "units": "m"})
        for axis, name in enumerate(("time", "y", "x")):
            main.dims[axis].label = name


def _large_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (400, 4096, 4096), "f4", chunks=(1, 64, 64))


def _large_ibw(path: Path) -> None:
    header = bytearray(384)
    shape = (16384, 8192, 3)
    header[0:2] = (5).to_bytes(2, "little")
    header[4:8] = (320 + math.prod(shape) * 4).to_bytes(4, "little")
    header[76:80] = math.prod(shape).to_bytes(4, "little")
    header[80:82] = (2).to_bytes(2, "little")
    header[132:144] = np.array(shape, "<i4").tobytes()
    header[148:164] = np.array([1e-9, 1e-9]).tobytes()
    header[216:225] = b"m\0\0\0m\0\0\0\0"
    total = int(np.frombuffer(bytes(header), "<u2").sum())
    header[2:4] = (-total % 65536).to_bytes(2, "little")
    _sparse(path, bytes(header), math.prod(shape) * 4)


def _large_gwy(path: Path) -> None:
    side = 12288
    size = side * side * 8
    field = b"xresi" + side.to_bytes(4, "little") + b"yresi" + side.to_bytes(4, "little")
    field = field.replace(b"resi", b"res\0i") + b"data\0D" + (side * side).to_bytes(4, "little")
    field = b"GwyDataField\0" + (len(field) + size).to_bytes(4, "little") + field
    content = b"/0/data\0o" + field
    head = b"GWYPGwyContainer\0" + (len(content) + size).to_bytes(4, "little") + content
    _sparse(path, head, size)


def _large_npy(path: Path) -> None:
    with path.open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": (640, 4096, 4096)}
        npy_format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 640 * 4096 * 4096 * 2)


def _large_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, height=np.zeros((200, 512, 512), "f4"))


def _large_tiff(path: Path) -> None:
    image = tifffile.memmap(path, shape=(160, 4096, 4096), dtype="u2", bigtiff=True)
    del image


def _large_zarr(path: Path) -> None:
    group = zarr.open_group(path, mode="w")
    for name in ("height", "phase"):
        group.create_array(
            name, shape=(400, 4096, 4096), chunks=(1, 64, 64), dtype="f4",
            dimension_names=("frame", "y", "x"),
        )  # fmt: skip


def _large_netcdf(path: Path) -> None:
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": 400, "y": 4096, "x": 4096}
        file.create_variable("height", ("time", "y", "x"), "f4", chunks=(1, 64, 64))


def _sparse(path: Path, head: bytes, n_bytes: int) -> None:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + n_bytes)


LARGE = {
    "nsid": _large_nsid,
    "ibw": _large_ibw,
    "gwy": _large_gwy,
    "npy": _large_npy,
    "npz": _large_npz,
    "tiff": _large_tiff,
    "zarr": _large_zarr,
    "netcdf": _large_netcdf,
    "hdf5": _large_hdf5,
}
