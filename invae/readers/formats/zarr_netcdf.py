"""Zarr and NetCDF: stores of this package, and everything else with images that xarray opens."""

import json
import math
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
import zarr

from invae import dims
from invae.errors import InputError, StoreError
from invae.readers import labels, spectra
from invae.readers.axis_roles import AxisLabel, plane_of, roles_of
from invae.readers.calibration import is_diffraction
from invae.readers.formats.hdf5 import SIGNATURE, refuse_outside, says_netcdf
from invae.readers.raw import (
    Axis,
    Beam,
    Channel,
    Coordinate,
    FrameVariable,
    Grid,
    Key,
    Pixels,
    Raw,
    Reader,
)
from invae.readers.recording import COMPLETE, COORDS, ORDER

CLASSIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")
SWEPT = (*dims.SPECTRAL, "frequency")
"""Axes that make two axes a line of spectra."""
TRUTH = "truth"
"""Group of a simulated store that holds the ground truth of its frames."""
ERRORS = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    RuntimeError,
    EOFError,
    NotImplementedError,
    OverflowError,
)
"""What xarray, zarr, h5netcdf and SciPy raise on damaged stores and files."""

_SYNONYMS = {
    "time": dims.FRAME,
    "t": dims.FRAME,
    "row": dims.Y,
    "rows": dims.Y,
    "col": dims.X,
    "column": dims.X,
    "columns": dims.X,
    "ky": dims.K_Y,
    "kx": dims.K_X,
    **spectra.NAMES,
}


def _open_zarr(path: Path) -> xr.Dataset:
    try:
        return xr.open_zarr(path, chunks=None, consolidated=False, decode_times=False)
    except (KeyError, ValueError) as error:
        if unnamed := _arrays_without_names(path):
            raise InputError(
                f"{path}: {', '.join(unnamed)} lacks the names of the axes that xarray writes; write the store with "
                "xarray (y, x, or scan_y, scan_x, k_y, k_x), or save the array as .npy and set ingest.dims"
            ) from error
        raise


def _arrays_without_names(path: Path) -> list[str]:
    """Arrays of a store whose axes have no names, with their shapes."""
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    return [
        f"{name} ({' × '.join(map(str, array.shape))})"
        for name, array in sorted(group.arrays())
        if array.ndim and not _names_axes(array)
    ]


def _names_axes(array: zarr.Array) -> bool:
    if array.metadata.zarr_format == 2:
        return "_ARRAY_DIMENSIONS" in array.attrs
    return array.metadata.dimension_names is not None


def _open_netcdf(path: Path) -> xr.Dataset:
    with path.open("rb") as file:
        engine = "scipy" if file.read(4) in CLASSIC else "h5netcdf"
    if (
        engine == "h5netcdf"
    ):  # h5netcdf fails a second time when it closes a file that it could not open
        with h5py.File(path, "r") as file:
            refuse_outside(file, path)
    return xr.open_dataset(path, engine=engine, decode_times=False, cache=False)


def _read(opener: Callable[[Path], xr.Dataset], path: Path) -> Raw:
    with opener(path) as dataset:
        if dataset.attrs.get(COMPLETE) is False:
            raise StoreError(f"{path}: is unfinished; run its ingest again")
        names = {name: _our_dims(dataset[name]) for name in sorted(map(str, dataset.data_vars))}
        images = {
            name: dims for name, dims in names.items() if _is_image(dims, dataset[name].dtype)
        }
        if not images:
            listed = ", ".join(f"{n} ({', '.join(d)})" for n, d in names.items()) or "none"
            raise InputError(
                f"{path}: no variable has image axes, only {listed[:200]}; name the axes y and x, "
                "or scan_y, scan_x, k_y and k_x"
            )
        channels = tuple(
            _channel(name, dataset[name], our_dims, path, opener)
            for name, our_dims in images.items()
        )
        true_channels, true_coordinates = _truth_of_spectra(path, dataset, images)
        old_names = dict(_axis_names(dataset, images))
        metadata, attrs = _metadata(dataset.attrs), dataset.attrs
        return Raw(
            channels + true_channels,
            _axes(dataset, old_names),
            metadata,
            _acquired(attrs.get("acquired")),
            modality=str(attrs.get("modality", "")),
            notes=(*_notes(attrs.get("notes", ())), *absent_chunks(path, images)),
            frame_variables=_frame_variables(dataset, old_names.get(dims.FRAME))
            | _truth(path, dataset, old_names.get(dims.FRAME)),
            coordinates=_coordinates(dataset, old_names) | true_coordinates,
            grid=_grid(attrs),
            beam=Beam(_number(attrs, "beam_energy_keV"), _number(attrs, "convergence_mrad")),
        )


def absent_chunks(path: Path, names: Iterable[str]) -> Iterator[str]:
    """Remarks on arrays of a Zarr store with chunks that are not there; Zarr reads them as the fill value, without a word."""
    if not path.is_dir():
        return
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    for name in names:
        array = group[name]
        if not isinstance(array, zarr.Array):
            continue
        lengths = array.shards or array.chunks
        n_files = math.prod(
            math.ceil(n / length) for n, length in zip(array.shape, lengths, strict=True)
        )
        inside = path / name / "c" if array.metadata.zarr_format == 3 else path / name
        n_there = sum(not file.startswith(".") for *_, files in os.walk(inside) for file in files)
        if n_there < n_files:
            fill = array.fill_value or 0
            yield (
                f"{name}: {n_files - n_there} of {n_files} chunks are absent and read as {fill}; "
                "they were left out as empty, or are lost"
            )


def _frame_variables(
    dataset: xr.Dataset, frame: Hashable | None, *, prefix: str = ""
) -> dict[str, FrameVariable]:
    """Numbers with one value per frame; each component of a vector (frame, axis) has a name of its own."""
    variables: dict[str, FrameVariable] = {}
    for name, variable in sorted(dataset.variables.items(), key=lambda item: str(item[0])):
        plain = re.fullmatch(r"[A-Za-z]\w*", str(name)) and str(name) not in COORDS
        if frame is None or not plain or variable.dtype.kind not in "biuf":
            continue
        if variable.dims == (frame,) and name != frame:
            variables[f"{prefix}{name}"] = FrameVariable(
                np.asarray(variable.values), variable.attrs
            )
        elif variable.dims == (frame, dims.AXIS) and dims.AXIS in dataset.coords:
            for index, axis in enumerate(dataset[dims.AXIS].values):
                values = np.asarray(variable.values)[:, index]
                attrs = {"long_name": f"{variable.attrs.get('long_name', name)}, {axis}"}
                variables[f"{prefix}{name}_{axis}"] = FrameVariable(
                    values, {**variable.attrs, **attrs}
                )
    return variables


def _truth(path: Path, dataset: xr.Dataset, frame: Hashable | None) -> dict[str, FrameVariable]:
    """Ground truth of every frame from the group `truth` of a simulated store, as `truth_<name>`."""
    if not (path / TRUTH / "zarr.json").is_file():
        return {}
    with _open_truth(path) as truth:
        same = frame is not None and truth.sizes.get(frame) == dataset.sizes[frame]
        return _frame_variables(truth, frame, prefix=f"{TRUTH}_") if same else {}


def _truth_of_spectra(
    path: Path, dataset: xr.Dataset, channels: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[Channel, ...], dict[str, Coordinate]]:
    """Spectra without noise, and numbers per point, from the group `truth` of a simulated store, as `truth_<name>`."""
    spectral = {name: own for name, own in channels.items() if spectra.spectral_dims(own)}
    if not spectral or not (path / TRUTH / "zarr.json").is_file():
        return (), {}
    found, coordinates = [], {}
    with _open_truth(path) as truth:
        for name in sorted(map(str, truth.data_vars)):
            variable, true_name = truth[name], f"{TRUTH}_{name}"
            same = name in spectral and variable.sizes == dataset[name].sizes
            if same and variable.dtype.kind in "biuf":
                channel = _channel(name, variable, spectral[name], path, _open_truth)
                found.append(replace(channel, label=f"{TRUTH} {channel.label}", name=true_name))
            elif variable.sizes == {dims.POINT: dataset.sizes.get(dims.POINT)}:
                values, units = np.asarray(variable.values), variable.attrs.get("units", "")
                attrs = {**variable.attrs, "units": _known_units(units) or "1"}
                coordinates[true_name] = Coordinate(dims.POINT, values, attrs)
    return tuple(found), coordinates


def _open_truth(path: Path) -> xr.Dataset:
    return xr.open_zarr(path, group=TRUTH, chunks=None, consolidated=False)


def _our_dims(variable: xr.DataArray) -> tuple[str, ...]:
    """Names of a variable's axes in invae's words; unchanged if two of them would become the same."""
    old = tuple(str(dim) for dim in variable.dims)
    described = [AxisLabel(dim, _axis_units(variable, dim)) for dim in old]
    new = tuple(_SYNONYMS.get(dim.lower(), dim.lower()) for dim in old)
    if dims.POINT not in new and _needs_roles(described, new):
        return roles_of(described).dims
    return new if len({*new}) == len(new) else old


def _axis_units(variable: xr.DataArray, dim: str) -> str:
    return str(variable.coords[dim].attrs.get("units", "")) if dim in variable.coords else ""


def _needs_roles(described: Sequence[AxisLabel], names: tuple[str, ...]) -> bool:
    """Whether other axes of an array tell what its y and x are: those of a detector, or one of spectra along a line."""
    n_detector = sum(
        plane_of(label.name) == "detector" or is_diffraction(label.units) for label in described
    )
    is_line = len(names) == 2 and sum(name in SWEPT for name in names) == 1
    return is_line or (n_detector == 2 and len(names) in (3, 4))


def _is_image(names: tuple[str, ...], dtype: np.dtype[Any]) -> bool:
    whole = (
        {dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X},
        {dims.SCAN_X, dims.K_Y, dims.K_X},
        {dims.FRAME, dims.K_Y, dims.K_X},
        {dims.SURVEY_Y, dims.SURVEY_X},
    )
    image = {dims.Y, dims.X} <= {*names} or {*names} in whole or _is_spectral(names)
    return image and dtype.kind in "biufc"


def _is_spectral(names: tuple[str, ...]) -> bool:
    """Whether an array holds spectra: over a grid, at points, or along a line."""
    is_line = len(names) == 2 and dims.Y in names and not {*names}.isdisjoint(SWEPT)
    return is_line or bool(spectra.spectral_dims(names))


def _axis_names(
    dataset: xr.Dataset, images: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, Hashable]]:
    return [
        pair
        for name, our_dims in images.items()
        for pair in zip(our_dims, dataset[name].dims, strict=True)
    ]


def _channel(
    name: str,
    variable: xr.DataArray,
    our_dims: tuple[str, ...],
    path: Path,
    opener: Callable[[Path], xr.Dataset],
) -> Channel:
    read = partial(_read_pixels, opener, path, name)
    stored = variable.encoding
    chunks = stored.get("shards") or stored.get("chunks") or stored.get("chunksizes")
    pixels = Pixels(
        path, variable.shape, variable.dtype, read, ERRORS, tuple(chunks) if chunks else None
    )
    attrs = variable.attrs
    valid_name = name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else ""
    return Channel(
        str(attrs.get("label", name)),
        pixels,
        our_dims,
        str(attrs.get("units", "")),
        str(attrs.get("direction", "")),
        valid_name,
        _grid(attrs),
    )


def _read_pixels(
    opener: Callable[[Path], xr.Dataset], path: Path, name: str, key: Key
) -> np.ndarray:
    with opener(path) as dataset:
        return np.array(dataset[name].variable[key].values)


def _axes(dataset: xr.Dataset, old_names: Mapping[str, Hashable]) -> dict[str, Axis]:
    """The calibrated axes: those with a coordinate that has a unit."""
    axes = {}
    for new, old in old_names.items():
        coordinate = dataset.coords.get(old)
        if new == dims.FRAME:
            times = dataset.coords.get("time")
            coordinate = times if times is not None and times.dims == (old,) else coordinate
        if coordinate is None or coordinate.dtype.kind not in "iuf" or new == dims.POINT:
            continue
        units = str(coordinate.attrs.get("units", "")).split(" since ")[0]
        if units or new not in ORDER:
            axes[new] = Axis(np.asarray(coordinate.values), units)
    return axes


def _coordinates(dataset: xr.Dataset, old_names: Mapping[str, Hashable]) -> dict[str, Coordinate]:
    """Numbers along a spectral axis or per point; specimens may have names."""
    new_names = {old: new for new, old in old_names.items()}
    coordinates = {}
    for name, variable in dataset.variables.items():
        dim = new_names.get(variable.dims[0]) if variable.ndim == 1 else None
        if dim is None or (dim in ORDER and dim != dims.POINT) or name == variable.dims[0]:
            continue
        own = spectra.ALIASES.get(str(name), str(name)) if dim == dims.POINT else str(name)
        if own == spectra.SPECIMEN and variable.dtype.kind not in "biuf":
            texts, codes = np.unique([str(text) for text in variable.values], return_inverse=True)
            attrs = dims.flags(texts.tolist(), "specimen")
            coordinates[own] = Coordinate(dim, codes.astype(np.int32), attrs)
        elif variable.dtype.kind in "biuf" and own not in COORDS and own.isidentifier():
            attrs = {**variable.attrs, "units": _known_units(variable.attrs.get("units", ""))}
            attrs["units"] = attrs["units"] or ("nm" if own.endswith("_nm") else "1")
            coordinates[own] = Coordinate(dim, np.asarray(variable.values), attrs)
    return coordinates


def _known_units(units: Any) -> str:
    return labels.canonical_units(str(units)) or "" if units else ""


def _grid(attrs: Mapping[Hashable, Any]) -> Grid | None:
    """Where the grid is, in a store of this package."""
    try:
        centre, size = (
            np.asarray(_listed(attrs[f"grid_{name}_nm"]), float) for name in ("centre", "size")
        )
        angle = float(attrs["grid_angle_deg"])
    except (KeyError, ValueError, TypeError):
        return None
    if centre.shape != (2,) or size.shape != (2,):
        return None
    return Grid((centre[0], centre[1]), (size[0], size[1]), angle)


def _metadata(attrs: Mapping[Hashable, Any]) -> dict[str, Any]:
    """The instrument's metadata in a store of this package; all attributes of other stores."""
    text = attrs.get("metadata")
    if isinstance(text, str):
        try:
            values = json.loads(text)
        except ValueError:
            values = None
        if isinstance(values, dict):
            return values
    return {str(key): value for key, value in attrs.items()}


def _number(attrs: Mapping[Hashable, Any], name: str) -> float | None:
    """A positive attribute of a store; none if it is missing."""
    value = attrs.get(name)
    is_number = isinstance(value, int | float | np.number) and 0 < value < np.inf
    return float(value) if is_number else None  # type: ignore[arg-type]


def _listed(value: Any) -> Any:
    """A list that was exported as JSON, since NetCDF holds none; other values unchanged."""
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _notes(notes: Any) -> tuple[str, ...]:
    notes = _listed(notes)
    lines = [notes] if isinstance(notes, str) else list(np.atleast_1d(notes))
    return tuple(" ".join(str(line).split()) for line in lines if str(line).strip())


def _acquired(time: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(time)).replace(tzinfo=None)
    except ValueError:
        return None


def _is_zarr(path: Path, head: bytes) -> bool:
    if path.name.startswith(".") and path.name.endswith(".partial"):
        raise StoreError(f"{path}: is a store that is being written; give the finished store")
    return not head and any((path / name).is_file() for name in ZARR_FILES)


def _is_netcdf(path: Path, head: bytes) -> bool:
    """Whether it is classic NetCDF, or HDF5 that is NetCDF by its extension or by its attribute."""
    if head.startswith(CLASSIC):
        return True
    named = path.suffix.lower() in NETCDF.extensions
    return head.startswith(SIGNATURE) and (named or says_netcdf(path))


ZARR = Reader(
    name="zarr",
    extensions=(".zarr",),
    description="Zarr stores: recordings and simulations of this package, or named axes y and x",
    recognises=_is_zarr,
    read=partial(_read, _open_zarr),
    errors=ERRORS,
    general=True,
)
NETCDF = Reader(
    name="netcdf",
    extensions=(".nc", ".nc4", ".cdf"),
    description="NetCDF, classic and version 4, with named axes y and x",
    recognises=_is_netcdf,
    read=partial(_read, _open_netcdf),
    errors=ERRORS,
)
