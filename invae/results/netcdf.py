"""A store as NetCDF-4, with the same groups; a dataset as a file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr

from invae.results.slabs import COMPRESSION, SLAB_BYTES, Tell, chunks_of, slabs
from invae.storage import store

LABELLED = (".nc", ".zarr")
"""Suffixes of the files that `write_labelled` writes."""


def write_labelled(dataset: xr.Dataset, target: Path) -> None:
    """Write a dataset as NetCDF (.nc) or Zarr (.zarr), whole or not at all."""
    hidden = target.with_name(f".{target.name}.partial")
    with store.writing(target):
        if hidden.is_dir():
            store.remove(hidden)
        hidden.unlink(missing_ok=True)
        if target.suffix == ".nc":
            write_netcdf({"": dataset}, hidden, tell=lambda n_bytes: None)
        else:
            store.write_dataset(hidden, dataset)
        hidden.rename(target)


def write_netcdf(groups: Mapping[str, xr.Dataset], file: Path, *, tell: Tell) -> None:
    """Write every group as a group of the file, the root group as its root; large arrays piece by piece."""
    for group, dataset in groups.items():
        large = {name: v for name, v in dataset.data_vars.items() if v.nbytes > SLAB_BYTES}
        plain = _with_plain_text(dataset.drop_vars(large).load())
        plain.attrs = {name: _plain_attribute(value) for name, value in plain.attrs.items()}
        mode = "a" if file.exists() else "w"
        plain.to_netcdf(file, mode=mode, group=group or None, engine="h5netcdf")
        tell(sum(variable.nbytes for variable in plain.data_vars.values()))
        if large:
            with h5netcdf.File(file, "a") as root:
                place = root[group] if group else root
                for name, values in large.items():
                    _append(place, str(name), values, tell=tell)


def _append(place: h5netcdf.Group, name: str, values: xr.DataArray, *, tell: Tell) -> None:
    """Write an array larger than a slab; masks in the encoding of xarray."""
    for dim, size in values.sizes.items():
        if dim not in place.dimensions:
            place.dimensions[str(dim)] = size
    is_mask = values.dtype.kind == "b"
    target = place.create_variable(
        name,
        tuple(map(str, values.dims)),
        dtype=np.dtype(np.int8) if is_mask else values.dtype,
        chunks=chunks_of(values),
        **COMPRESSION,
    )
    target.attrs.update({**values.attrs, **({"dtype": "bool"} if is_mask else {})})
    for where, piece in slabs(values, tell=tell):
        target[where] = piece.astype(target.dtype, copy=False)


def _with_plain_text(dataset: xr.Dataset) -> xr.Dataset:
    """The same values, with text as Python strings and without the encoding of Zarr."""
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
