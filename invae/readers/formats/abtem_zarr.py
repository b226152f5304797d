"""abTEM: arrays of a simulation in Zarr, with a description of every axis beside them; x comes first in the file.

Rows are y in the order of the file, as for every file with named axes.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from invae import dims
from invae.errors import InputError
from invae.readers.calibration import axis, calibrated
from invae.readers.formats.zarr_netcdf import ERRORS, absent_chunks
from invae.readers.raw import Axis, Beam, Channel, FrameVariable, Key, Pixels, Raw, Reader
from invae.readers.scan_shape import named_by_kind

FILES = ("zarr.json", ".zattrs")
"""Where the attributes of a store are."""
CURRENT, EARLIER = "metadata", "kwargs"
"""Beginning of the attributes that describe the arrays: since 1.0.10, and before."""
PLANE, DETECTOR = {"x": dims.X, "y": dims.Y}, {"kx": dims.K_X, "ky": dims.K_Y}
SCAN = {"x": dims.SCAN_X, "y": dims.SCAN_Y, "r": dims.SCAN_X}

Described = Mapping[str, Any]


def _recognises(path: Path, head: bytes) -> bool:
    return not head and bool({f"{CURRENT}0", f"{EARLIER}0"} & {*_attributes(path)})


def _attributes(path: Path) -> dict[str, Any]:
    """The attributes of a store that may be of abTEM; none of others and of damaged ones."""
    for file in (path / name for name in FILES if (path / name).is_file()):
        text = file.read_bytes()
        if not any(f'"{word}0"'.encode() in text for word in (CURRENT, EARLIER)):
            continue
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return {}  # the reader of Zarr says what is wrong
        found = values.get("attributes", values) if isinstance(values, dict) else {}
        return found if isinstance(found, dict) else {}
    return {}


def _read(path: Path) -> Raw:
    attributes = _attributes(path)
    if f"{CURRENT}0" not in attributes:
        raise InputError(
            f"{path}: was written by abTEM before 1.0.10; load it with abtem.from_zarr and save it with its to_zarr again"
        )
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    channels, axes, left_out, notes = [], {}, [], []
    variables: dict[str, FrameVariable] = {}
    described = _described(attributes)
    for number, metadata in enumerate(described):
        array = group[f"array{number}"]
        assert isinstance(array, zarr.Array)
        axis_settings = [metadata["axes"][f"axis_{n}"] for n in range(array.ndim)]
        names = _names([str(one["label"]) for one in axis_settings])
        if names is None:
            labels = ", ".join(str(one["label"]) for one in axis_settings)
            left_out.append(f"array{number} ({labels}) was left out: it is no image and no pattern")
            continue
        channels.append(_channel(path, f"array{number}", array, names, axis_settings, metadata))
        axes = _axes(names, axis_settings, array.shape) | axes
        variables = _frame_variables(names, axis_settings) | variables
        notes += _numbered(names, axis_settings)
    if not channels:
        raise InputError(f"{path}: holds no image and no pattern of abTEM; {'; '.join(left_out)}")
    names = [f"array{number}" for number in range(len(described))]
    return Raw(
        tuple(channels)
        if any(dims.CHANNEL in c.dims for c in channels)
        else named_by_kind(channels),
        axes,
        {"abtem": [_without_axes(metadata) for metadata in described]},
        notes=(*left_out, *notes, *absent_chunks(path, names)),
        frame_variables=variables,
        beam=_beam(described),
    )


def _described(attributes: Described) -> list[dict[str, Any]]:
    """The descriptions of all arrays, by their numbers."""
    descriptions = []
    while f"{CURRENT}{len(descriptions)}" in attributes:
        descriptions.append(_plain(attributes[f"{CURRENT}{len(descriptions)}"]))
    return descriptions


def _plain(value: Any) -> Any:
    """Values as Python types; abTEM marks tuples."""
    if isinstance(value, dict):
        if value.get("_type") == "tuple":
            return [_plain(item) for item in value["_value"]]
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _names(labels: Sequence[str]) -> tuple[str, ...] | None:
    """Names of the axes in invae's words; none if the array is no image and no pattern."""
    patterns = {*DETECTOR} <= {*labels}
    known = {**SCAN, **DETECTOR} if patterns else PLANE
    others = [label for label in labels if label not in known]
    whole = patterns or {*PLANE} <= {*labels}
    if not whole or len(others) > 1:
        return None
    scanned = patterns and len(labels) - len(others) > 2
    other = dims.CHANNEL if scanned else dims.FRAME
    if len(labels) == 2 and patterns:
        known = {"kx": dims.X, "ky": dims.Y}  # a single pattern is an image
    return tuple(known.get(label, other) for label in labels)


def _channel(
    path: Path,
    name: str,
    array: zarr.Array,
    names: tuple[str, ...],
    axis_settings: Sequence[Described],
    metadata: Described,
) -> Channel:
    shifted = tuple(n for n, one in enumerate(axis_settings) if one.get("fftshift") is False)
    read = partial(_read_values, path, name, shifted)
    chunks = tuple(array.shards or array.chunks)
    dtype = np.dtype(array.dtype)
    pixels = Pixels(path, tuple(array.shape), dtype, read, ERRORS, None if shifted else chunks)
    label = str(metadata.get("label") or metadata.get("type") or name)
    return Channel(label, pixels, names, str(metadata.get("units") or ""))


def _read_values(path: Path, name: str, shifted: tuple[int, ...], key: Key) -> np.ndarray:
    """The values under a key; detector axes that begin with the centre are put in order."""
    array = zarr.open_group(path, mode="r", use_consolidated=False)[name]
    assert isinstance(array, zarr.Array)
    stored = tuple(slice(None) if n in shifted else part for n, part in enumerate(key))
    rest = tuple(part if n in shifted else slice(None) for n, part in enumerate(key))
    return np.fft.fftshift(np.asarray(array[stored]), axes=shifted)[rest]


def _axes(
    names: Sequence[str], axis_settings: Sequence[Described], shape: Sequence[int]
) -> dict[str, Axis]:
    """The calibrated axes; positions of a detector are whole multiples of its step."""
    found = {}
    for dim, one, n in zip(names, axis_settings, shape, strict=True):
        if dim in (dims.FRAME, dims.CHANNEL) or "sampling" not in one:
            continue
        step, start = float(one["sampling"]), float(one.get("offset", 0.0))
        if "fftshift" in one and step:
            start = round(start / step) * step
        found[dim] = axis(dim, n, step, str(one.get("units") or ""), start=start)
    return calibrated(found)


def _frame_variables(
    names: Sequence[str], axis_settings: Sequence[Described]
) -> dict[str, FrameVariable]:
    """The number that differs from frame to frame, such as the thickness or the defocus."""
    variables = {}
    for dim, one in zip(names, axis_settings, strict=True):
        label, values = str(one["label"]).replace(" ", "_"), one.get("values", ())
        numbers = all(isinstance(value, int | float) for value in values)
        if dim == dims.FRAME and values and numbers and label.isidentifier():
            attrs = {"units": _unit(str(one.get("units") or "")), "long_name": str(one["label"])}
            variables[label] = FrameVariable(np.array(values, dtype=float), attrs)
    return variables


def _numbered(names: Sequence[str], axis_settings: Sequence[Described]) -> list[str]:
    """What differs between the signals of an array with scans at several thicknesses, or the like."""
    return [
        f"signals are numbered by {one['label'] or 'the first axis'}: {_listed(one)}"
        for dim, one in zip(names, axis_settings, strict=True)
        if dim == dims.CHANNEL
    ]


def _listed(axis_settings: Described) -> str:
    """The first values of an axis, with its unit."""
    values = [str(value) for value in axis_settings.get("values", ())][:8]
    return f"{', '.join(values) or 'without values'} {axis_settings.get('units') or ''}".strip()


def _unit(units: str) -> str:
    return {"": "1", "Å": "angstrom"}.get(units, units)


def _without_axes(metadata: Described) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in ("axes", "kwargs")}


def _beam(described: Sequence[Described]) -> Beam:
    """Energy and convergence of the probe."""
    first = described[0]
    energy, angle = (first.get(key) for key in ("energy", "semiangle_cutoff"))
    return Beam(
        float(energy) / 1000 if isinstance(energy, int | float) and energy > 0 else None,
        float(angle) if isinstance(angle, int | float) and 0 < angle < float("inf") else None,
    )


READER = Reader(
    name="abtem",
    extensions=(".zarr",),
    description="abTEM simulations in Zarr: images, series of images, scans of patterns",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
