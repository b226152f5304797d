"""Nanonis: grids of spectra and images, against hand-written files, a public grid and nanonispy2."""

from pathlib import Path

import nanonispy2.read
import numpy as np
import pytest

from invae.config import IngestConfig
from invae.readers import open_recording
from invae.readers.ingest import ingest
from invae.storage import store
from tests.invae.readers.spectra.conftest import (
    ANGLE,
    CENTRE,
    SIZE_NM,
    SWEEP,
    loops,
    place_of,
    write_3ds,
    write_sxm,
)

GRID = "spectra/NanonisReader_STS_grid_lockin.3ds"


def test_a_grid_has_its_spectra_its_axis_and_its_topography(tmp_path: Path) -> None:
    values, height = loops(), np.random.default_rng(0).normal(size=(3, 4)).astype("f4")
    write_3ds(tmp_path / "a.3ds", {"Current (A)": values, "LI X (V)": -values}, height=height)
    recording = open_recording(tmp_path / "a.3ds")
    assert list(recording) == ["current", "li_x", "height"]
    assert recording["current"].dims == ("y", "x", "voltage")
    np.testing.assert_array_equal(recording["current"], values)
    np.testing.assert_array_equal(recording["li_x"], -values)
    np.testing.assert_array_equal(recording["height"][0], height)
    np.testing.assert_allclose(recording["voltage"], SWEEP, atol=1e-7)
    assert [recording[name].attrs["units"] for name in recording] == ["A", "V", "m"]
    np.testing.assert_allclose(recording["y"], np.arange(3) * SIZE_NM[1] / 3)
    np.testing.assert_allclose(recording["x"], np.arange(4) * SIZE_NM[0] / 4)
    assert recording.attrs["acquired"] == "2016-06-04T20:13:23"
    assert recording.attrs["modality"] == "STS"


def test_the_grid_attributes_give_the_place_of_every_spectrum(tmp_path: Path) -> None:
    write_3ds(tmp_path / "a.3ds")
    recording = open_recording(tmp_path / "a.3ds")
    centre, size = recording.attrs["grid_centre_nm"], recording.attrs["grid_size_nm"]
    angle = np.deg2rad(recording.attrs["grid_angle_deg"])
    assert recording.attrs["grid_angle_deg"] == -ANGLE  # the header turns clockwise
    np.testing.assert_allclose(centre, [-CENTRE[1] * 1e9, CENTRE[0] * 1e9], atol=1e-4)
    rows, columns = recording["current"].shape[:2]
    for row, column in ((0, 0), (2, 1), (1, 3)):
        down = (row - (rows - 1) / 2) * size[0] / rows
        right = (column - (columns - 1) / 2) * size[1] / columns
        # positive as np.rot90: to the right becomes up, against y
        y = centre[0] - np.sin(angle) * right + np.cos(angle) * down
        x = centre[1] + np.cos(angle) * right + np.sin(angle) * down
        expected = place_of(rows - 1 - row, column, rows, columns)
        np.testing.assert_allclose([x, -y], np.array(expected) * 1e9, atol=1e-4)


def test_a_backward_sweep_follows_the_forward_one_in_one_row(tmp_path: Path) -> None:
    forward, backward = loops(), loops() + 1000
    write_3ds(tmp_path / "a.3ds", {"Current (A)": forward}, backward={"Current (A)": backward})
    recording = open_recording(tmp_path / "a.3ds")
    expected = np.concatenate([forward, backward[..., ::-1]], axis=-1)
    np.testing.assert_array_equal(recording["current"], expected)
    np.testing.assert_allclose(recording["voltage"], [*SWEEP, *SWEEP[::-1]], atol=1e-7)
    assert recording["direction"].dims == ("voltage",)
    np.testing.assert_array_equal(recording["direction"], [0] * 12 + [1] * 12)
    assert recording["direction"].attrs["flag_meanings"] == "forward backward"
    np.testing.assert_array_equal(recording["current"][1:, 2, 10:15], expected[1:, 2, 10:15])


def test_a_backward_sweep_of_some_channels_is_a_channel_of_its_own(tmp_path: Path) -> None:
    values = loops()
    write_3ds(
        tmp_path / "a.3ds",
        {"Current (A)": values, "Phase (deg)": values + 1},
        backward={"Current (A)": values + 2},
    )
    recording = open_recording(tmp_path / "a.3ds")
    assert list(recording) == ["current_1", "phase", "current_2", "height"]
    np.testing.assert_array_equal(recording["current_2"], values + 2)
    assert recording["current_2"].attrs["direction"] == "retrace"
    assert any("backward sweep" in note for note in recording.attrs["notes"])


def test_the_missing_spectra_of_an_aborted_grid_are_nan_and_noted(tmp_path: Path) -> None:
    write_3ds(tmp_path / "a.3ds", n_written=5)
    path = tmp_path / "a.3ds"
    path.write_bytes(path.read_bytes() + b"\0" * 7)  # the next spectrum has begun
    recording = open_recording(path).load()
    measured = np.isfinite(recording["current"].values).all(axis=-1)
    # rows are recorded from the lowest one upwards
    np.testing.assert_array_equal(measured, [[0] * 4, [1, 0, 0, 0], [1] * 4])
    np.testing.assert_array_equal(recording["current"][2], loops()[2])
    assert np.isnan(recording["height"][0, 0]).all()
    assert "5 of 12 spectra are complete" in recording.attrs["notes"][0]


def test_a_cloud_of_spectra_is_points_with_their_places(tmp_path: Path) -> None:
    values = loops(1, 5)
    write_3ds(tmp_path / "a.3ds", {"Current (A)": values}, entries={"Filetype": "Cloud"})
    recording = open_recording(tmp_path / "a.3ds")
    assert recording["current"].dims == ("point", "voltage")
    np.testing.assert_array_equal(recording["current"], values[0])
    x, y = zip(*(place_of(0, n, 1, 5) for n in range(5)), strict=True)
    np.testing.assert_allclose(recording["point_x_nm"], np.array(x) * 1e9, atol=1e-4)
    np.testing.assert_allclose(recording["point_y_nm"], -np.array(y) * 1e9, atol=1e-4)
    np.testing.assert_array_equal(recording["point_frame"], np.zeros(5))
    np.testing.assert_array_equal(recording["specimen"], np.zeros(5))


def test_another_quantity_can_be_swept(tmp_path: Path) -> None:
    write_3ds(tmp_path / "a.3ds", signal="Frequency (Hz)")
    assert open_recording(tmp_path / "a.3ds")["current"].dims == ("y", "x", "frequency")
    write_3ds(tmp_path / "b.3ds", signal="Bias (mV)", sweep=(-500, 600))
    np.testing.assert_allclose(open_recording(tmp_path / "b.3ds")["voltage"], SWEEP, atol=1e-7)


def test_the_public_grid_needs_no_help_and_has_the_values_of_nanonispy(shared_data: Path) -> None:
    recording = open_recording(shared_data / GRID)
    missing = {"Delay before measuring (s)": "0", "Start time": "", "End time": "", "Comment": ""}
    reference = nanonispy2.read.Grid(str(shared_data / GRID), header_override=missing)
    for name, label in (("current", "Current (A)"), ("lockin_x", "LockinX (V)")):
        np.testing.assert_array_equal(recording[name], reference.signals[label][::-1])
    np.testing.assert_array_equal(recording["height"][0], reference.signals["topo"][::-1])
    np.testing.assert_allclose(recording["voltage"], reference.signals["sweep_signal"], atol=1e-7)
    assert recording["current"].shape == (30, 30, 200)
    assert recording.attrs["grid_size_nm"] == pytest.approx([5, 5])
    assert recording.attrs["grid_angle_deg"] == -45


def test_the_public_grid_is_where_its_spectra_say(shared_data: Path) -> None:
    recording = open_recording(shared_data / GRID)
    data = (shared_data / GRID).read_bytes().partition(b":HEADER_END:\r\n")[2]
    places = np.frombuffer(data, ">f4").reshape(30, 30, 810)[::-1, :, 2:4] * 1e9
    centre, angle = recording.attrs["grid_centre_nm"], np.deg2rad(-45)
    for row, column in ((0, 0), (29, 0), (3, 17), (12, 29)):
        down, right = (row - 14.5) / 6, (column - 14.5) / 6
        y = centre[0] - np.sin(angle) * right + np.cos(angle) * down
        x = centre[1] + np.cos(angle) * right + np.sin(angle) * down
        np.testing.assert_allclose([x, -y], places[row, column], atol=0.01)


def test_a_grid_is_stored_with_its_images(shared_data: Path, tmp_path: Path, receipt_for) -> None:
    path, target = shared_data / GRID, tmp_path / "recording.zarr"
    ingest([path], target, config=IngestConfig(shard_mb=0.2), receipt=receipt_for(path))
    recording, stored = open_recording(path), store.open_store(target)
    for name in recording:
        np.testing.assert_array_equal(stored[name], recording[name])
        assert stored[name].dims == recording[name].dims
    again = open_recording(target)
    assert again.attrs["grid_centre_nm"] == recording.attrs["grid_centre_nm"]
    assert {name: again[name].dims for name in again} == {
        name: recording[name].dims for name in recording
    }


def test_an_image_has_both_directions_as_on_the_specimen(tmp_path: Path) -> None:
    height, current = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("f4")
    images = {"Z": ("m", height, height + 1), "Current": ("A", current, None)}
    for direction in ("up", "down"):
        path = tmp_path / f"{direction}.sxm"
        write_sxm(path, images, direction=direction)
        recording = open_recording(path)
        assert list(recording) == ["height_1", "height_2", "current"]
        np.testing.assert_array_equal(recording["height_1"][0], height)
        np.testing.assert_array_equal(recording["height_2"][0], height + 1)
        np.testing.assert_array_equal(recording["current"][0], current)
        assert recording["height_2"].attrs["direction"] == "retrace"
        assert [v.attrs["units"] for v in recording.values()] == ["m", "m", "A"]
        np.testing.assert_allclose(recording["x"], np.arange(4) * SIZE_NM[0] / 4)
        np.testing.assert_allclose(recording["y"], np.arange(3) * SIZE_NM[1] / 3)
        assert recording.attrs["grid_centre_nm"] == pytest.approx([40, 120])
        assert recording.attrs["grid_size_nm"] == pytest.approx([SIZE_NM[1], SIZE_NM[0]])
        assert recording.attrs["grid_angle_deg"] == -ANGLE
        assert recording.attrs["acquired"] == "2015-05-24T12:12:12"
        assert recording.attrs["modality"] == "STM"


def test_nanonispy_reads_the_same_image(tmp_path: Path) -> None:
    write_sxm(tmp_path / "a.sxm")
    recording = open_recording(tmp_path / "a.sxm")
    reference = nanonispy2.read.Scan(str(tmp_path / "a.sxm")).signals["Z"]
    np.testing.assert_array_equal(recording["height_1"][0], reference["forward"])
    np.testing.assert_array_equal(recording["height_2"][0], reference["backward"][:, ::-1])
