"""NetCDF holds what the result holds."""

import numpy as np
import xarray as xr

from invae import results
from invae.results.slabs import SLAB_BYTES
from invae.storage import store


def test_netcdf_has_the_same_values_in_the_same_groups(copied):
    file = results.export(copied, to="netcdf")
    assert file == copied.with_suffix(".nc")
    for group, dataset in results.open_result(copied).items():
        with xr.open_dataset(file, group=group or None, engine="h5netcdf") as found:
            assert set(found.variables) == set(dataset.variables)
            for name in dataset.data_vars:
                expected = dataset[name].to_numpy()
                if expected.dtype.kind == "T":
                    expected = expected.astype(object)
                np.testing.assert_array_equal(found[name].to_numpy(), expected)
                assert found[name].attrs.get("units") == dataset[name].attrs.get("units")


def test_netcdf_opens_without_this_project(copied):
    with xr.open_dataset(results.export(copied, to="netcdf")) as sites:
        assert sites["angle"].attrs["units"] == "rad"
        assert "sha256" in sites.attrs["receipt"]


def test_a_recording_keeps_its_groups_axes_and_masks(recording):
    file = results.export(recording, to="netcdf")
    for group in ("", "maps"):
        expected = store.open_store(recording, group=group)
        with xr.open_dataset(file, group=group or None) as found:
            xr.testing.assert_equal(found[list(expected.data_vars)], expected.load())
    with xr.open_dataset(file) as found:
        assert found["k_x"].attrs["units"] == "mrad"
        assert found.attrs["beam_energy_keV"] == 60.0


def test_what_is_larger_than_a_piece_is_written_with_the_same_values(tmp_path):
    shape = (140, 700, 701)
    values = np.zeros(shape, np.uint8)
    assert values.nbytes > SLAB_BYTES
    values[:, ::50, ::50] = np.random.default_rng(3).integers(0, 255, (140, 14, 15))
    frames = ("frame", "y", "x")
    both = {"image": (frames, values, {"units": "count"}), "valid": (frames, values % 2 == 0)}
    coords = {"y": ("y", np.arange(700.0), {"units": "nm"}), "t": ("frame", np.arange(140.0))}
    store.write_dataset(tmp_path / "movie.zarr", xr.Dataset(both, coords=coords))
    with xr.open_dataset(results.export(tmp_path / "movie.zarr", to="netcdf")) as found:
        assert (found["image"].dtype, found["valid"].dtype) == (np.dtype("u1"), np.dtype(bool))
        assert found["image"].attrs["units"] == "count"
        assert set(found.coords) == {"y", "t"}
        np.testing.assert_array_equal(found["image"], values)
        np.testing.assert_array_equal(found["valid"], values % 2 == 0)
