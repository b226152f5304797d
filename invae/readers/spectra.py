"""Spectra of all formats in one layout: each spectrum is one row over one axis, in eV, V, nm or T, with its images beside.

Further spectroscopic axes (cycle, direction of the sweep, field on or off) become coordinates along that row. Images of the same
grid stay images; an image of another size is the survey.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels
from invae.readers.calibration import is_energy
from invae.readers.raw import Axis, Channel, Coordinate, Key, Pixels, Raw

SURVEY = "survey"
UNPLACED = "the file does not say where the grid of spectra is on the survey image"
NAMES = {
    "bias": "voltage",
    "dc_offset": "voltage",
    "dc_bias": "voltage",
    "energy_loss": "energy",
    "energy_scale": "energy",
}
"""Words of instruments for spectral axes, by the name in a recording."""
SLOW = ("cycle", "direction", "sweep", "repetition", "forc", "field")
"""Axes that change slowly during a measurement: they come first in a row."""
FIRST_CHOICE = (*dims.SPECTRAL[:3], "frequency", *dims.SPECTRAL[3:])
"""Which of several spectroscopic axes is the axis of a spectrum."""
POINT_Y, POINT_X, POINT_FRAME, SPECIMEN = "point_y_nm", "point_x_nm", "point_frame", "specimen"
POINT_NAMES = {
    POINT_Y: "position of the spectrum, down",
    POINT_X: "position of the spectrum",
    POINT_FRAME: "frame of the spectrum",
    SPECIMEN: "specimen of the spectrum",
}
ALIASES = {
    "y_nm": POINT_Y,
    "x_nm": POINT_X,
    "point_y": POINT_Y,
    "point_x": POINT_X,
    "frame": POINT_FRAME,
}
"""Other names of the coordinates of points in arrays."""
SAME_STEP = 0.01
"""Largest relative difference of pixel sizes of images of one grid."""
_POSITIONS = {dims.FRAME, dims.Y, dims.X, dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X}
_UNITS = {"energy": "eV", "voltage": "V", "field": "T"}
_PREFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6}
_NO_UNIT = ("1", "pixel")


def axis_name(name: str) -> str:
    """The name of a spectral axis in a recording."""
    lower = labels.channel_name(name)[0] if name else ""
    return NAMES.get(lower, lower)


def spectral_name(name: str, units: str) -> str | None:
    """The name of an axis in a recording if its name or its unit says that it is spectral; none for other axes."""
    if is_energy(units) or "energy" in name.lower():
        return "energy"
    own = axis_name(name)
    if own in (*dims.SPECTRAL, "frequency"):
        return own
    spelled = labels.canonical_units(units) or ""
    return "voltage" if _factor(spelled, "V") is not None else None


def spectral_dims(names: Sequence[str]) -> tuple[str, ...]:
    """The spectroscopic axes among the axes of a channel; none for images, series and patterns."""
    others = tuple(dim for dim in names if dim not in _POSITIONS and dim != dims.POINT)
    grid = {dims.Y, dims.X} | {*others} == {*names}
    points = {dims.POINT} | {*others} == {*names}
    return others if grid or points else ()


def arranged(raw: Raw, path: Path) -> Raw:
    """The content of a file with each spectrum as one row; other recordings unchanged.

    Raises:
        InputError: If the unit of a spectral axis does not fit it, or points have no positions.
    """
    if not _holds_spectra(raw.channels):
        return raw
    raw = replace(raw, axes=_in_base_units(raw, path))
    raw = _in_rows(raw, path)
    raw = replace(raw, channels=_with_survey(raw.channels))
    if any(dims.POINT in channel.dims for channel in raw.channels):
        raw = replace(raw, coordinates=_at_points(raw, path))
    return replace(raw, notes=tuple(dict.fromkeys([*raw.notes, *_remarks(raw)])))


def _holds_spectra(channels: Sequence[Channel]) -> bool:
    """Whether a file is a recording of spectra: it has some, and no more values in patterns."""
    sizes = {False: 0, True: 0}
    for channel in channels:
        if spectral_dims(channel.dims) or dims.K_Y in channel.dims:
            sizes[dims.K_Y in channel.dims] += math.prod(channel.pixels.shape)
    return sizes[False] > sizes[True]


def _in_base_units(raw: Raw, path: Path) -> dict[str, Axis]:
    """The axes, spectral ones in eV, V, nm and T."""
    spectral = {dim for channel in raw.channels for dim in spectral_dims(channel.dims)}
    return {
        dim: base_units(dim, axis, path) if dim in spectral else axis
        for dim, axis in raw.axes.items()
    }


def base_units(dim: str, axis: Axis, path: Path) -> Axis:
    """Positions along a spectral axis in the unit that recordings use.

    Raises:
        InputError: If the unit is no unit of this quantity.
    """
    units = labels.canonical_units(axis.units)
    base = "nm" if dim == "wavelength" else _UNITS.get(dim)
    if base is None or units in _NO_UNIT or (dim == "field" and not axis.units.endswith("T")):
        return axis
    factor = labels.nanometres(axis.units) if base == "nm" else _factor(units or "", base)
    if factor is None:
        raise InputError(
            f"{path}: the unit of {dim} is {axis.units!r}, but must be {base}, or one with a prefix "
            f"such as m{base}; correct the axis or its name"
        )
    return Axis(np.asarray(axis.values, dtype=float) * factor, base)


def _factor(units: str, base: str) -> float | None:
    return _PREFIXES.get(units.removesuffix(base)) if units.endswith(base) else None


def _in_rows(raw: Raw, path: Path) -> Raw:
    """The content with one spectral axis per channel: further axes become coordinates along it."""
    channels, axes = [], dict(raw.axes)
    coordinates = dict(raw.coordinates)
    for channel in raw.channels:
        others = spectral_dims(channel.dims)
        if len(others) < 2 or len({*channel.dims}) != len(channel.dims):
            channels.append(channel)
            continue
        sizes = dict(zip(channel.dims, channel.pixels.shape, strict=True))
        order = sorted(others, key=lambda dim: dim not in SLOW)
        row = choose_axis(order, sizes)
        channels.append(_as_row(channel, order, row))
        values = _along_row(raw.axes, order, sizes, path)
        axes[row] = Axis(values[row].values, values[row].attrs["units"])
        coordinates |= {dim: replace(values[dim], dim=row) for dim in order if dim != row}
    return replace(raw, channels=tuple(channels), axes=axes, coordinates=coordinates)


def choose_axis(names: Sequence[str], sizes: Mapping[str, int]) -> str:
    """Which of several spectroscopic axes is the axis of the spectra: the swept quantity, else the longest axis."""
    chosen = [dim for dim in FIRST_CHOICE if dim in names and sizes[dim] > 1]
    return chosen[0] if chosen else max(names, key=lambda dim: sizes[dim])


def _along_row(
    axes: Mapping[str, Axis], order: Sequence[str], sizes: Mapping[str, int], path: Path
) -> dict[str, Coordinate]:
    """The value of every spectroscopic axis at every place of the row."""
    shape = [sizes[dim] for dim in order]
    places = np.indices(shape).reshape(len(order), -1)
    coordinates = {}
    for dim, index in zip(order, places, strict=True):
        axis = axes.get(dim, Axis(np.arange(sizes[dim]), "1"))
        if len(axis.values) != sizes[dim]:
            raise InputError(f"{path}: {dim} has {len(axis.values)} values for {sizes[dim]} items")
        units = labels.canonical_units(axis.units) or "1"
        attrs = dims.attrs(dim.replace("_", " "), units)
        coordinates[dim] = Coordinate(dim, np.asarray(axis.values)[index], attrs)
    return coordinates


def _as_row(channel: Channel, order: Sequence[str], row: str) -> Channel:
    """A channel with its spectroscopic axes joined in this order as the last axis."""
    places = [dim for dim in channel.dims if dim not in order]
    axes = tuple(channel.dims.index(dim) for dim in (*places, *order))
    shape = tuple(channel.pixels.shape[axis] for axis in axes)
    joined = (*shape[: len(places)], math.prod(shape[len(places) :]))
    read = partial(_read_row, channel.pixels, axes, len(places))
    dtype = channel.pixels.dtype.newbyteorder("=")
    pixels = replace(channel.pixels, shape=joined, dtype=dtype, read=read, chunks=None)
    return replace(channel, pixels=pixels, dims=(*places, row))


def _read_row(pixels: Pixels, axes: tuple[int, ...], n_places: int, key: Key) -> np.ndarray:
    """Whole spectra of the wanted places, joined to rows, then the wanted part of each row."""
    stored = [slice(None)] * len(axes)
    for axis, part in zip(axes[:n_places], key[:-1], strict=True):
        stored[axis] = part
    values = pixels.load(tuple(stored)).transpose(axes)
    return values.reshape(*values.shape[:n_places], -1)[..., key[-1]]


def _with_survey(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """The channels; of the images that have another size than the grid of spectra, the largest is the survey."""
    spectra = [channel for channel in channels if spectral_dims(channel.dims)]
    largest = max(spectra, key=lambda channel: math.prod(channel.pixels.shape))
    if dims.POINT in largest.dims or any(dims.SURVEY_Y in c.dims for c in channels):
        return tuple(channels)
    grid = grid_shape(largest)
    others = [
        channel
        for channel in channels
        if {*channel.dims} == {dims.Y, dims.X} and grid_shape(channel) != grid
    ]
    if not others:
        return tuple(channels)
    chosen = max(others, key=lambda channel: math.prod(channel.pixels.shape))
    return tuple(as_survey(channel) if channel is chosen else channel for channel in channels)


def grid_shape(channel: Channel) -> tuple[int, int]:
    """Number of pixels along y and x."""
    sizes = dict(zip(channel.dims, channel.pixels.shape, strict=True))
    return sizes[dims.Y], sizes[dims.X]


def as_survey(channel: Channel) -> Channel:
    """An image as the survey of a grid of spectra."""
    names = {dims.Y: dims.SURVEY_Y, dims.X: dims.SURVEY_X}
    return replace(channel, dims=tuple(names[dim] for dim in channel.dims), name=SURVEY)


def apart_from_grid(
    parts: Sequence[tuple[Channel, dict[str, Axis]]],
) -> list[tuple[Channel, dict[str, Axis]]]:
    """Channels with their axes; images beside spectra that have other pixels get axes of their own, the largest as survey."""
    if not _holds_spectra([channel for channel, _ in parts]):
        return list(parts)
    main = max(
        (part for part in parts if spectral_dims(part[0].dims)),
        key=lambda part: math.prod(part[0].pixels.shape),
    )
    if dims.POINT in main[0].dims:
        return list(parts)
    other = [n for n, part in enumerate(parts) if _has_other_pixels(part, main)]
    other.sort(key=lambda n: -math.prod(parts[n][0].pixels.shape))
    arranged_parts = list(parts)
    for rank, n in enumerate(other):
        channel, axes = parts[n]
        prefix = "survey" if rank == 0 else f"image_{rank}"
        names = {dims.Y: f"{prefix}_y", dims.X: f"{prefix}_x"}
        moved = replace(channel, dims=tuple(names[dim] for dim in channel.dims))
        moved = replace(moved, name=SURVEY) if rank == 0 else moved
        arranged_parts[n] = (moved, {names[dim]: axis for dim, axis in axes.items()})
    return arranged_parts


def _has_other_pixels(
    part: tuple[Channel, dict[str, Axis]], main: tuple[Channel, dict[str, Axis]]
) -> bool:
    """Whether an image has another number or size of pixels than the grid of spectra."""
    if {*part[0].dims} != {dims.Y, dims.X}:
        return False
    if grid_shape(part[0]) != grid_shape(main[0]):
        return True
    steps = [[_step_nm(axes.get(dim)) for axes in (part[1], main[1])] for dim in (dims.Y, dims.X)]
    return any(
        own is not None and grid is not None and not math.isclose(own, grid, rel_tol=SAME_STEP)
        for own, grid in steps
    )


def _step_nm(axis: Axis | None) -> float | None:
    """Distance of two pixels [nm]; none if it is unknown."""
    factor = None if axis is None else labels.nanometres(axis.units)
    if axis is None or factor is None or len(axis.values) < 2:
        return None
    return abs(float(axis.values[1] - axis.values[0])) * factor


def _at_points(raw: Raw, path: Path) -> dict[str, Coordinate]:
    """The coordinates, with frame, place [nm] and specimen of every point.

    Raises:
        InputError: If a place is missing, not finite, or given twice.
    """
    n = next(
        channel.pixels.shape[channel.dims.index(dims.POINT)]
        for channel in raw.channels
        if dims.POINT in channel.dims
    )
    known = dict(raw.coordinates)
    for name in (POINT_Y, POINT_X):
        if name not in known:
            raise InputError(
                f"{path}: holds spectra at {n} points, but not {name}; add the position of every "
                "point [nm]"
            )
    frames = known.get(POINT_FRAME, Coordinate(dims.POINT, np.zeros(n, dtype=np.int64)))
    known[POINT_FRAME] = replace(frames, values=np.asarray(frames.values).astype(np.int64))
    known.setdefault(SPECIMEN, known[POINT_FRAME])
    for name, long_name in POINT_NAMES.items():
        known[name] = _point_coordinate(name, known[name], n, long_name, path)
    _refuse_same_place(known, path)
    for name, dim in ((POINT_Y, dims.Y), (POINT_X, dims.X)):
        if dim in raw.axes:
            values = _from_first_pixel(known[name].values, raw.axes[dim])
            known[name] = replace(known[name], values=values)
    return known


def _from_first_pixel(places: np.ndarray, axis: Axis) -> np.ndarray:
    """Places [nm] counted from the first pixel of the images, as the axes of images are."""
    factor = labels.nanometres(axis.units)
    positions = np.asarray(axis.values, dtype=float)
    if factor is None or not len(positions):
        return places
    return (
        (positions.max() * factor - places) if axis.flipped else places - positions.min() * factor
    )


def _point_coordinate(
    name: str, coordinate: Coordinate, n: int, long_name: str, path: Path
) -> Coordinate:
    values = np.asarray(coordinate.values)
    if values.shape != (n,) or not np.all(np.isfinite(values)):
        raise InputError(
            f"{path}: {name} has {np.isfinite(values).sum()} finite values for {n} points"
        )
    is_length = name in (POINT_Y, POINT_X)
    factor = labels.nanometres(str(coordinate.attrs.get("units", "nm"))) if is_length else None
    if is_length and factor is None:
        raise InputError(
            f"{path}: the unit of {name} is {coordinate.attrs['units']!r}, but must be a length"
        )
    attrs = dims.attrs(long_name, "nm" if is_length else "1")
    kept = {key: value for key, value in coordinate.attrs.items() if key.startswith("flag_")}
    return Coordinate(dims.POINT, values if factor in (None, 1) else values * factor, attrs | kept)


def _refuse_same_place(known: Mapping[str, Coordinate], path: Path) -> None:
    places = np.stack([
        np.asarray(known[name].values, dtype=float)
        for name in (POINT_FRAME, SPECIMEN, POINT_Y, POINT_X)
    ])  # fmt: skip
    _, first, counts = np.unique(places, axis=1, return_index=True, return_counts=True)
    if counts.max(initial=1) > 1:
        frame, _, y, x = places[:, first[counts.argmax()]]
        raise InputError(
            f"{path}: {counts.max()} spectra have the same position ({y:g}, {x:g}) nm in frame "
            f"{int(frame)}; average them, or give them different specimens"
        )


def _remarks(raw: Raw) -> list[str]:
    """Lines on spectral axes without a unit, and on a survey without a place."""
    names = {dim for channel in raw.channels for dim in spectral_dims(channel.dims)}
    bare = [
        dim
        for dim in sorted(names & {*dims.SPECTRAL})
        if dim not in raw.axes or labels.canonical_units(raw.axes[dim].units) in _NO_UNIT
    ]
    lines = [f"{dim} is not calibrated; its unit is the channel" for dim in bare]
    surveys = [channel for channel in raw.channels if dims.SURVEY_Y in channel.dims]
    if surveys and (raw.grid is None or all(channel.grid is None for channel in surveys)):
        lines.append(UNPLACED)
    return lines


def along(values: Any, dim: str, *, long_name: str, units: str = "1") -> Coordinate:
    """A coordinate along a spectral axis or over points."""
    return Coordinate(dim, np.asarray(values), dims.attrs(long_name, units))


def direction(n_forward: int, n_backward: int, dim: str) -> Coordinate:
    """The direction of the sweep at every place of a row: 0 forward, 1 backward."""
    values = np.repeat(np.array([0, 1], dtype=np.int8), [n_forward, n_backward])
    return Coordinate(dim, values, dims.flags(("forward", "backward"), "direction of the sweep"))
