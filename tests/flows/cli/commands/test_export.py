"""Exports replace no file without being asked."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from flows.cli.main import execute


@pytest.fixture
def source(tmp_path: Path) -> Path:
    xr.Dataset({"a": ("x", np.arange(4.0))}).to_zarr(tmp_path / "a.zarr", consolidated=False)
    return tmp_path / "a.zarr"


def test_a_file_that_exists_is_replaced_only_when_it_is_said(source, capsys, tmp_path):
    target = tmp_path / "mine.nc"
    target.write_text("notes of a year")
    command = ["export", str(source), "--to", "netcdf", "--out", str(target)]
    assert execute(command) == 1
    assert "mine.nc exists; give --overwrite" in capsys.readouterr().err
    assert target.read_text() == "notes of a year"
    assert execute([*command, "--overwrite"]) == 0
    assert xr.open_dataset(target)["a"].sizes == {"x": 4}


def test_the_default_target_is_not_replaced_either(source, capsys):
    assert execute(["export", str(source), "--to", "netcdf"]) == 0
    assert execute(["export", str(source), "--to", "netcdf"]) == 1
    assert "a.nc exists" in capsys.readouterr().err


def test_a_store_that_does_not_exist_is_said_to_be_missing(tmp_path, capsys):
    assert execute(["export", str(tmp_path / "none"), "--to", "csv"]) == 1
    assert "none does not exist" in capsys.readouterr().err
