"""NetCDF holds what the result holds."""

import numpy as np
import xarray as xr

from invae import results


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
