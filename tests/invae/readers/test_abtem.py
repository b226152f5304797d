"""abTEM: what it saves in Zarr is read with axes and units by their names; abTEM itself writes the files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from invae.errors import InputError
from invae.readers import open_recording

abtem = pytest.importorskip("abtem")
axes = pytest.importorskip("abtem.core.axes")

IMAGE = np.random.default_rng(0).random((7, 5)).astype("f4")
"""(x, y), as abTEM keeps it."""
PATTERNS = np.random.default_rng(1).random((3, 4, 6, 8)).astype("f4")
"""(x, y, k_x, k_y)"""
METADATA = {"energy": 80e3, "semiangle_cutoff": 21.4, "label": "intensity", "units": "arb. unit"}
SCAN = [
    axes.ScanAxis(label="x", sampling=0.5, offset=1.0, units="Å"),
    axes.ScanAxis(label="y", sampling=0.25, offset=2.0, units="Å"),
]


def patterns(ensemble: list, values: np.ndarray = PATTERNS, *, fftshift: bool = True):
    return abtem.DiffractionPatterns(
        values, sampling=(0.1, 0.05), fftshift=fftshift, ensemble_axes_metadata=ensemble, metadata=METADATA
    )  # fmt: skip


def test_an_image_is_turned_so_that_rows_are_y(tmp_path: Path) -> None:
    image = abtem.Images(IMAGE, sampling=(0.2, 0.3), metadata=METADATA)
    image.to_zarr(str(tmp_path / "a.zarr"))
    recording = open_recording(tmp_path / "a.zarr")
    assert list(recording) == ["image"]
    np.testing.assert_array_equal(recording["image"][0], IMAGE.T)
    np.testing.assert_array_equal(recording["image"][0, 4:1:-1, ::3], IMAGE.T[4:1:-1, ::3])
    np.testing.assert_allclose(recording["x"], np.arange(7) * 0.02)
    np.testing.assert_allclose(recording["y"], np.arange(5) * 0.03)
    assert recording["x"].attrs["units"] == "nm"
    assert recording.attrs["beam_energy_keV"] == 80
    assert recording.attrs["convergence_mrad"] == 21.4
    assert recording.attrs["format"] == "abtem"
    assert recording["image"].attrs["label"] == "intensity"


def test_patterns_of_a_scan_have_scan_and_detector(tmp_path: Path) -> None:
    patterns(SCAN).to_zarr(str(tmp_path / "a.zarr"))
    recording = open_recording(tmp_path / "a.zarr")
    assert recording["pattern"].dims == ("scan_y", "scan_x", "k_y", "k_x")
    np.testing.assert_array_equal(recording["pattern"], PATTERNS.transpose(1, 0, 3, 2))
    np.testing.assert_array_equal(
        recording["pattern"][2, 1:, ::-2, 3], PATTERNS.transpose(1, 0, 3, 2)[2, 1:, ::-2, 3]
    )
    np.testing.assert_allclose(recording["scan_x"], np.arange(3) * 0.05)
    np.testing.assert_allclose(recording["scan_y"], np.arange(4) * 0.025)
    np.testing.assert_allclose(recording["scan_y"].attrs["origin"], 0.2)
    np.testing.assert_allclose(recording["k_x"], (np.arange(6) - 3) * 1.0)
    np.testing.assert_allclose(recording["k_y"], (np.arange(8) - 4) * 0.5)
    assert recording["k_y"].attrs["units"] == "1/nm"


def test_axes_agree_with_those_of_abtem_itself(tmp_path: Path) -> None:
    saved = patterns(SCAN, PATTERNS[..., :5, :7])
    saved.to_zarr(str(tmp_path / "a.zarr"))
    recording = open_recording(tmp_path / "a.zarr")
    for dim, axis, n in zip(
        ("scan_x", "scan_y", "k_x", "k_y"), saved.axes_metadata, saved.shape, strict=True
    ):
        theirs = np.array(axis.coordinates(n)) * (10 if dim.startswith("k") else 0.1)
        ours = recording[dim] + recording[dim].attrs.get("origin", 0)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_patterns_whose_centre_comes_first_are_put_in_order(tmp_path: Path) -> None:
    stored = np.fft.ifftshift(PATTERNS, axes=(-2, -1))
    patterns(SCAN, stored, fftshift=False).to_zarr(str(tmp_path / "a.zarr"))
    recording = open_recording(tmp_path / "a.zarr")
    np.testing.assert_array_equal(recording["pattern"], PATTERNS.transpose(1, 0, 3, 2))
    np.testing.assert_array_equal(
        recording["pattern"][2, 1:, ::-2, 3], PATTERNS.transpose(1, 0, 3, 2)[2, 1:, ::-2, 3]
    )
    np.testing.assert_allclose(recording["k_x"], (np.arange(6) - 3) * 1.0)


def test_patterns_along_a_line_are_a_scan_of_one_row(tmp_path: Path) -> None:
    line = axes.ScanAxis(label="r", sampling=0.4, units="Å")
    patterns([line], PATTERNS[:, 0]).to_zarr(str(tmp_path / "a.zarr"))
    recording = open_recording(tmp_path / "a.zarr")
    np.testing.assert_array_equal(recording["pattern"][0], PATTERNS[:, 0].transpose(0, 2, 1))
    np.testing.assert_allclose(recording["scan_x"], np.arange(3) * 0.04)


def test_images_at_several_thicknesses_are_frames_with_their_thickness(tmp_path: Path) -> None:
    stack = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
    thickness = axes.ThicknessAxis(values=(10.0, 20.0, 35.0))
    image = abtem.Images(stack, sampling=0.2, ensemble_axes_metadata=[thickness], metadata=METADATA)
    image.to_zarr(str(tmp_path / "a.zarr"))
    recording = open_recording(tmp_path / "a.zarr")
    np.testing.assert_array_equal(recording["image"], stack.transpose(0, 2, 1))
    np.testing.assert_array_equal(recording["thickness"], [10, 20, 35])
    assert recording["thickness"].attrs["units"] == "angstrom"


def test_scans_at_several_thicknesses_are_signals_of_which_one_is_taken(tmp_path: Path) -> None:
    both = np.stack([PATTERNS, PATTERNS + 1])
    thickness = axes.ThicknessAxis(values=(10.0, 20.0))
    patterns([thickness, *SCAN], both).to_zarr(str(tmp_path / "a.zarr"))
    recording = open_recording(tmp_path / "a.zarr")
    np.testing.assert_array_equal(recording["pattern"], PATTERNS.transpose(1, 0, 3, 2))
    assert any("other signals are intensity_1" in note for note in recording.attrs["notes"])
    assert "signals are numbered by thickness: 10.0, 20.0 Å" in recording.attrs["notes"]


def test_other_arrays_of_a_store_are_left_out_with_a_note(tmp_path: Path) -> None:
    profile = abtem.RealSpaceLineProfiles(IMAGE[0], sampling=0.1, metadata=METADATA)
    image = abtem.Images(IMAGE, sampling=0.2, metadata=METADATA)
    both = abtem.array.ComputableList([profile, image])
    both.to_zarr(str(tmp_path / "a.zarr"))
    recording = open_recording(tmp_path / "a.zarr")
    np.testing.assert_array_equal(recording["image"][0], IMAGE.T)
    assert any(note.startswith("array0 (r) was left out") for note in recording.attrs["notes"])
    profile.to_zarr(str(tmp_path / "b.zarr"))
    with pytest.raises(InputError, match=r"holds no image and no pattern of abTEM; array0 \(r\)"):
        open_recording(tmp_path / "b.zarr")


def test_stores_of_earlier_versions_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    abtem.Images(IMAGE, sampling=0.2).to_zarr(str(tmp_path / "a.zarr"))
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr")
    file = tmp_path / "a.zarr/zarr.json"
    store = json.loads(file.read_text())
    store["attributes"] = {"type0": "Images", "kwargs0": {"sampling": [0.2, 0.2]}}
    file.write_text(json.dumps(store))
    with pytest.raises(InputError, match=r"before 1\.0\.10; load it with abtem\.from_zarr"):
        open_recording(tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "b.zarr/array0")
    with pytest.raises(InputError, match=r"b\.zarr: cannot be read"):
        open_recording(tmp_path / "b.zarr")


def test_absent_chunks_are_counted_in_a_note(tmp_path: Path) -> None:
    abtem.Images(IMAGE, sampling=0.2).to_zarr(str(tmp_path / "a.zarr"))
    shutil.rmtree(tmp_path / "a.zarr/array0/c")
    recording = open_recording(tmp_path / "a.zarr")
    assert any("1 of 1 chunks are absent" in note for note in recording.attrs["notes"])
