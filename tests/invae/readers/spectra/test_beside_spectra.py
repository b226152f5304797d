"""Files of spectra together with files of images, and points in the axes of their images."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invae.config import IngestConfig, PlasmonsConfig
from invae.errors import ConfigError
from invae.readers import open_recording
from invae.readers.beside_spectra import with_images
from invae.readers.ingest import ingest
from invae.synthetic import plasmons
from tests.invae.readers.spectra.conftest import loops, write_3ds, write_sxm

RANDOM = np.random.default_rng(13)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A grid of spectra, an image of its pixels and an image of its surroundings."""
    write_3ds(tmp_path / "grid.3ds")
    dark_field = RANDOM.normal(size=(1, 3, 4))
    np.save(tmp_path / "dark.npy", dark_field)
    (tmp_path / "dark.json").write_text('{"quantity": "HAADF", "dims": ["frame", "y", "x"]}')
    large = RANDOM.normal(size=(2, 20, 30)).astype("f4")
    write_sxm(tmp_path / "around.sxm", {"Z": ("m", *large)})
    return [tmp_path / name for name in ("around.sxm", "grid.3ds", "dark.npy")]


def test_images_of_other_files_come_beside_the_spectra(files: list[Path]) -> None:
    recording = open_recording(files)
    around, grid, dark = (open_recording(file) for file in files)
    assert list(recording) == ["current", "height", "survey", "survey_height_2", "haadf"]
    np.testing.assert_array_equal(recording["current"], grid["current"])
    np.testing.assert_array_equal(recording["haadf"], dark["haadf"])
    np.testing.assert_array_equal(recording["survey"], around["height_1"][0])
    np.testing.assert_array_equal(recording["survey_height_2"], around["height_2"][0])
    assert recording["survey"].dims == ("survey_y", "survey_x")
    np.testing.assert_array_equal(recording["survey_x"], around["x"])
    for name in ("grid_centre_nm", "grid_size_nm", "grid_angle_deg"):
        assert recording.attrs[name] == grid.attrs[name]
        assert recording["survey"].attrs[name] == around.attrs[name]
    assert recording.attrs["sources"] == ["grid.3ds", "around.sxm", "dark.npy"]
    assert not any("where the grid" in note for note in recording.attrs["notes"])
    assert not any(v.variable._in_memory for v in recording.data_vars.values())


def test_they_are_stored_and_come_back(files: list[Path], tmp_path: Path, receipt_for) -> None:
    target = tmp_path / "recording.zarr"
    ingest(files, target, config=IngestConfig(shard_mb=1e-3), receipt=receipt_for(*files))
    recording, again = open_recording(files).load(), open_recording(target).load()
    for name in recording:
        np.testing.assert_array_equal(again[name], recording[name])
        assert again[name].dims == recording[name].dims
    assert again["survey"].attrs["grid_angle_deg"] == recording["survey"].attrs["grid_angle_deg"]
    assert not any("where the grid" in note for note in again.attrs["notes"])


@pytest.mark.parametrize(
    ("entries", "is_elsewhere"),
    [
        ({}, False),
        ({"SCAN_ANGLE": "31"}, False),
        ({"SCAN_ANGLE": "60"}, True),
        ({"SCAN_OFFSET": "1.22E-7 -4E-8"}, True),
    ],
)
def test_an_image_of_the_same_pixels_elsewhere_is_the_survey(
    entries: dict[str, str], is_elsewhere: bool, tmp_path: Path
) -> None:
    write_3ds(tmp_path / "grid.3ds")
    write_sxm(tmp_path / "image.sxm", entries=entries)
    recording = open_recording([tmp_path / "grid.3ds", tmp_path / "image.sxm"])
    assert ("survey" in recording) == is_elsewhere
    assert ("height_1" in recording) != is_elsewhere


def test_channels_of_all_files_can_be_chosen(files: list[Path]) -> None:
    assert list(open_recording(files, channels=["current", "survey"])) == ["current", "survey"]
    with pytest.raises(ConfigError, match=r"has no channel phase; choose ingest\.channels among"):
        open_recording(files, channels=["phase"])


def test_a_configured_pixel_size_is_that_of_the_grid(files: list[Path]) -> None:
    recording = open_recording(files, pixel_size=0.5)
    assert recording["x"][1] == 0.5
    assert recording.attrs["grid_size_nm"] == [1.5, 2.0]
    np.testing.assert_array_equal(recording["survey_x"], open_recording(files[0])["x"])


def test_a_second_survey_is_left_out_with_a_note(files: list[Path], tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", RANDOM.normal(size=(5, 6)))
    recording = open_recording([*files, tmp_path / "other.npy"])
    assert any("other.npy has other pixels" in note for note in recording.attrs["notes"])


def test_points_are_counted_from_the_first_pixel_of_their_images(tmp_path: Path) -> None:
    image = RANDOM.normal(size=(1, 5, 6))
    made = xr.Dataset(
        {"spectrum": (("point", "energy"), loops(1, 2)[0]), "image": (("frame", "y", "x"), image)},
        coords={
            "energy": ("energy", np.arange(12.0), {"units": "eV"}),
            "x": ("x", 100 + 2.0 * np.arange(6), {"units": "nm"}),
            "point_y_nm": ("point", [4.0, 8.0], {"units": "nm"}),
            "point_x_nm": ("point", [100.0, 0.110], {"units": "nm"}),
        },
    )
    places = ("point", np.array([0.1, 0.11]), {"units": "um"})
    for name, down in (("down", 1), ("up", -1)):
        y = ("y", (np.arange(5) * 2.0 + 4)[::down], {"units": "nm"})
        values = {"image": made["image"][:, ::down]}
        told = made.assign_coords(y=y, point_x_nm=places).assign(values)
        told.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        recording = open_recording(tmp_path / f"{name}.nc")
        np.testing.assert_allclose(recording["point_y_nm"], [0, 4])
        np.testing.assert_allclose(recording["point_x_nm"], [0, 10], atol=1e-9)
        np.testing.assert_array_equal(recording["image"], image)


def test_simulated_particles_come_in_with_their_images_and_specimens(tmp_path: Path) -> None:
    config = PlasmonsConfig.model_validate(
        {"sample": {"kind": "assembly", "n_assemblies": 2, "n_probes": 4, "n_energies": 8}}
    )
    recording, _ = plasmons.simulate_dataset(config, seed=1)
    plasmons.simulate(tmp_path / "plasmons.zarr", config=config, seed=1)
    stored = open_recording(tmp_path / "plasmons.zarr")
    for name in ("spectrum", "image", "point_frame", "point_y_nm", "point_x_nm", "specimen"):
        np.testing.assert_array_equal(stored[name], recording[name])
        assert stored[name].dims == recording[name].dims
    np.testing.assert_allclose(stored["energy"], recording["energy"])


def of_session(folder: Path) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """A grid of 4 × 2 spectra, its survey and an image recorded with it in finer steps."""
    np.save(folder / "image.npy", RANDOM.normal(size=(1, 20, 30)))
    image = open_recording(folder / "image.npy")
    spectra = xr.Dataset({"eels": (("y", "x", "energy"), np.ones((4, 2, 9)))}, attrs={"notes": []})
    told = {"survey_id": "7", "survey_rectangle_px": [2.0, 3.0, 10.0, 7.0]}
    return spectra.assign_attrs(told), image.assign_attrs(survey_id="7"), image.assign_attrs(told)


def test_a_grid_has_its_edges_on_the_survey_of_its_session_and_on_no_other(tmp_path: Path) -> None:
    spectra, survey, finer = of_session(tmp_path)
    paths = [tmp_path / "spectra.dm3", tmp_path / "image.npy"]
    for image, edges in ((survey, [2, 3, 10, 7]), (finer, [0, 0, 20, 30])):
        joined = with_images(paths, [spectra, image])
        assert joined["survey"].attrs["grid_rectangle_px"] == edges
    others = (survey.assign_attrs(survey_id="8"), finer.assign_attrs(survey_rectangle_px=[0.0, 0.0, 4.0, 4.0]))  # fmt: skip
    for image in others:
        joined = with_images(paths, [spectra, image])
        assert "grid_rectangle_px" not in joined["survey"].attrs
        assert any("where the grid" in note for note in joined.attrs["notes"])
