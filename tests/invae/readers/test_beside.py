"""What lies beside the frames of a store comes with them: settings, labels, and the truth of a simulation."""

import numpy as np
import pytest
import xarray as xr

from invae import dims, open_recording
from invae.config import CardsConfig, DomainsConfig
from invae.storage import store
from invae.synthetic import cards, domains


@pytest.fixture
def write(tmp_path):
    """Frames 4 × 5 with variables beside them, as a store or a NetCDF file."""

    def write(name: str, *, n: int = 3, **beside):
        image = np.random.default_rng(n).normal(size=(n, 4, 5))
        dataset = xr.Dataset({"image": (dims.IMAGE, image), **beside})
        if name.endswith(".nc"):
            dataset.to_netcdf(tmp_path / name)
        else:
            store.write_dataset(tmp_path / name, dataset)
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
def test_numbers_of_frames_become_coordinates(write, name):
    dose = ("frame", [1.0, 2.0, np.nan], dims.attrs("dose", "C"))
    place = (("frame", "axis"), [[1, 2], [3, 4], [5, 6]], dims.attrs("stage"))
    axis = ("axis", ["y", "x"])
    recording = open_recording(
        write(name, dose=dose, place=place, axis=axis, word=("frame", ["a", "b", "c"]))
    )
    np.testing.assert_array_equal(recording["dose"], [1, 2, np.nan])
    assert recording["dose"].dims == ("frame",)
    assert recording["dose"].attrs["units"] == "C"
    assert recording["place_y"].to_numpy().tolist() == [1, 3, 5]
    assert recording["place_x"].attrs["long_name"] == "stage, x"
    assert list(recording.data_vars) == ["image"]
    assert "word" not in recording.coords


def test_other_names_of_frames_are_understood(tmp_path):
    dataset = xr.Dataset({"image": (("t", "y", "x"), np.ones((3, 4, 5))), "dose": ("t", [1, 2, 3])})
    dataset.to_zarr(tmp_path / "a.zarr", consolidated=False, zarr_format=3)
    assert open_recording(tmp_path / "a.zarr")["dose"].dims == ("frame",)


def test_a_series_keeps_what_all_of_its_files_say(write):
    one = write("a.zarr", dose=("frame", [1, 2, 3]), gain=("frame", [1, 1, 1]))
    two = write("b.zarr", n=2, dose=("frame", [4, 5]))
    series = open_recording([one, two])
    assert series["dose"].to_numpy().tolist() == [1, 2, 3, 4, 5]
    assert "gain" not in series.coords


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_known_runs_as_the_frames_do(tmp_path, order):
    image = np.arange(3.0)[:, None, None] * np.ones((3, 4, 5))
    dataset = xr.Dataset(
        {"image": (dims.IMAGE, image), "dose": ("frame", [0, 1, 2])},
        coords={"time": ("frame", [0.0, 1.0, 2.0][::order], dims.attrs("time", "s"))},
    )
    dataset.to_zarr(tmp_path / "a.zarr", consolidated=False, zarr_format=3)
    recording = open_recording(tmp_path / "a.zarr")
    np.testing.assert_array_equal(recording["image"][:, 0, 0], recording["dose"])


def test_the_truth_of_a_simulation_comes_under_its_own_names(tmp_path):
    config = CardsConfig(n_per_suit=2, size=16)
    cards.simulate(tmp_path / "cards.zarr", config=config, seed=1)
    recording, drawn = open_recording(tmp_path / "cards.zarr"), cards.draw(config, seed=1)
    np.testing.assert_array_equal(recording["truth_suit"], drawn["suit"])
    np.testing.assert_array_equal(recording["truth_shift_x"], drawn["shift"].sel(axis="x"))
    assert list(recording["truth_suit"].attrs["symmetry"]) == [1, 1, 2, 1]


def test_maps_of_the_truth_stay_where_they_are(tmp_path):
    scene = DomainsConfig(rows=16, columns=16, n_frames=2)
    domains.simulate(tmp_path / "domains.zarr", config=scene, seed=1)
    recording = open_recording(tmp_path / "domains.zarr")
    assert "truth_field" in recording.coords
    assert not {"truth_polarization", "truth_wall"} & {*recording.variables}


def test_a_truth_of_other_frames_is_left_out(write):
    path = write("a.zarr")
    truth = xr.Dataset({"suit": ("frame", [1, 2])})
    truth.to_zarr(path, group="truth", mode="a", consolidated=False, zarr_format=3)
    assert "truth_suit" not in open_recording(path).coords
