"""HDF5 of any program: NeXus, Nion Swift, Dectris, or one plain array."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from invae.errors import ConfigError, InputError
from invae.readers import open_recording
from invae.readers.scan_shape import Scan

SCAN = np.random.default_rng(0).poisson(9, (4, 5, 16, 12)).astype(np.uint16)


def plain(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def test_the_only_array_of_a_file_is_read_by_its_shape_with_a_note(tmp_path):
    found = open_recording(plain(tmp_path / "plain.h5", data=SCAN, times=np.arange(20.0)))
    np.testing.assert_array_equal(found["pattern"], SCAN)
    assert found["pattern"].dims == ("scan_y", "scan_x", "k_y", "k_x")
    assert any("does not name its axes" in note for note in found.attrs["notes"])


def test_of_several_arrays_one_is_asked_for(tmp_path):
    path = plain(tmp_path / "two.h5", first=SCAN[0, 0] * 1.0, second=SCAN[0, 1] * 1.0)
    words = r"several arrays; set ingest.dataset to one of /first \(16 × 12\), /second \(16 × 12\)"
    with pytest.raises(InputError, match=words):
        open_recording(path)
    found = open_recording(path, dataset="/second")
    np.testing.assert_array_equal(found["image"].squeeze(), SCAN[0, 1])
    with pytest.raises(ConfigError, match=r"holds no array third; choose ingest.dataset among"):
        open_recording(path, dataset="third")


def test_names_of_axes_can_be_set(tmp_path):
    path = plain(tmp_path / "cube.h5", cube=np.ones((8, 8, 30)))
    with pytest.raises(InputError, match=r"may be .*set ingest.dims"):
        open_recording(path)
    names = ("y", "x", "energy")
    assert open_recording(path, names=names)["spectrum"].dims == names
    with pytest.raises(ConfigError, match="names 2 axes, but /cube has 8 × 8 × 30"):
        open_recording(path, names=("y", "x"))


@pytest.mark.parametrize("axes", [["y", "x", "energy"], "y:x:energy"])
def test_nexus_names_its_array_and_its_axes(tmp_path, axes):
    with h5py.File(tmp_path / "map.nxs", "w") as file:
        file["entry/raw"] = np.zeros((3, 3))
        group = file.create_group("entry/plot")
        group.attrs.update({"NX_class": "NXdata", "signal": "loss", "axes": axes})
        group["loss"] = np.arange(5 * 6 * 7.0).reshape(5, 6, 7)
        for name, step, n, unit in (("y", 2e-3, 5, "um"), ("x", 1e-3, 6, "um"), ("energy", 0.5, 7, "eV")):  # fmt: skip
            group[name] = 1 + step * np.arange(n)
            group[name].attrs["units"] = unit
    found = open_recording(tmp_path / "map.nxs")["spectrum"]
    assert found.dims == ("y", "x", "energy")
    assert float(found["y"][1] - found["y"][0]) == pytest.approx(2)
    np.testing.assert_allclose(found["energy"], 1 + 0.5 * np.arange(7))


def swift(path: Path, values: np.ndarray, units: list[str], n_scanned: int) -> Path:
    calibrations = [{"offset": 0, "scale": 1e-3, "units": unit} for unit in units]
    with h5py.File(path, "w") as file:
        file["data"] = values
        file["data"].attrs["properties"] = json.dumps(
            {
                "collection_dimension_count": n_scanned,
                "dimensional_calibrations": calibrations,
                "intensity_calibration": {"units": "counts"},
            }
        )
    return path


def test_nion_swift_calibrates_scan_and_detector(tmp_path):
    path = swift(tmp_path / "swift.h5", SCAN, ["um", "um", "rad", "rad"], 2)
    found = open_recording(path)["pattern"]
    assert found.attrs["units"] == "count"
    assert float(found["scan_x"][1]) == pytest.approx(1)
    assert float(found["k_y"][1] - found["k_y"][0]) == pytest.approx(1)
    assert found["k_y"].attrs["units"] == "mrad"


def test_nion_swift_flags_tell_detector_from_scan_without_units(tmp_path):
    path = swift(tmp_path / "swift.h5", SCAN, [""] * 4, 2)
    assert open_recording(path)["pattern"].shape == SCAN.shape


def dectris(folder: Path, *, frames: int = 6) -> Path:
    """A master and files with its frames."""
    sequence = SCAN.reshape(-1, *SCAN.shape[2:])
    with h5py.File(folder / "run_master.h5", "w") as master:
        for number, begin in enumerate(range(0, len(sequence), frames), start=1):
            name = f"run_data_{number:06}.h5"
            plain(folder / name, **{"entry/data/data": sequence[begin : begin + frames]})
            link = h5py.ExternalLink(name, "/entry/data/data")
            master[f"entry/data/data_{number:06}"] = link
    return folder / "run_master.h5"


def test_frames_of_a_dectris_master_are_those_of_its_files(tmp_path):
    found = open_recording(dectris(tmp_path), scan=Scan((4, 5)))["pattern"]
    np.testing.assert_array_equal(found, SCAN)
    np.testing.assert_array_equal(found[1:4, ::2, 3:, 2], SCAN[1:4, ::2, 3:, 2])
    with pytest.raises(InputError, match=r"set ingest\.scan_shape"):
        open_recording(tmp_path / "run_master.h5")


def test_a_dectris_master_without_its_files_is_refused(tmp_path):
    path = dectris(tmp_path)
    (tmp_path / "run_data_000002.h5").unlink()
    with pytest.raises(InputError, match=r"run_data_000002.h5, which is not beside it"):
        open_recording(path, scan=Scan((4, 5)))


def test_links_of_a_master_to_other_places_are_refused(tmp_path):
    (tmp_path / "private").mkdir()
    plain(tmp_path / "private" / "run_data_000001.h5", **{"entry/data/data": SCAN[0]})
    with h5py.File(tmp_path / "run_master.h5", "w") as master:
        link = h5py.ExternalLink("private/run_data_000001.h5", "/entry/data/data")
        master["entry/data/data_000001"] = link
    with pytest.raises(InputError, match="not beside it"):
        open_recording(tmp_path / "run_master.h5", scan=Scan((1, 5)))


def test_a_file_without_arrays_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no array of two or more axes"):
        open_recording(plain(tmp_path / "numbers.h5", times=np.arange(9.0)))
