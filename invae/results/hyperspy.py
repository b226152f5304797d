"""Images, patterns and spectra of a store as signals of HyperSpy, in its HDF5 layout (.hspy).

Source: HyperSpy's specification of the file and of the metadata,
https://hyperspy.org/hyperspy-doc/current/reference/metadata.html; layout 3.3 as RosettaSciIO 0.15 reads it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from invae import dims
from invae.errors import InputError
from invae.results.slabs import COMPRESSION, Tell, chunks_of, slabs
from invae.storage.provenance import versions

LAYOUT_VERSION = "3.3"
"""Version of HyperSpy's HDF5 layout that is written."""
SIGNAL_DIMS = (
    (dims.K_Y, dims.K_X),
    ("k",),
    ("energy",),
    ("voltage",),
    (dims.PATCH_Y, dims.PATCH_X),
    (dims.Y, dims.X),
    ("grid_y", "grid_x"),
    (dims.SCAN_Y, dims.SCAN_X),
)
"""The first entry whose dims an array has gives its signal axes; the other axes navigate."""
INSTRUMENT = {"beam_energy_keV": "beam_energy", "convergence_mrad": "convergence_angle"}
"""Attribute of a recording → HyperSpy's name in `Acquisition_instrument.TEM`, in the same units [keV], [mrad]."""


def signals_of(groups: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
    """Arrays to write as signals, by title: the group and the variable's name.

    These are images, patterns and spectra, and the numbers of sites (latents, angle, class, place), which navigate over the sites.
    """
    return {
        " ".join(filter(None, (group, str(name)))): values
        for group, dataset in groups.items()
        for name, values in [*dataset.data_vars.items(), *_places(dataset)]
        if values.dtype.kind in "biufc" and values.size and _is_signal(values)
    }


def _places(dataset: xr.Dataset) -> Iterator[tuple[str, xr.DataArray]]:
    """Coordinates of the sites: frame, row, column, and others that are numbers."""
    for name, values in dataset.coords.items():
        if values.dims == (dims.SITE,):
            yield str(name), values.reset_coords(drop=True)


def _is_signal(values: xr.DataArray) -> bool:
    is_of_sites = dims.SITE in values.dims and values.ndim <= 2
    return is_of_sites or any(set(pair) <= {*values.dims} for pair in SIGNAL_DIMS)


def _signal_dims(values: xr.DataArray) -> tuple[str, ...]:
    """Signal axes; of the numbers of sites all but the site, so that one number per site has none."""
    if dims.SITE in values.dims and values.ndim <= 2:
        return tuple(str(dim) for dim in values.dims if dim != dims.SITE)
    return next(pair for pair in SIGNAL_DIMS if set(pair) <= {*values.dims})


def write_hyperspy(groups: Mapping[str, xr.Dataset], file: Path, *, tell: Tell) -> None:
    """Write every signal as an experiment of the file, with its axes, metadata and provenance.

    Raises:
        InputError: the groups have no image, pattern, spectrum or site.
    """
    signals = signals_of(groups)
    if not signals:
        names = ", ".join(group or "root" for group in groups)
        raise InputError(
            f"{names}: no image, pattern, spectrum or site for HyperSpy; choose --to netcdf or --to csv"
        )
    attrs = {k: v for dataset in groups.values() for k, v in dataset.attrs.items()}
    with h5py.File(file, "w") as root:
        root.attrs["file_format"] = "HyperSpy"
        root.attrs["file_format_version"] = LAYOUT_VERSION
        for title, values in signals.items():
            place = root.create_group(f"Experiments/{title}")
            _write_signal(place, title, values, attrs=attrs, tell=tell)


def _write_signal(
    place: h5py.Group, title: str, values: xr.DataArray, *, attrs: Mapping[str, Any], tell: Tell
) -> None:
    signal = _signal_dims(values)
    ordered = [*(str(dim) for dim in values.dims if dim not in signal), *signal]
    place.attrs["package"] = "invae"
    place.attrs["package_version"] = versions()["invae"]
    _write_values(place, values, order=[values.dims.index(dim) for dim in ordered], tell=tell)
    for index, dim in enumerate(ordered):
        axis = place.create_group(f"axis-{index}")
        axis.attrs.update(_axis(values, dim, navigate=dim not in signal))
    _write_tree(place.create_group("metadata"), _metadata(title, values, attrs))
    _write_tree(place.create_group("original_metadata"), {"invae": _original(values, attrs)})


def _write_values(
    place: h5py.Group, values: xr.DataArray, *, order: Sequence[int], tell: Tell
) -> None:
    """Write the array with its axes in another order, piece by piece; masks as 0 and 1."""
    chunks, dtype = chunks_of(values), values.dtype
    target = place.create_dataset(
        "data",
        shape=tuple(values.shape[axis] for axis in order),
        dtype=np.dtype(np.uint8) if dtype.kind == "b" else dtype,
        chunks=tuple(chunks[axis] for axis in order),
        **COMPRESSION,
    )
    for where, piece in slabs(values, tell=tell):
        target[tuple(where[axis] for axis in order)] = piece.transpose(order)


def _axis(values: xr.DataArray, dim: str, *, navigate: bool) -> dict[str, Any]:
    """HyperSpy's description of an axis; unevenly spaced positions are numbered."""
    units, offset, scale = "", 0.0, 1.0
    if dim in values.coords and values[dim].dtype.kind in "iuf":
        at = values[dim].to_numpy().astype(float)
        steps = np.diff(at)
        if not len(steps) or (np.allclose(steps, steps[0], rtol=1e-3, atol=0) and steps[0] != 0):
            offset = float(at[0])
            scale = float(at[-1] - at[0]) / len(steps) if len(steps) else 1.0
            units = str(values[dim].attrs.get("units", ""))
    return {
        "_type": "UniformDataAxis",
        "name": dim,
        "size": values.sizes[dim],
        "offset": offset,
        "scale": scale,
        "units": "" if units == "1" else units,
        "navigate": navigate,
        "is_binned": False,
    }


def _metadata(title: str, values: xr.DataArray, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that HyperSpy shows and uses."""
    units = values.attrs.get("units", "1")
    long_name = str(values.attrs.get("long_name", values.name))
    metadata: dict[str, Any] = {
        "General": {"title": title, "original_filename": str(attrs.get("source", ""))},
        "Signal": {"signal_type": "", "quantity": f"{long_name} ({'' if units == '1' else units})"},
    }
    beam = {word: float(attrs[name]) for name, word in INSTRUMENT.items() if name in attrs}
    if beam:
        metadata["Acquisition_instrument"] = {"TEM": {**beam, "acquisition_mode": "STEM"}}
    return metadata


def _original(values: xr.DataArray, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance: receipt, attributes of store and variable, and labels of axes."""
    labels = {
        str(name): [str(label) for label in coord.to_numpy()]
        for name, coord in values.coords.items()
        if coord.dtype.kind in "OUT" and coord.ndim == 1
    }
    store = {name: value for name, value in attrs.items() if name not in ("receipt", "metadata")}
    return {
        "receipt": attrs.get("receipt", {}),
        "instrument": json.loads(attrs.get("metadata", "{}")),
        "store": store,
        "variable": dict(values.attrs),
        "labels": labels,
    }


# --- nested values in HyperSpy's layout -----------------------------------------------------------


def _write_tree(place: h5py.Group, values: Mapping[str, Any]) -> None:
    """Write nested mappings as groups, values as attributes, lists under names that mark them as lists."""
    for key, value in values.items():
        name = str(key).replace("/", "|")  # HDF5 would create a group for the part before a slash
        if isinstance(value, Mapping):
            _write_tree(place.require_group(name), value)
        elif isinstance(value, list | tuple | np.ndarray):
            _write_list(place, name, list(value))
        elif _too_long(value):
            _write_list(place, name, list(_pieces(value)))
        else:
            place.attrs[name] = "_None_" if value is None else value


def _write_list(place: h5py.Group, name: str, items: list[Any]) -> None:
    if not items:
        place.attrs[f"_list_empty_{name}"] = "_None_"
    elif all(isinstance(item, str) for item in items):
        place.create_dataset(f"_list_{name}", data=items, dtype=h5py.string_dtype())
    elif all(isinstance(item, int | float | np.number) for item in items):
        place.create_dataset(f"_list_{name}", data=items)
    else:  # read back in the order of their names
        numbered = {f"{number:06d}": item for number, item in enumerate(items)}
        _write_tree(place.require_group(f"_list_{len(items)}_{name}"), numbered)


ATTRIBUTE_BYTES = 60_000
"""HDF5 refuses attributes above 64 KB."""


def _too_long(value: Any) -> bool:
    return isinstance(value, str) and len(value.encode()) > ATTRIBUTE_BYTES


def _pieces(text: str) -> Iterator[str]:
    step = ATTRIBUTE_BYTES // 4  # a character takes up to four bytes
    return (text[start : start + step] for start in range(0, len(text), step))
