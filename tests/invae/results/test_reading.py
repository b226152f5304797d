"""A result is opened only whole, and checked against the schema."""

import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

from invae import results
from invae.errors import StoreError
from invae.storage import manifest


def test_a_missing_variable_is_named(copied):
    shutil.rmtree(copied / "maps" / "valid")
    manifest.write(copied)
    with pytest.raises(StoreError, match=r"maps/valid is missing"):
        results.validate(copied)


def test_wrong_units_are_named(copied):
    zarr.open_group(copied, mode="r+")["angle"].attrs["units"] = "degree"
    manifest.write(copied)
    with pytest.raises(StoreError, match=r"/angle has units 'degree', not 'rad'"):
        results.validate(copied)


def test_wrong_dims_are_named(copied):
    shutil.rmtree(copied / "angle")
    xr.Dataset({"angle": ("other", np.zeros(3))}).to_zarr(copied, mode="a", consolidated=False)
    manifest.write(copied)
    with pytest.raises(StoreError, match=r"/angle has dims \('other',\), not \('site',\)"):
        results.validate(copied)


def test_another_store_is_no_result(small_run, tmp_path):
    with pytest.raises(StoreError, match=r"is not a result: .*traversal"):
        results.open_result(small_run.store("describe"))
    with pytest.raises(StoreError, match="not a finished Zarr store"):
        results.open_result(tmp_path)
