"""What every reader of 4D-STEM must return; a new format adds one row and a writer."""

import json
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from invae.config import IngestConfig
from invae.errors import InputError
from invae.readers import Scan, files_of, open_recording
from invae.readers.formats.raw_frames import Frames, Part, read_frames
from invae.readers.ingest import ingest
from invae.readers.labels import canonical_units
from invae.readers.raw import Pixels
from invae.storage import store
from tests.invae.readers.scans import conftest as scans

WriteScan = Callable[..., Path]
DIMS = ("scan_y", "scan_x", "k_y", "k_x")


@dataclass(frozen=True)
class Told:
    """What a format tells of the scan that all writers write."""

    scan: tuple[float, str] = (0.5, "nm")
    detector: tuple[float, str] = (1.0, "pixel")
    energy: float | None = None
    convergence: float | None = None
    counts: bool = True
    shape: tuple[int, int] | None = None
    """Has to be given by the person."""
    reader: str = ""
    """Name of the format, where it is another than the row's."""


FORMATS = {
    "mib": Told(scan=(1.0, "pixel")),
    "blo": Told(energy=200),
    "tvips": Told(scan=(1.0, "pixel"), detector=(2.0, "1/nm"), energy=200, shape=(2, 3)),
    "empad": Told(detector=(0.02, "1/nm"), counts=False),
    "mrc": Told(scan=(1.0, "pixel"), counts=False, shape=(2, 3)),
    "hspy": Told(detector=(2.0, "mrad"), energy=60, convergence=31, counts=False),
    "zspy": Told(detector=(2.0, "mrad"), energy=60, convergence=31, counts=False),
    "emd": Told(detector=(2.0, "1/nm"), energy=60, convergence=31, counts=False),
    "py4dstem": Told(detector=(2.0, "1/nm"), counts=False, reader="emd"),
    "fpd": Told(reader="emd"),
    "app5": Told(detector=(2.0, "mrad"), counts=False),
    "dm4": Told(detector=(2.0, "mrad"), energy=200, counts=False, reader="dm"),
    "ser": Told(detector=(2.0, "1/nm"), counts=False),
    "npy": Told(detector=(2.0, "mrad"), energy=80, convergence=20),
}


@pytest.fixture(params=FORMATS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def opened(name: str, path: Path) -> xr.Dataset:
    return open_recording(path, scan=Scan(FORMATS[name].shape))


def test_dims_names_and_units_are_those_of_the_contract(name: str, write_scan: WriteScan) -> None:
    told, path = FORMATS[name], write_scan(name)
    recording = opened(name, path)
    assert list(recording) == ["pattern"]
    pattern = recording["pattern"]
    assert pattern.dims == DIMS
    assert pattern.dtype.isnative
    assert pattern.attrs["units"] == ("count" if told.counts else "1")
    for dim, (step, units) in zip(DIMS, [told.scan] * 2 + [told.detector] * 2, strict=True):
        assert recording[dim].attrs["units"] == units == canonical_units(units)
        np.testing.assert_allclose(np.diff(recording[dim]), step, rtol=1e-3)
    assert recording["scan_y"][0] == recording["scan_x"][0] == 0
    assert recording.attrs["modality"] == "4D-STEM"
    assert recording.attrs["format"] == (told.reader or name)
    assert recording.attrs["sources"] == [path.name]
    assert json.loads(json.dumps(recording.attrs, allow_nan=False)) == recording.attrs
    assert isinstance(json.loads(recording.attrs["metadata"]), dict)


def test_energy_and_convergence_are_told(name: str, write_scan: WriteScan) -> None:
    told, recording = FORMATS[name], opened(name, write_scan(name))
    assert recording.attrs.get("beam_energy_keV") == told.energy
    assert recording.attrs.get("convergence_mrad") == told.convergence


def test_what_is_not_calibrated_is_noted(name: str, write_scan: WriteScan) -> None:
    recording = opened(name, write_scan(name))
    for dim in DIMS:
        noted = any(
            note.startswith(f"{dim} is not calibrated") for note in recording.attrs["notes"]
        )
        assert noted == (recording[dim].attrs["units"] == "pixel")


def test_patterns_are_read_as_they_were_written(
    name: str, write_scan: WriteScan, scan_of: Callable[[str], np.ndarray]
) -> None:
    pattern = opened(name, write_scan(name))["pattern"]
    values = scan_of(name)
    assert pattern.dtype == values.dtype
    np.testing.assert_array_equal(pattern, values)


def test_every_slice_is_that_of_the_whole(name: str, write_scan: WriteScan) -> None:
    lazy = opened(name, write_scan(name))["pattern"].variable
    whole = lazy.values
    for key in (
        (0, 1, 2, 3),
        (slice(0, 1), slice(None), slice(1, 4), slice(None, None, 2)),
        (slice(None), slice(None, None, -1), slice(5, 1, -2)),
        (slice(1, 1), 0, slice(2, 5)),
        (-1, slice(-2, None), -2, slice(0, 3)),
    ):
        np.testing.assert_array_equal(lazy[key].values, whole[key])


def test_no_pixel_is_read_on_opening_and_no_file_stays_open(
    name: str, write_scan: WriteScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scan(name)
    loads: list[object] = []
    load = Pixels.load
    monkeypatch.setattr(Pixels, "load", lambda *given: (loads.append(given), load(*given))[1])
    recording = opened(name, path)
    assert not loads
    assert not recording["pattern"].variable._in_memory
    recording["pattern"][0, 0].load()
    assert loads
    links = [Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if link.is_symlink()]
    assert not [target for target in targets if target.startswith(str(path.parent))]


def test_it_travels_to_another_process(name: str, write_scan: WriteScan) -> None:
    recording = opened(name, write_scan(name))
    travelled = pickle.loads(pickle.dumps(recording))
    xr.testing.assert_identical(travelled.load(), recording.load())


def test_threads_read_side_by_side(name: str, write_scan: WriteScan) -> None:
    lazy = opened(name, write_scan(name))["pattern"].variable
    whole, places = lazy.values, [(row, column) for row in range(2) for column in range(3)] * 4
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda place: lazy[place].values, places))
    np.testing.assert_array_equal(read, [whole[place] for place in places])


def test_a_recording_is_taken_in(
    name: str, write_scan: WriteScan, tmp_path: Path, receipt_for: Callable[..., object]
) -> None:
    path, target = write_scan(name), tmp_path / "out" / "recording.zarr"
    config = IngestConfig(scan_shape=FORMATS[name].shape, shard_mb=1e-3)
    ingest([path], target, config=config, receipt=receipt_for(path))  # type: ignore[arg-type]
    arrived, recording = store.open_store(target), opened(name, path)
    np.testing.assert_array_equal(arrived["pattern"], recording["pattern"])
    for attribute in ("beam_energy_keV", "convergence_mrad", "modality"):
        assert arrived.attrs.get(attribute) == recording.attrs.get(attribute)
    again = open_recording(target)
    assert list(again) == ["pattern"]
    assert again.attrs.get("beam_energy_keV") == recording.attrs.get("beam_energy_keV")
    for dim in DIMS:  # the detector's origin is found while it is taken in
        np.testing.assert_allclose(np.diff(again[dim]), np.diff(recording[dim]))
        assert again[dim].attrs["units"] == recording[dim].attrs["units"]


def test_order_and_flyback_are_put_right_in_every_format(
    name: str, write_scan: WriteScan, scan_of: Callable[[str], np.ndarray]
) -> None:
    values = scan_of(name)
    recording = open_recording(write_scan(name), scan=Scan((2, 3), "serpentine", flyback=1))
    np.testing.assert_array_equal(recording["pattern"][0], values[0, :2])
    np.testing.assert_array_equal(recording["pattern"][1], values[1, :2][::-1])
    other = open_recording(write_scan(name), scan=Scan((3, 2)))["pattern"]
    np.testing.assert_array_equal(other, values.reshape(3, 2, *values.shape[2:]))


def test_frames_of_several_parts_are_read_across_their_border(write_scan: WriteScan) -> None:
    recording = open_recording(write_scan("tvips", parts=3), scan=Scan((6, 1)))["pattern"]
    whole = recording.values
    for key in (slice(1, 5), slice(1, 6, 2), slice(0, 6, 4), slice(5, None, -3), slice(2, 4)):
        np.testing.assert_array_equal(recording[key], whole[key])


def test_a_slice_of_a_file_larger_than_the_memory_is_mapped(tmp_path: Path) -> None:
    path, stride = tmp_path / "large.raw", 256 * 256 * 2
    with path.open("wb") as file:
        file.truncate(2_000_000 * stride)  # 262 GB that take no room
    frames = Frames((Part(path, 2_000_000, 0),), (256, 256), np.dtype(">u2"), stride)
    corner = (slice(1_999_998, 2_000_000, 1), slice(254, 256, 1), slice(0, 256, 1))
    assert read_frames(frames, corner).shape == (2, 2, 256)


def test_files_that_belong_together_are_found_from_the_one_that_is_named(
    write_scan: WriteScan,
) -> None:
    path = write_scan("mib")
    assert files_of(path) == (path, path.with_suffix(".hdr"))
    assert files_of(path.with_suffix(".hdr")) == (path.with_suffix(".hdr"),)


@pytest.mark.parametrize(("name", "beside"), [("empad", 1), ("tvips", 1), ("emd", 0)])
def test_companions_count_as_files_of_the_recording(
    name: str, beside: int, write_scan: WriteScan
) -> None:
    assert len(files_of(write_scan(name))) == 1 + beside


def test_an_empad_is_read_by_either_of_its_files(write_scan: WriteScan) -> None:
    path = write_scan("empad")
    other = open_recording(path.with_name("acquisition.xml"))
    np.testing.assert_array_equal(other["pattern"], open_recording(path)["pattern"])


def test_gatans_patterns_may_be_the_slow_axes(
    write_scan: WriteScan, scan_of: Callable[[str], np.ndarray]
) -> None:
    recording = open_recording(write_scan("dm4", patterns_first=False))
    np.testing.assert_array_equal(recording["pattern"], scan_of("dm4"))
    np.testing.assert_allclose(recording["k_y"], np.arange(-4, 4) * 2.0)


@pytest.mark.parametrize("head", [384, 768])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_every_depth_and_head_of_merlin_is_read(
    head: int, dtype: str, write_scan: WriteScan
) -> None:
    values = (
        (np.arange(2 * 3 * 5 * 9) % 256).reshape(2, 3, 5, 9).astype(dtype)
    )  # a region, not square
    recording = open_recording(write_scan("mib", values, head=head))
    assert recording["pattern"].dtype == dtype
    np.testing.assert_array_equal(recording["pattern"], values)
    assert recording.attrs["acquired"] == "2024-02-03T10:11:00"
    assert json.loads(recording.attrs["metadata"])["exposure_s"] == 0.002


def test_a_movie_of_direct_electron_is_a_scan_by_its_text(
    write_scan: WriteScan, scan_of: Callable[[str], np.ndarray]
) -> None:
    path = write_scan("mrc")
    path = path.rename(path.with_name("20240203_00017_movie.mrc"))
    lines = {
        "Scan - Enable": "Enable", "Scan - Type": "Raster", "Scan - Size X": 3, "Scan - Size Y": 2,
        "Image Size X (pixels)": 8, "Image Size Y (pixels)": 8, "Diffraction Pixel Size X": 0.04,
        "Diffraction Pixel Size Y": 0.04, "Specimen Pixel Size X (nanometers)": 0.5,
        "Specimen Pixel Size Y (nanometers)": 0.5,
    }  # fmt: skip
    text = path.with_name("20240203_00017_info.txt")
    text.write_text("\n".join(f"{key} = {value}" for key, value in lines.items()))
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["pattern"], scan_of("mrc"))
    np.testing.assert_allclose(np.diff(recording["k_x"]), 0.04)
    np.testing.assert_allclose(recording["scan_y"], [0, 0.5])
    assert files_of(path) == (path, text)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_stack_of_either_byte_order_has_images_in_nm(order: str, tmp_path: Path) -> None:
    images = np.random.default_rng(1).normal(size=(3, 4, 5)).astype("f4")
    words = np.zeros(256, f"{order}i4")
    words[:4], words[7:10] = (5, 4, 3, 2), (5, 4, 3)
    words[10:12] = np.array([10.0, 8.0], f"{order}f4").view(f"{order}i4")  # 2 Å a pixel
    head = bytearray(words.tobytes())
    head[208:216] = b"MAP \x44\x44\0\0" if order == "<" else b"MAP \x11\x11\0\0"
    path = tmp_path / "stack.mrc"
    path.write_bytes(bytes(head) + images.astype(f"{order}f4").tobytes())
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["image"], images)
    assert recording["image"].dtype.isnative
    np.testing.assert_allclose(np.diff(recording["x"]), 0.2)


def merlin(folder: Path, shape: tuple[int, ...], **more: Any) -> Path:
    scans.write_mib(
        folder / "scan.mib", np.arange(np.prod(shape)).reshape(shape).astype("u2"), **more
    )
    return folder / "scan.mib"


def test_a_skipped_frame_at_the_end_of_each_row_is_asked_for(tmp_path: Path) -> None:
    path = merlin(tmp_path, (3, 4, 6, 6), per_trigger=3)
    with pytest.raises(
        InputError, match=r"4 rows of 3, or 3 rows .*scan_shape=\[3,4\] and flyback=1"
    ):
        open_recording(path)
    pattern = open_recording(path, scan=Scan((3, 4), flyback=1))["pattern"]
    np.testing.assert_array_equal(pattern, np.arange(432).reshape(3, 4, 6, 6)[:, :3])


@pytest.mark.parametrize(("n_frames", "n_rows"), [(17, 3), (22, 4)])
def test_a_stopped_merlin_scan_and_frames_behind_its_end_are_read_by_its_shape(
    n_frames: int, n_rows: int, tmp_path: Path
) -> None:
    path = merlin(tmp_path, (1, n_frames, 6, 6), per_trigger=5)
    hdr = path.with_suffix(".hdr")
    hdr.write_text(hdr.read_text().replace(f"(Number):\t{n_frames}", "(Number):\t20"))
    with pytest.raises(InputError, match=rf"has {n_frames} frames, but scan.hdr declares 20"):
        open_recording(path)
    recording = open_recording(path, scan=Scan((4, 5)))
    values = np.arange(n_rows * 5 * 36).reshape(n_rows, 5, 6, 6)
    np.testing.assert_array_equal(recording["pattern"], values)
    assert any("2 patterns behind them are left out" in note for note in recording.attrs["notes"])


@pytest.mark.parametrize("name", ["mib", "blo", "empad"])
def test_whole_rows_of_a_scan_that_was_stopped_inside_a_pattern_are_read_by_its_shape(
    name: str, write_scan: WriteScan, scan_of: Callable[[str], np.ndarray]
) -> None:
    path = write_scan(name)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(
        InputError, match=r"incomplete .*, if the scan was stopped, set ingest.scan"
    ):
        open_recording(path)
    recording = open_recording(path, scan=Scan((2, 3)))
    np.testing.assert_array_equal(recording["pattern"], scan_of(name)[:1])
    for words in ("the last frame is incomplete", "2 patterns behind them are left out"):
        assert any(words in note for note in recording.attrs["notes"])


def test_py4dstems_calibration_is_used_and_its_turn_is_told(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    scans.write_emd(path, scans.scan_values("emd"))
    told = {
        "Q_pixel_size": 0.05,
        "Q_pixel_units": "A^-1",
        "R_pixel_size": 0.3,
        "R_pixel_units": "A",
    }
    with h5py.File(path, "a") as file:
        for n in range(4):
            file[f"datacube_root/datacube/dim{n}"].attrs["units"] = "pixels"
        for key, value in {**told, "QR_flip": True, "QR_rotation_degrees": 28.65}.items():
            file[f"datacube_root/metadatabundle/calibration/{key}"] = value
    recording = open_recording(path)
    np.testing.assert_allclose(recording["scan_x"], np.arange(3) * 0.03)
    np.testing.assert_allclose(np.diff(recording["k_y"]), 0.5)
    assert recording["k_y"].attrs["units"] == "1/nm"
    assert any("28.65° against the scan and mirrors it" in n for n in recording.attrs["notes"])
