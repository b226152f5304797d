"""A result as NetCDF-4: its groups as they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr


def write_netcdf(groups: Mapping[str, xr.Dataset], file: Path) -> None:
    """Write every group as a group of the file, the root group as its root."""
    for group, dataset in groups.items():
        plain = _with_plain_text(dataset.load())
        plain.attrs = {name: _plain_attribute(value) for name, value in plain.attrs.items()}
        mode = "a" if file.exists() else "w"
        plain.to_netcdf(file, mode=mode, group=group or None, engine="h5netcdf")


def _with_plain_text(dataset: xr.Dataset) -> xr.Dataset:
    """The same values; text as Python strings, no encoding left from Zarr."""
    dataset = dataset.drop_encoding()
    for name, variable in dataset.variables.items():
        if variable.dtype.kind == "T":
            text = variable.astype(object)
            where = dataset.assign_coords if name in dataset.coords else dataset.assign
            dataset = where({name: text})
    return dataset


def _plain_attribute(value: Any) -> Any:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value)
