"""Real recordings of electron microscopes: what is in them, and the same values as the library that knows them gives."""

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest

from invae.errors import InputError
from invae.readers import open_recording

ROSETTASCIIO = pytest.mark.skipif(
    importlib.util.find_spec("rsciio") is None, reason="rosettasciio is not installed"
)


def values_by_rosettasciio(module: str, path: Path) -> np.ndarray:
    reader = importlib.import_module(f"rsciio.{module}").file_reader
    return np.asarray(reader(str(path), lazy=True)[0]["data"])


def test_a_merlin_scan_has_its_rows_by_the_pauses(shared_data: Path) -> None:
    recording = open_recording(shared_data / "4dstem/001_4x2_6bit.mib")
    assert recording["pattern"].shape == (2, 4, 256, 256)
    assert recording["pattern"].dtype == np.uint8
    assert recording["pattern"].attrs["units"] == "count"
    assert recording.attrs["acquired"].startswith("2021-05-07T18:51:10")
    told = json.loads(recording.attrs["metadata"])
    assert told["exposure_s"] == pytest.approx(0.1)
    assert told["Sensor Bias (V)"] == "120 V"
    assert any("pauses between the frames" in note for note in recording.attrs["notes"])


@ROSETTASCIIO
def test_a_merlin_scan_is_read_as_rosettasciio_reads_it(shared_data: Path) -> None:
    path = shared_data / "4dstem/001_4x2_6bit.mib"
    pattern = open_recording(path)["pattern"]
    np.testing.assert_array_equal(pattern, values_by_rosettasciio("quantumdetector", path))


@ROSETTASCIIO
def test_a_block_file_has_a_scan_in_nm_and_a_detector_in_pixels(shared_data: Path) -> None:
    path = shared_data / "4dstem/test1.blo"
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["pattern"], values_by_rosettasciio("blockfile", path))
    np.testing.assert_allclose(recording["scan_y"], [0, 12.8, 25.6])
    assert recording["k_x"].attrs["units"] == "pixel"
    assert any("0.01606 cm, which is no angle" in note for note in recording.attrs["notes"])
    assert recording.attrs["beam_energy_keV"] == 200


def test_an_fpd_file_has_one_colour_and_an_unknown_detector(shared_data: Path) -> None:
    path = shared_data / "4dstem/fpd_file_test.hdf5"
    recording = open_recording(path)
    with h5py.File(path) as file:
        stored = file["fpd_expt/fpd_data/data"][:, :, 0]  # type: ignore[index]
    np.testing.assert_array_equal(recording["pattern"], stored)
    assert recording["pattern"].dtype == np.uint16
    assert recording["k_y"].attrs["units"] == recording["scan_y"].attrs["units"] == "pixel"
    assert any("'?/m', which is no calibration" in note for note in recording.attrs["notes"])
    assert sum("'?/m'" in note for note in recording.attrs["notes"]) == 2


def test_the_sum_in_an_fpd_file_is_chosen_by_its_name(shared_data: Path) -> None:
    path = shared_data / "4dstem/fpd_file_test.hdf5"
    chosen = open_recording(path, channels=["fpd_sum_dif"])
    assert chosen["fpd_sum_dif"].dims == ("frame", "y", "x")
    whole = open_recording(path)["pattern"]
    np.testing.assert_array_equal(chosen["fpd_sum_dif"][0], whole.sum(("scan_y", "scan_x")))


def test_simulated_graphene_is_one_scan_of_counts(shared_data: Path) -> None:
    path = shared_data / "4dstem/graphene_vacancy.npz"
    recording, stored = open_recording(path), np.load(path)
    assert list(recording) == ["pattern"]
    assert recording["pattern"].dtype == np.uint16
    assert recording["pattern"].attrs["label"] == "counts"
    np.testing.assert_array_equal(recording["pattern"][5], stored["counts"][5])
    assert recording.attrs["beam_energy_keV"] == 60
    assert recording.attrs["convergence_mrad"] == 31
    assert recording["k_y"].attrs["units"] == "mrad"
    np.testing.assert_allclose(np.diff(recording["scan_x"]), 0.02)
    fractions = open_recording(path, channels=["data"])
    assert list(fractions) == ["pattern"]
    np.testing.assert_array_equal(fractions["pattern"][5], stored["data"][5])


@ROSETTASCIIO
def test_gatans_spectrum_image_has_its_energies_last(shared_data: Path) -> None:
    path = shared_data / "spectra/DMReader_SpectrumImage_SI-EELS.dm3"
    recording = open_recording(path)
    assert recording["spectrum"].dims == ("y", "x", "energy")
    stored = values_by_rosettasciio("digitalmicrograph", path)
    np.testing.assert_array_equal(recording["spectrum"], np.moveaxis(stored, 0, -1))
    np.testing.assert_allclose(recording["energy"], 350 + 0.5 * np.arange(1024))
    assert recording["energy"].attrs["units"] == "eV"
    assert recording.attrs["beam_energy_keV"] == 200
    assert recording.attrs["convergence_mrad"] == 30
    assert recording.attrs["modality"] == "EELS"


@ROSETTASCIIO
@pytest.mark.parametrize("name", ["SI-HAADF", "Image_SI-Survey"])
def test_gatans_images_are_images(name: str, shared_data: Path) -> None:
    path = shared_data / f"spectra/DMReader_{name}.dm3"
    recording = open_recording(path)
    assert recording["image"].dims == ("frame", "y", "x")
    stored = values_by_rosettasciio("digitalmicrograph", path)
    np.testing.assert_array_equal(recording["image"][0], stored)
    np.testing.assert_array_equal(recording["image"][0, 7:9, 3], stored[7:9, 3])
    assert recording.attrs["modality"] == "STEM"


@ROSETTASCIIO
@pytest.mark.parametrize(
    ("name", "edges"),
    [("Image_SI-Survey", [52, 213, 428, 259]), ("SI-HAADF", [0, 0, 1568, 192])],
)
def test_gatans_spectrum_image_has_its_place_on_the_images_of_its_session(
    name: str, edges: list[float], shared_data: Path
) -> None:
    folder = shared_data / "spectra"
    files = [folder / "DMReader_SpectrumImage_SI-EELS.dm3", folder / f"DMReader_{name}.dm3"]
    recording = open_recording(files)
    assert recording["spectrum"].shape[:2] == (49, 6)
    assert recording["survey"].attrs["grid_rectangle_px"] == edges
    assert not any("where the grid" in note for note in recording.attrs["notes"])


@pytest.mark.parametrize("path", ["4dstem/test1.blo", "spectra/DMReader_SI-HAADF.dm3"])
def test_the_library_that_is_missing_is_named_with_its_extra(
    path: str, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing:
        """An import path on which the library does not lie."""

        def find_spec(self, name: str, *rest: object) -> None:
            if name.partition(".")[0] == "rsciio":
                raise ModuleNotFoundError(f"No module named {name!r}", name="rsciio")

    for name in [name for name in sys.modules if name.partition(".")[0] == "rsciio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(InputError, match=r"needs rosettasciio.*`pip") as caught:
        open_recording(shared_data / path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture
def velox(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A HAADF series of three frames as Velox stores it: the frame is the last axis, metadata are JSON in bytes."""
    frames = np.random.default_rng(2).integers(0, 999, (3, 6, 8)).astype("u2")
    told = {
        "Core": {"MetadataDefinitionVersion": "7.9"},
        "Instrument": {"InstrumentClass": "Titan"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1700000000"}},
        "Optics": {"AccelerationVoltage": "300000", "BeamConvergence": "0.02"},
        "Scan": {"FrameTime": "1.5", "DwellTime": "1e-6"},
        "BinaryResult": {
            "DetectorIndex": "0",
            "PixelSize": {"width": "2e-11", "height": "2e-11"},
            "Offset": {"x": "0", "y": "0"},
            "PixelUnitX": "m",
        },
        "Detectors": {"Detector-0": {"DetectorName": "HAADF"}},
        "CustomProperties": {},
    }
    path = tmp_path / "series.emd"
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([json.dumps({"format": "Velox", "version": "11"}).encode()])
        group = file.create_group("Data/Image/0123456789abcdef0123456789abcdef")
        group.create_dataset("Data", data=np.moveaxis(frames, 0, -1), chunks=(6, 8, 1))
        letters = np.frombuffer(json.dumps(told).encode(), "u1")
        group["Metadata"] = np.repeat(letters[:, None], 3, axis=1)
    return path, frames


def test_a_series_of_velox_is_one_of_frames(velox: tuple[Path, np.ndarray]) -> None:
    path, frames = velox
    recording = open_recording(path)
    assert recording.attrs["format"] == "velox"
    (image,) = recording.data_vars.values()
    assert image.dims == ("frame", "y", "x")
    np.testing.assert_array_equal(image[1:, 2:4], frames[1:, 2:4])
    np.testing.assert_array_equal(image, frames)
    np.testing.assert_allclose(np.diff(recording["x"]), 0.02)
    np.testing.assert_allclose(recording["time"], [0, 1.5, 3])
    assert recording.attrs["beam_energy_keV"] == 300
    links = [Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd")]
    assert str(path) not in [os.readlink(link) for link in links if link.is_symlink()]


def put(file: h5py.File, name: str, values: Mapping[str, object]) -> None:
    """A JSON entry of Velox."""
    file[name] = np.array([json.dumps(values).encode()])


def test_images_of_velox_keep_their_titles(velox: tuple[Path, np.ndarray]) -> None:
    path, _ = velox
    images = {"a" * 32: "DF4-A", "b" * 32: "iDPC", "c" * 32: "Filtered iDPC", "d" * 32: "A-C"}
    images |= {"e" * 32: "EF-Ceta", "f" * 32: "C K"}
    with h5py.File(path, "a") as file:
        first = file["Data/Image"].pop(next(iter(file["Data/Image"])))  # type: ignore[index,union-attr]
        for name in images:
            group = file.create_group(f"Data/Image/{name}")
            group["Data"], group["Metadata"] = first["Data"][()], first["Metadata"][()]
        paths = dict(zip("abcdef", (f"/Data/Image/{name}" for name in images), strict=True))
        put(file, "Operations/StemInputOperation/1", {"dataPath": paths["a"], "detector": "DF4-A"})
        dpc = {"dataPath": paths["c"], "unfilteredDataPath": paths["b"]}
        dpc |= {"integrationMode": "true", "enableFilter": "true"}
        put(file, "Operations/SurfaceReconstructionOperation/1", dpc)
        mathematics = {"dataPath": paths["d"], "outputs": [{"inputIndex": "0"}]}
        put(file, "Operations/MathematicsOperation/1", mathematics)
        camera = {"dataPath": paths["e"], "cameraName": "EF-Ceta"}
        put(file, "Operations/CameraInputOperation/1", camera)
        shown = {"dataPath": paths["f"], "display": {"label": "C K"}}
        put(file, "Presentation/Displays/ImageDisplay/1", shown)
    recording = open_recording(path)
    assert [variable.attrs["label"] for variable in recording.values()] == list(images.values())
    assert list(recording) == ["df_4_a", "i_dpc", "filtered_i_dpc", "a_c", "ef_ceta", "c_k"]
