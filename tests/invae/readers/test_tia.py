"""FEI TIA: images, series, spectra and scans against files written by hand, and against RosettaSciIO."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invae.errors import InvaeError
from invae.readers import files_of, open_recording
from tests.invae.readers.random_damage import every_damage_has_one_line
from tests.invae.readers.tia_files import write_emi, write_ser

IMAGES = np.arange(3 * 5 * 7).reshape(3, 5, 7).astype("u2")
IN_METRES = [(-1.4e-8, 4e-9, 0), (-1e-8, 2e-9, 0)]
"""x and y of images."""
PER_METRE = [(0.0, 2e9, 4), (0.0, 2e9, 4)]
"""x and y of patterns, whose centre is pixel 4."""
ENERGY = [(500.0, 0.5, 2)]
SPECTRA = np.random.default_rng(2).integers(0, 999, (6, 20)).astype("u4")
RASTER = [(3, 1e-8, 2e-9, "meters"), (2, 5e-8, -3e-9, "meters")]
"""Three columns, two rows: y points up, so that the second row is lower."""


def close(left: Any, right: Any) -> None:
    np.testing.assert_allclose(left, right, rtol=1e-9)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
def test_a_series_of_images_has_its_values_its_rows_and_its_pixels(
    dtype: str, new: bool, tmp_path: Path
) -> None:
    values = IMAGES.astype(dtype)
    recording = open_recording(write_ser(tmp_path / "a_1.ser", values, scales=IN_METRES, new=new))
    assert recording["image"].dims == ("frame", "y", "x")
    assert recording["image"].dtype == values.dtype
    np.testing.assert_array_equal(recording["image"], values)
    np.testing.assert_array_equal(recording["image"][1:, 3:1:-1, ::2], values[1:, 3:1:-1, ::2])
    close(recording["x"], np.arange(7) * 4)
    close(recording["y"], np.arange(5) * 2)
    assert recording["y"].attrs["units"] == recording["x"].attrs["units"] == "nm"
    # y points up in the file: its lowest row is at -10 nm, the highest at -2 nm
    close(recording["y"].attrs["origin"], 2)


def test_a_single_image_takes_energy_time_and_mode_from_its_own_part_of_the_emi(
    tmp_path: Path,
) -> None:
    path = write_ser(tmp_path / "a_2.ser", IMAGES[:1], scales=IN_METRES)
    first = {"mode": "TEM uP SA Zoom Image", "energy": "80", "date": "Mon Feb 04 15:23:39 2013"}
    own = {"energy": "300", "date": "Tue Feb 05 15:23:39 2013"}
    emi = write_emi(tmp_path / "a.emi", first, own)
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["image"], IMAGES[:1])
    assert recording.attrs["beam_energy_keV"] == 300
    assert recording.attrs["acquired"] == "2013-02-05T15:23:39"
    assert recording.attrs["modality"] == "STEM"
    metadata = json.loads(recording.attrs["metadata"])
    assert metadata["Magnification [x]"] == "225000"
    assert metadata["DwellTimePath"] == "1e-6"
    assert files_of(path) == (path, emi)
    emi.unlink()
    assert "beam_energy_keV" not in open_recording(path).attrs


def test_spectra_of_a_grid_are_rows_of_energies(tmp_path: Path) -> None:
    path = write_ser(tmp_path / "a_1.ser", SPECTRA, scales=ENERGY, dimensions=RASTER)
    recording = open_recording(path)
    assert recording["spectrum"].dims == ("y", "x", "energy")
    np.testing.assert_array_equal(recording["spectrum"], SPECTRA.reshape(2, 3, 20))
    np.testing.assert_array_equal(
        recording["spectrum"][1, ::-1, 3:9:2], SPECTRA.reshape(2, 3, 20)[1, ::-1, 3:9:2]
    )
    close(recording["energy"], 499 + np.arange(20) * 0.5)
    close(recording["x"], np.arange(3) * 2)
    close(recording["y"], np.arange(2) * 3)
    close(recording["y"].attrs["origin"], -50)
    assert recording["energy"].attrs["units"] == "eV"
    assert recording["spectrum"].attrs["units"] == "count"


def test_a_grid_that_runs_upwards_is_turned_so_that_y_points_down(tmp_path: Path) -> None:
    upwards = [RASTER[0], (2, 5e-8, 3e-9, "meters")]
    path = write_ser(tmp_path / "a_1.ser", SPECTRA, scales=ENERGY, dimensions=upwards)
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["spectrum"], SPECTRA.reshape(2, 3, 20)[::-1])


def test_a_grid_that_was_stopped_keeps_its_whole_rows_with_a_note(tmp_path: Path) -> None:
    rows = [(2, 0.0, 2e-9, "meters"), (4, 0.0, -2e-9, "meters")]
    path = write_ser(tmp_path / "a_1.ser", SPECTRA[:5], scales=ENERGY, dimensions=rows, n_planned=8)
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["spectrum"], SPECTRA[:4].reshape(2, 2, 20))
    assert "5 of 8 elements were recorded; the series was stopped" in recording.attrs["notes"]


def test_spectra_on_a_slanted_line_lie_along_y_with_their_distance(tmp_path: Path) -> None:
    places = [(1e-8 + n * 3e-9, 2e-8 - n * 4e-9) for n in range(6)]
    line = [(6, 0.0, 3e-9, "meters")]
    path = write_ser(tmp_path / "a_1.ser", SPECTRA, scales=ENERGY, dimensions=line, places=places)
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["spectrum"][:, 0], SPECTRA)
    close(recording["y"], np.arange(6) * 5)


def test_spectra_at_scattered_places_are_points_with_y_down(tmp_path: Path) -> None:
    places = [(0, 0), (1e-9, 5e-9), (7e-9, 2e-9), (1e-9, -5e-9), (2e-9, 2e-9), (0, 9e-9)]
    path = write_ser(tmp_path / "a_1.ser", SPECTRA, scales=ENERGY, places=places)
    recording = open_recording(path)
    assert recording["spectrum"].dims == ("point", "energy")
    np.testing.assert_array_equal(recording["spectrum"], SPECTRA)
    close(recording["point_x_nm"], [0, 1, 7, 1, 2, 0])
    close(recording["point_y_nm"], [0, -5, -2, 5, -2, -9])


def test_a_single_spectrum_is_read(tmp_path: Path) -> None:
    path = write_ser(tmp_path / "a_1.ser", SPECTRA[:1], scales=ENERGY, places=[(0, 0)])
    np.testing.assert_array_equal(open_recording(path)["spectrum"].squeeze(), SPECTRA[0])


PATTERNS = np.random.default_rng(3).integers(0, 999, (6, 8, 10)).astype("u2")


def test_patterns_of_a_scan_have_scan_and_detector(tmp_path: Path) -> None:
    path = write_ser(tmp_path / "a_1.ser", PATTERNS, scales=PER_METRE, dimensions=RASTER)
    recording = open_recording(path)
    assert recording["pattern"].dims == ("scan_y", "scan_x", "k_y", "k_x")
    np.testing.assert_array_equal(recording["pattern"], PATTERNS.reshape(2, 3, 8, 10))
    close(recording["scan_x"], np.arange(3) * 2)
    close(recording["scan_y"], np.arange(2) * 3)
    close(recording["k_x"], (np.arange(10) - 4) * 2)
    close(recording["k_y"], (np.arange(8) - 3) * 2)  # the eighth row from below is the first
    assert recording["k_y"].attrs["units"] == "1/nm"
    assert recording.attrs["modality"] == "4D-STEM"


def test_patterns_along_a_line_are_a_scan_of_one_row(tmp_path: Path) -> None:
    line = [(6, 0.0, -2e-9, "meters")]
    path = write_ser(tmp_path / "a_1.ser", PATTERNS, scales=PER_METRE, dimensions=line)
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["pattern"][0], PATTERNS)
    close(recording["scan_x"], np.arange(6) * 2)


def test_a_diffraction_image_has_no_size_in_nanometres(tmp_path: Path) -> None:
    path = write_ser(tmp_path / "a_1.ser", IMAGES[:1], scales=PER_METRE)
    recording = open_recording(path)
    np.testing.assert_array_equal(recording["image"], IMAGES[:1])
    assert recording["x"].attrs["units"] == "pixel"
    assert any("2e+09 1/m, which is no calibration" in note for note in recording.attrs["notes"])


@pytest.mark.parametrize("kind", ["images", "grid", "patterns"])
def test_rosettasciio_reads_the_same(kind: str, tmp_path: Path) -> None:
    tia = pytest.importorskip("rsciio.tia")
    path = tmp_path / "a_1.ser"
    raster = [(1e-8 + n % 3 * 2e-9, 5e-8 - n // 3 * 3e-9) for n in range(6)]
    if kind == "images":
        write_ser(path, IMAGES, scales=IN_METRES)
    elif kind == "grid":
        write_ser(path, SPECTRA, scales=[(500.0, 0.5, 0)], dimensions=RASTER, places=raster)
    else:
        write_ser(path, PATTERNS, scales=PER_METRE, dimensions=RASTER, places=raster)
    (theirs,) = tia.file_reader(str(path))
    ours = next(iter(open_recording(path).data_vars.values()))
    np.testing.assert_array_equal(ours, theirs["data"])
    if kind == "grid":
        close(ours["x"][1] - ours["x"][0], theirs["axes"][1]["scale"])
        close(ours["y"][1] - ours["y"][0], -theirs["axes"][0]["scale"])  # y points up
        close(ours["energy"][0], theirs["axes"][2]["offset"])


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    path = write_ser(tmp_path / "a_1.ser", IMAGES, scales=IN_METRES)
    shutil.copy(path, tmp_path / "a.dat")
    assert open_recording(tmp_path / "a.dat").attrs["format"] == "ser"


def refusal(path: Path) -> str:
    try:
        open_recording(path).load()
    except InvaeError as error:
        return str(error)
    return ""


def test_what_is_damaged_or_not_read_is_one_line(tmp_path: Path) -> None:
    path = write_ser(tmp_path / "a_1.ser", IMAGES, scales=IN_METRES)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert "a_1.ser: has" in refusal(path)
    assert "it is incomplete" in refusal(path)
    path.write_bytes(whole[:30])
    assert "a_1.ser: cannot be read" in refusal(path)
    write_ser(path, IMAGES[:0], scales=IN_METRES, n_planned=1)
    assert "holds no element" in refusal(path)
    write_ser(path, IMAGES.astype("c8"), scales=IN_METRES)
    assert "type 9, but only real numbers" in refusal(path)
    write_ser(path, IMAGES, scales=IN_METRES)
    (tmp_path / "a.emi").write_bytes(b"<ObjectInfo><Uuid></ObjectInfo>")
    assert "settings in a.emi are damaged" in refusal(path)


def test_no_damage_escapes_as_another_error(tmp_path: Path) -> None:
    path = write_ser(
        tmp_path / "a_1.ser", SPECTRA, scales=ENERGY, places=[(n * 1e-9, 0) for n in range(6)]
    )
    every_damage_has_one_line(path, refusal)
