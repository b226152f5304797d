"""From the content of a file to the labelled Dataset that all formats share.

Images and series have dims (frame, y, x), 4D-STEM (scan_y, scan_x, k_y, k_x), grids of spectra (y, x, energy or voltage), spectra at
points (point, energy or voltage); images of the same grid, or with the points, stay (frame, y, x) beside the spectra, and a survey is
(survey_y, survey_x). y and x are pixel centres [nm], the first at 0, y down.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.errors import InputError
from invae.readers import labels
from invae.readers.areas import of_one_area
from invae.readers.lazy import CHUNKS, View, lazy_variable
from invae.readers.raw import Axis, Channel, Coordinate, FrameVariable, Grid, Raw
from invae.readers.spectra import spectral_dims

PIXELS = (dims.Y, dims.X, dims.SCAN_Y, dims.SCAN_X)
"""Axes whose step `pixel_size` replaces."""
SURVEY = (dims.SURVEY_Y, dims.SURVEY_X)
LENGTHS = (*PIXELS, *SURVEY)
PATTERNS = (dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X)
ORDER = (
    dims.FRAME, dims.POINT, dims.SCAN_Y, dims.SCAN_X, dims.Y, dims.X, dims.K_Y, dims.K_X, *SURVEY
)  # fmt: skip
COORDS = (*ORDER, "time", "source")
AXIS_NAMES = {
    dims.FRAME: "frame",
    dims.Y: "distance along the slow scan axis, down",
    dims.X: "distance along the fast scan axis",
    dims.POINT: "point",
    dims.SURVEY_Y: "distance along the slow scan axis of the survey, down",
    dims.SURVEY_X: "distance along the fast scan axis of the survey",
    dims.SCAN_Y: "distance of the probe, down",
    dims.SCAN_X: "distance of the probe",
    dims.K_Y: "scattering angle, down",
    dims.K_X: "scattering angle",
}
COMPLETE = "complete"
"""Attribute of the root group of a stored recording: false while it is being written."""
UNEVEN = 1e-3
"""Largest relative deviation from even spacing that counts as rounding."""


def assemble(
    raw: Raw,
    path: Path,
    *,
    format_name: str,
    pixel_size: float | None = None,
    wanted: Collection[str] | None = None,
) -> xr.Dataset:
    """The labelled Dataset of one file; no pixel is read.

    Args:
        raw: Content of the file.
        path: The file, for messages.
        format_name: Name of its format.
        pixel_size: Size of a pixel [nm]; replaces the value in the file.
        wanted: Names of channels that decide which of several areas is kept.

    Raises:
        InputError: If the file holds nothing to analyse, or its parts contradict each other.
    """
    raw = of_one_area(raw, wanted=wanted)
    channels, notes = _kept(raw.channels, path)
    for channel in channels:
        _check_values(channel, path)
    sizes = _sizes(channels, path)
    coords, remarks = _coords(raw.axes, sizes, path, pixel_size=pixel_size)
    if dims.FRAME not in sizes and any({*c.dims} == {dims.Y, dims.X} for c in channels):
        coords[dims.FRAME] = _frame_index(1)
    flipped = frozenset(
        dim for dim, axis in raw.axes.items() if dim in sizes and _runs_back(dim, axis)
    )
    coords |= _frame_coordinates(raw.frame_variables, backwards=dims.FRAME in flipped)
    coords |= _coordinates(raw.coordinates, sizes, path)
    names = labels.unique(
        [_name(channel, taken={*sizes, *COORDS, *coords}) for channel in channels]
    )
    variables = {}
    for name, channel in zip(names, channels, strict=True):
        variables[name], remark = _variable(name, channel, flipped)
        notes = (*notes, *remark)
    attrs = {"format": format_name, "notes": [*raw.notes, *notes, *remarks]}
    attrs |= _instrument_attrs(raw, names, list(sizes))
    attrs |= _grid_attrs(raw.grid, sizes, pixel_size)
    attrs |= {} if raw.on_survey is None else raw.on_survey.attrs()
    dataset = xr.Dataset(variables, coords=coords, attrs=attrs)
    return with_sources(dataset, [path.name], [0] * dataset.sizes.get(dims.FRAME, 0))


def _instrument_attrs(raw: Raw, names: Sequence[str], sizes: Sequence[str]) -> dict[str, Any]:
    """Modality, metadata, beam and time of a recording, as attributes."""
    metadata = json_values(raw.metadata)
    attrs = {
        "modality": raw.modality or labels.modality(names, sizes, metadata),
        "metadata": json.dumps(metadata, ensure_ascii=False),
    }
    acquired = {} if raw.acquired is None else {"acquired": raw.acquired.isoformat()}
    return attrs | raw.beam.attrs() | acquired


def _frame_coordinates(
    variables: Mapping[str, FrameVariable], *, backwards: bool
) -> dict[str, xr.Variable]:
    """Numbers with one value per frame, as coordinates."""
    step = -1 if backwards else 1
    return {
        name: xr.Variable(dims.FRAME, variable.values[::step], json_values(variable.attrs))
        for name, variable in variables.items()
    }


def _coordinates(
    coordinates: Mapping[str, Coordinate], sizes: Mapping[str, int], path: Path
) -> dict[str, xr.Variable]:
    """Numbers along a spectral axis or per point, as coordinates."""
    variables = {}
    for name, coordinate in coordinates.items():
        n = sizes.get(coordinate.dim)
        if n is None:
            continue
        if len(coordinate.values) != n:
            raise InputError(
                f"{path}: {name} has {len(coordinate.values)} values for {n} items along "
                f"{coordinate.dim}; it needs one each"
            )
        attrs = json_values({**dims.attrs(name.replace("_", " ")), **coordinate.attrs})
        variables[name] = xr.Variable(coordinate.dim, np.asarray(coordinate.values), attrs)
    return variables


def _grid_attrs(
    grid: Grid | None, sizes: Mapping[str, int], pixel_size: float | None
) -> dict[str, Any]:
    """Where the grid is, with the size that follows from a configured pixel size."""
    if grid is None or not {dims.Y, dims.X} <= {*sizes}:
        return {}
    if pixel_size is not None:
        grid = replace(grid, size_nm=(sizes[dims.Y] * pixel_size, sizes[dims.X] * pixel_size))
    return grid.attrs()


def _name(channel: Channel, *, taken: Collection[str]) -> str:
    """The name of a channel; a position sensor must not take the name of a coordinate."""
    name = channel.name or labels.channel_name(channel.label)[0]
    return f"{name}_channel" if name in taken else name


def with_sources(dataset: xr.Dataset, names: Sequence[str], index: Sequence[int]) -> xr.Dataset:
    """The Dataset with a coordinate that gives the source file of each frame."""
    dataset = dataset.assign_attrs(sources=list(names))
    if dims.FRAME not in dataset.dims:
        return dataset
    source = (dims.FRAME, np.asarray(index, dtype=np.int32), dims.flags(names, "source file"))
    return dataset.assign_coords(source=source)


def json_values(values: Any) -> Any:
    """The values as JSON types: text, numbers, lists and mappings; other types become text."""
    if isinstance(values, Mapping):
        return {encodable(key): json_values(value) for key, value in values.items()}
    if isinstance(values, bytes | str):
        return encodable(values)
    if isinstance(values, np.ndarray | np.generic):
        return json_values(values.tolist())
    if isinstance(values, list | tuple):
        return [json_values(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return str(values)
    if isinstance(values, bool | int | float) or values is None:
        return values
    return encodable(str(values))


def encodable(value: Any) -> str:
    """Text that can be encoded as UTF-8, whatever the instrument wrote."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def _kept(channels: Sequence[Channel], path: Path) -> tuple[list[Channel], tuple[str, ...]]:
    """The channels with the dimensions that most values have, images beside spectra, and a note on each other one."""
    if not channels:
        raise InputError(f"{path}: holds no channel with pixels; export the measured data with it")
    kind = _main_kind(channels)
    sizes = dict(
        pair
        for channel in channels
        if frozenset(channel.dims) == kind
        for pair in zip(channel.dims, channel.pixels.shape, strict=True)
    )
    kept, notes = [], []
    for channel in channels:
        if frozenset(channel.dims) == kind or _is_beside(channel, kind, sizes):
            kept.append(channel)
        else:
            axes = ", ".join(channel.dims)
            notes.append(f"channel {channel.label} with axes {axes} was left out")
    return kept, tuple(notes)


def _main_kind(channels: Sequence[Channel]) -> frozenset[str]:
    """The dimensions of most values; of spectra rather than of the images beside them."""
    weight: dict[frozenset[str], int] = {}
    for channel in channels:
        kind = frozenset(channel.dims)
        weight[kind] = weight.get(kind, 0) + math.prod(channel.pixels.shape)
    kind = max(weight, key=lambda dims_of_kind: weight[dims_of_kind])
    spectral = {kind: n for kind, n in weight.items() if spectral_dims(tuple(kind))}
    if not spectral or kind >= {*PATTERNS}:
        return kind
    return max(spectral, key=lambda dims_of_kind: weight[dims_of_kind])


def _is_beside(channel: Channel, kind: frozenset[str], sizes: dict[str, int]) -> bool:
    """Whether it is an image of the grid of spectra, an image with the points, or the survey; its sizes are added."""
    names = {*channel.dims}
    is_image = names - {dims.FRAME} == {dims.Y, dims.X} or names == {*SURVEY}
    if not spectral_dims(tuple(kind)) or not is_image:
        return False
    own = dict(zip(channel.dims, channel.pixels.shape, strict=True))
    fits = all(sizes.get(dim, n) == n for dim, n in own.items())
    if fits:
        sizes.update(own)
    return fits


def _check_values(channel: Channel, path: Path) -> None:
    kind, name = channel.pixels.dtype.kind, f"{path}: channel {encodable(channel.label)}"
    if kind == "c":
        raise InputError(f"{name} is complex; store amplitude and phase as two channels")
    if kind not in "biuf" or channel.pixels.dtype.itemsize > 8:
        raise InputError(
            f"{name} holds {channel.pixels.dtype}; convert it to numbers of at most 64 bit"
        )
    names = {*channel.dims}
    others = [dim for dim in channel.dims if dim not in ORDER]
    spatial = {dims.Y, dims.X} <= names or names in ({*PATTERNS}, {*SURVEY})
    spatial = spatial or (len(others) == 1 and names == {dims.POINT, *others})
    if not spatial or len(others) > 1 or len({*channel.dims}) != len(channel.dims):
        raise InputError(
            f"{name} has axes {', '.join(channel.dims) or 'none'}; an image (y, x), a series "
            "(frame, y, x), spectra (y, x, energy) or (point, energy), or 4D-STEM (scan_y, scan_x, "
            "k_y, k_x) is needed"
        )


def _sizes(channels: Sequence[Channel], path: Path) -> dict[str, int]:
    """Length of each dimension, the same for all channels."""
    sizes: dict[str, int] = {}
    first = channels[0]
    for channel in channels:
        for dim, n in zip(channel.dims, channel.pixels.shape, strict=True):
            if n < 1:
                raise InputError(f"{path}: {channel.label} has {n} items along {dim}; record again")
            if sizes.setdefault(dim, n) != n:
                raise InputError(
                    f"{path}: channels differ in shape: {first.label} has {sizes[dim]} items along "
                    f"{dim}, {channel.label} has {n}; export them with the same size"
                )
    return sizes


def _variable(
    name: str, channel: Channel, flipped: frozenset[str]
) -> tuple[xr.Variable, tuple[str, ...]]:
    """The lazy variable of a channel, and remarks on its unit."""
    spectral = [dim for dim in channel.dims if dim not in ORDER]
    order = [dim for dim in ORDER if dim in channel.dims] + spectral
    if order == [dims.Y, dims.X]:
        order = [dims.FRAME, *order]
    axes = tuple(channel.dims.index(dim) if dim in channel.dims else None for dim in order)
    backwards = frozenset(channel.dims.index(dim) for dim in flipped if dim in channel.dims)
    quantity = labels.quantity(name)
    units, remark = _units(name, quantity, channel)
    direction = channel.direction or labels.channel_name(channel.label)[1]
    attrs = dims.attrs(
        f"{name.replace('_', ' ')}{f', {direction}' if direction else ''}",
        units,
        label=encodable(channel.label),
        quantity=quantity,
        **({"direction": direction} if direction else {}),
        **({} if channel.grid is None else channel.grid.attrs()),
    )
    view = View(channel.pixels, axes, backwards)
    variable = lazy_variable(tuple(order), view, attrs)
    if view.chunks is not None:
        variable.encoding[CHUNKS] = view.chunks
    return variable, remark


def _units(name: str, quantity: str, channel: Channel) -> tuple[str, tuple[str, ...]]:
    own_units = encodable(channel.units)
    units, usual = labels.canonical_units(own_units), labels.usual_units(name)
    if units is None:
        return "1", (f"the unit {own_units!r} of {name} is unknown; {name} is dimensionless",)
    # Some exporters write metres on every channel of an Asylum file, phases and voltages too.
    if units == "m" and usual not in ("", "m"):
        return usual, (f"{name} is a {quantity} in {usual}, although the file says metres",)
    return units, ()


def _runs_back(dim: str, axis: Axis) -> bool:
    falls = dim in ORDER and len(axis.values) > 1 and axis.values[-1] < axis.values[0]
    return axis.flipped != bool(falls)


def _coords(
    axes: Mapping[str, Axis], sizes: Mapping[str, int], path: Path, *, pixel_size: float | None
) -> tuple[dict[str, xr.Variable], list[str]]:
    """The coordinates, spatial ones in nm from 0, and remarks on the calibration."""
    coords, notes = {}, []
    for dim, n in sizes.items():
        axis = axes.get(dim)
        if dim in PIXELS and pixel_size is not None:
            axis = Axis(np.arange(n) * pixel_size, "nm")
        if axis is None:
            if dim in LENGTHS:
                notes.append(f"{dim} is not calibrated; its unit is the pixel (set pixel_size)")
            elif dim in (dims.K_Y, dims.K_X):
                notes.append(f"{dim} is not calibrated; its unit is the pixel")
            axis = Axis(np.arange(n), "1" if dim in (dims.FRAME, dims.POINT) else "pixel")
        if dim == dims.FRAME:
            coords.update(_frames(axis, n, path))
            continue
        values, units, origin = _positions(dim, axis, n, path)
        attrs = {"origin": origin} if origin else {}
        coords[dim] = xr.Variable(dim, values, dims.attrs(AXIS_NAMES.get(dim, dim), units, **attrs))
    return coords, notes + _squareness(coords)


def _frame_index(n: int) -> xr.Variable:
    return xr.Variable(dims.FRAME, np.arange(n), dims.attrs("frame"))


def _frames(axis: Axis, n: int, path: Path) -> dict[str, xr.Variable]:
    """The index of each frame, and its time [s] if the file has it."""
    coords = {dims.FRAME: _frame_index(n)}
    units = labels.canonical_units(axis.units) or ""
    factor = {"s": 1.0, "ms": 1e-3, "us": 1e-6}.get(units)
    if factor is None:
        return coords
    if len(axis.values) != n or not np.all(np.isfinite(axis.values)):
        raise InputError(f"{path}: has {len(axis.values)} times for {n} frames; it needs one each")
    seconds = (np.asarray(axis.values, dtype=float) - axis.values[0]) * factor
    coords["time"] = xr.Variable(dims.FRAME, seconds, dims.attrs("time since the first frame", "s"))
    return coords


def _positions(dim: str, axis: Axis, n: int, path: Path) -> tuple[np.ndarray, str, float]:
    """Positions, their unit, and the first position in the instrument's own coordinates."""
    values, units = np.asarray(axis.values, dtype=float), labels.canonical_units(axis.units)
    if units is None and dim not in ORDER:
        units = encodable(axis.units)  # of a quantity that only the file knows
    if units is None or (dim in LENGTHS and units != "pixel" and labels.nanometres(units) is None):
        raise InputError(
            f"{path}: the unit of {dim} is {axis.units!r}, which is not a known "
            f"{'length' if dim in LENGTHS else 'unit'}; set ingest.pixel_size [nm]"
        )
    if values.shape != (n,) or not np.all(np.isfinite(values)):
        raise InputError(f"{path}: {dim} has {values.size} finite positions for {n} pixels")
    if dim not in ORDER:
        return values, units, 0.0
    steps = np.diff(values)
    if n > 1 and not (np.all(steps > 0) or np.all(steps < 0)):
        raise InputError(
            f"{path}: the pixel size along {dim} is {steps.min():g} {units}, but must be positive; "
            "set ingest.pixel_size [nm]"
        )
    if n > 1 and np.ptp(steps) > UNEVEN * abs(steps.mean()):
        raise InputError(
            f"{path}: pixels along {dim} are {steps.min():g} to {steps.max():g} {units} apart; "
            "resample them to an even spacing"
        )
    if dim not in LENGTHS:
        return np.sort(values), units, 0.0
    factor = labels.nanometres(units)
    scale, units = (1.0, units) if factor is None else (factor, "nm")
    return np.abs(values - values[0]) * scale, units, float(values.min() * scale)


def _squareness(coords: Mapping[str, xr.Variable]) -> list[str]:
    pair = [coords[dim] for dim in (dims.Y, dims.X) if dim in coords and coords[dim].size > 1]
    steps = [float(axis[1] - axis[0]) for axis in pair]
    if len(steps) < 2 or math.isclose(steps[0], steps[1], rel_tol=0.01):
        return []
    units = pair[0].attrs["units"]
    return [f"pixels are not square: {steps[0]:.4g} {units} along y, {steps[1]:.4g} along x"]
