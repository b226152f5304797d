"""Several recordings of one area as a series: their frames in sequence, checked to belong together."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.errors import InputError
from invae.readers.lazy import Stack, lazy_variable
from invae.readers.recording import with_sources
from invae.readers.scan_place import check_places

SAME_SIZE = 1e-3
"""Largest relative difference of pixel sizes that counts as rounding."""


def in_order(
    recordings: Mapping[Path, xr.Dataset], order: str
) -> tuple[list[Path], list[xr.Dataset]]:
    """The files as given, by name (numbers by value) or by the instrument's clock.

    Raises:
        InputError: If the order is by the clock and a file has no acquisition time.
    """
    paths = list(recordings)
    if order == "name":
        paths.sort(key=lambda path: _natural(path.name))
    elif order == "time":
        for path in paths:
            if "acquired" not in recordings[path].attrs:
                raise InputError(f"{path}: has no acquisition time; order by name or as given")
        paths.sort(key=lambda path: recordings[path].attrs["acquired"])
    return paths, [recordings[path] for path in paths]


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def concatenate(
    paths: Sequence[Path], recordings: Sequence[xr.Dataset], *, other_areas: bool = False
) -> xr.Dataset:
    """The frames of all recordings in one Dataset; no pixel is read.

    Args:
        paths: The files, in the order of the series.
        recordings: Their content.
        other_areas: Whether files whose headers name other areas are accepted.

    Raises:
        InputError: If a file does not belong to the series.
    """
    first = recordings[0]
    for path, recording in zip(paths, recordings, strict=True):
        _require_same_kind(path, recording, paths[0], first)
    remarks = check_places(paths, recordings, other_areas=other_areas)
    variables = {
        name: lazy_variable(
            tuple(map(str, variable.dims)),
            Stack(tuple(r.variables[name] for r in recordings)),
            variable.attrs,
        )
        for name, variable in first.data_vars.items()
    }
    lengths = [recording.sizes[dims.FRAME] for recording in recordings]
    coords = {dim: first.variables[dim] for dim in first.dims if dim != dims.FRAME}
    coords[dims.FRAME] = xr.Variable(dims.FRAME, np.arange(sum(lengths)), dims.attrs("frame"))
    times, notes = _times(recordings)
    if times is not None:
        attrs = dims.attrs("time since the first frame", "s")
        coords["time"] = xr.Variable(dims.FRAME, times, attrs)
    coords |= _frame_coordinates(recordings)
    all_notes = [note for recording in recordings for note in recording.attrs["notes"]]
    attrs = {**first.attrs, "notes": [*dict.fromkeys(all_notes), *notes, *remarks]}
    series = xr.Dataset(variables, coords=coords, attrs=attrs)
    index = np.repeat(np.arange(len(paths)), lengths)
    return with_sources(series, [path.name for path in paths], index.tolist())


def _require_same_kind(
    path: Path, recording: xr.Dataset, first_path: Path, first: xr.Dataset
) -> None:
    """Refuse a recording that has other channels, another area or other units than the first.

    Raises:
        InputError: With both values.
    """
    if any(dims.FRAME not in variable.dims for variable in recording.data_vars.values()):
        raise InputError(f"{path}: has dims {', '.join(map(str, recording.dims))} and no frames; "
                         "only images make a series")  # fmt: skip
    own, expected = set(recording.data_vars), set(first.data_vars)
    if own != expected:
        raise InputError(
            f"{path}: has channels {', '.join(sorted(map(str, own)))}, {first_path.name} has "
            f"{', '.join(sorted(map(str, expected)))}; leave it out, or set ingest.channels"
        )
    _require_same_area(path, recording, first_path, first)
    _require_same_values(path, recording, first_path, first)


def _require_same_area(
    path: Path, recording: xr.Dataset, first_path: Path, first: xr.Dataset
) -> None:
    for dim in (dims.Y, dims.X):
        sizes, unit = (recording.sizes[dim], first.sizes[dim]), first[dim].attrs["units"]
        if sizes[0] != sizes[1]:
            raise InputError(
                f"{path}: has {sizes[0]} pixels along {dim}, {first_path.name} has {sizes[1]}; "
                "a series needs frames of one size"
            )
        steps = [_step(ds[dim].values) for ds in (recording, first)]
        if recording[dim].attrs["units"] != unit or not np.isclose(*steps, rtol=SAME_SIZE, atol=0):
            raise InputError(
                f"{path}: a pixel along {dim} is {steps[0]:.4g} {recording[dim].attrs['units']}, but "
                f"{steps[1]:.4g} {unit} in {first_path.name}; a series needs frames of one area"
            )


def _require_same_values(
    path: Path, recording: xr.Dataset, first_path: Path, first: xr.Dataset
) -> None:
    for name in first.data_vars:
        types = recording[name].dtype, first[name].dtype
        units = recording[name].attrs["units"], first[name].attrs["units"]
        if types[0] != types[1] or units[0] != units[1]:
            raise InputError(
                f"{path}: {name} is {types[0]} in {units[0]}, but {types[1]} in {units[1]} in "
                f"{first_path.name}; export all files alike"
            )


def _frame_coordinates(recordings: Sequence[xr.Dataset]) -> dict[str, xr.Variable]:
    """Coordinates over frames that all recordings have."""
    standard = {dims.FRAME, "time", "source"}
    common = set.intersection(*({*map(str, r.coords)} - standard for r in recordings))
    return {
        name: xr.Variable(
            dims.FRAME,
            np.concatenate([recording[name].values for recording in recordings]),
            recordings[0][name].attrs,
        )
        for name in sorted(common)
        if recordings[0][name].dims == (dims.FRAME,)
    }


def _step(positions: np.ndarray) -> float:
    return float(positions[1] - positions[0]) if len(positions) > 1 else 1.0


def _times(recordings: Sequence[xr.Dataset]) -> tuple[np.ndarray | None, list[str]]:
    """Time of every frame [s] if all files have it, and a remark if their order contradicts the clock."""
    if any("acquired" not in recording.attrs for recording in recordings):
        return None, []
    start = datetime.fromisoformat(recordings[0].attrs["acquired"])
    times = []
    for recording in recordings:
        if recording.sizes[dims.FRAME] > 1 and "time" not in recording.coords:
            return None, []
        since = (datetime.fromisoformat(recording.attrs["acquired"]) - start).total_seconds()
        within = recording["time"].values if "time" in recording.coords else np.zeros(1)
        times.append(since + within)
    joined = np.concatenate(times)
    if np.all(np.diff(joined) > 0):
        return joined, []
    return joined, ["the files are not in order of acquisition (ingest.order=time)"]
