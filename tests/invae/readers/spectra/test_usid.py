"""USID: rows in any order, several spectroscopic dimensions, grids with gaps and points."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from invae.readers import open_recording
from tests.invae.readers.spectra.conftest import loops, write_usid

RANDOM = np.random.default_rng(3)


def test_a_grid_in_any_order_of_rows_is_the_same_grid(tmp_path: Path) -> None:
    values = loops()
    for name, order in (("raster", None), ("shuffled", RANDOM.permutation(12))):
        write_usid(tmp_path / f"{name}.h5", values, order=order)
        recording = open_recording(tmp_path / f"{name}.h5")
        assert recording["piezoresponse"].dims == ("y", "x", "voltage")
        np.testing.assert_array_equal(recording["piezoresponse"], values)
        np.testing.assert_array_equal(recording["piezoresponse"][1:, 2, 3:7], values[1:, 2, 3:7])
        np.testing.assert_allclose(recording["voltage"], np.linspace(-2, 2, 12))
        np.testing.assert_allclose(recording["x"], np.arange(4) * 5.0, rtol=1e-6)
        assert recording.attrs["format"] == "usid"


def test_further_dimensions_are_coordinates_along_the_row(tmp_path: Path) -> None:
    bias = np.tile([0.0, 2.0, -2.0], 4)
    steps = {
        "DC_Offset": ("V", bias),
        "Field": ("", np.tile(np.repeat([0.0, 1.0], 3), 2)),
        "Cycle": ("", np.repeat([0.0, 1.0], 6)),
    }
    write_usid(tmp_path / "a.h5", steps=steps)
    recording = open_recording(tmp_path / "a.h5")
    assert recording["piezoresponse"].dims == ("y", "x", "voltage")
    np.testing.assert_array_equal(recording["voltage"], bias)
    np.testing.assert_array_equal(recording["cycle"], [0] * 6 + [1] * 6)
    np.testing.assert_array_equal(recording["field"][3:6], [1, 1, 1])
    assert recording["cycle"].dims == recording["field"].dims == ("voltage",)
    assert recording["voltage"].attrs["units"] == "V"


def test_positions_that_were_not_measured_are_nan_and_noted(tmp_path: Path) -> None:
    values = loops()
    write_usid(tmp_path / "a.h5", values, order=np.delete(np.arange(12), [5, 11]))
    recording = open_recording(tmp_path / "a.h5").load()
    assert np.isnan(recording["piezoresponse"][1, 1]).all()
    assert np.isnan(recording["piezoresponse"]).sum() == 24
    np.testing.assert_array_equal(recording["piezoresponse"][0], values[0])
    assert "2 positions of the grid were not measured" in recording.attrs["notes"][0]


def test_few_positions_of_a_large_grid_are_points(tmp_path: Path) -> None:
    positions = np.array([[0, 0], [7, 3], [2, 9], [5, 5]])
    values = loops(1, 4)
    write_usid(tmp_path / "a.h5", values[0], positions=positions)
    recording = open_recording(tmp_path / "a.h5")
    assert recording["piezoresponse"].dims == ("point", "voltage")
    np.testing.assert_array_equal(recording["piezoresponse"], values[0])
    np.testing.assert_allclose(recording["point_x_nm"], [0, 35, 10, 25])
    np.testing.assert_allclose(recording["point_y_nm"], [0, 15, 45, 25])


def test_one_value_per_position_is_an_image(tmp_path: Path) -> None:
    values = loops(steps=1)
    write_usid(tmp_path / "a.h5", values, steps={"arb": ("", np.zeros(1))})
    recording = open_recording(tmp_path / "a.h5")
    np.testing.assert_array_equal(recording["piezoresponse"][0], values[..., 0])


def test_fits_of_loops_are_preferred_to_raw_spectra_of_frequency(tmp_path: Path) -> None:
    frequency = {
        "Frequency": ("Hz", np.tile(np.arange(6) * 1e3, 4)),
        "DC_Offset": ("V", np.repeat([0.0, 2.0, 0.0, -2.0], 6)),
    }
    write_usid(tmp_path / "a.h5", loops(steps=24), steps=frequency)
    fields = np.dtype([("Amplitude [V]", "f4"), ("Phase [rad]", "f4")])
    fits = np.zeros((3, 4, 4), fields)
    fits["Amplitude [V]"], fits["Phase [rad]"] = loops(steps=4), -loops(steps=4)
    bias = {"DC_Offset": ("V", np.array([0.0, 2.0, 0.0, -2.0]))}
    write_usid(tmp_path / "a.h5", fits, steps=bias, name="SHO_Fit", mode="a")
    recording = open_recording(tmp_path / "a.h5")
    assert list(recording) == ["amplitude", "phase"]
    np.testing.assert_array_equal(recording["phase"], -loops(steps=4))
    assert [v.attrs["units"] for v in recording.values()] == ["V", "rad"]
    assert "Raw_Data" in recording.attrs["notes"][0]


def test_complex_values_become_amplitude_and_phase(tmp_path: Path) -> None:
    values = (loops() * np.exp(0.5j)).astype("c8")
    write_usid(tmp_path / "a.h5", values)
    recording = open_recording(tmp_path / "a.h5")
    assert list(recording) == ["piezoresponse_amplitude", "piezoresponse_phase"]
    np.testing.assert_allclose(recording["piezoresponse_amplitude"], loops(), rtol=1e-6)
    np.testing.assert_allclose(recording["piezoresponse_phase"], 0.5, rtol=1e-5)


def test_nsid_stays_nsid(shared_data: Path) -> None:
    path = shared_data / "spectra/BEPS_PTO_50x50.h5"
    recording = open_recording(path)
    assert recording.attrs["format"] == "nsid"
    with h5py.File(path) as file:
        bias = file["Channel_000/generic/Voltage"]
        assert isinstance(bias, h5py.Dataset)
        np.testing.assert_array_equal(recording["voltage"], bias[()])


@pytest.mark.parametrize("labels", [("X", "Y"), ("col", "row"), ("fast", "slow")])
def test_the_first_dimension_of_positions_is_the_fast_one(
    labels: tuple[str, str], tmp_path: Path
) -> None:
    write_usid(tmp_path / "a.h5", labels=labels)
    np.testing.assert_array_equal(open_recording(tmp_path / "a.h5")["piezoresponse"], loops())
