"""EMD in HDF5, the format of Berkeley's NCEM, as written by NCEM, py4DSTEM (all versions) and fpd.

A group with the attribute `emd_group_type` holds `data` and one vector of positions for each axis (`dim1`, …, or `dim0`, … since
version 1.0) with a name and a unit. py4DSTEM stores only the first two positions of an evenly spaced axis, and calls rows `Rx` and `Qx`.
HyperSpy writes the array with its axes reversed. Names and units of the axes decide.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import calibration, spectra
from invae.readers.axis_roles import AxisLabel, roles_of
from invae.readers.formats.hdf5 import (
    ERRORS,
    SIGNATURE,
    read_dataset,
    refuse_outside,
    text,
    top_names,
)
from invae.readers.raw import Axis, Beam, Channel, Key, Pixels, Raw, Reader
from invae.readers.scan_shape import named_by_kind

ARRAYS = ("1", "array")
"""Values of `emd_group_type` of a group with data, before and since version 1.0."""
SIGNS = {"fpd_version", "4DSTEM_experiment", "emd_group_type"}
"""Names at the root of these files; one of them identifies the format."""
COLOUR = "colour"
"""Axis of fpd for several thresholds."""
_ENERGIES = {"beam_energy": 1e-3, "accelerating_voltage": 1e-3, "high_tension": 1e-3}
"""Names of the beam energy, and the factor from its unit [eV or V] to keV."""
_ANGLES = ("convergence_semiangle_mrad", "semiconv_angle", "convergence_mrad")
_PLANES = {dims.SCAN_Y: "R", dims.SCAN_X: "R", dims.K_Y: "Q", dims.K_X: "Q"}
"""Letters of py4DSTEM for scan and detector."""
LARGEST_NOTE = 256
"""Largest dataset that is read as metadata [values]."""


def _recognises(path: Path, head: bytes) -> bool:
    """Whether HDF5 has a name of EMD at its root or a group of EMD below."""
    if not head.startswith(SIGNATURE):
        return False
    names = top_names(path)
    if "_NCProperties" in names:
        return False
    return bool(names & SIGNS) or ("version_major" in names and bool(_array_names(path)))


def _array_names(path: Path) -> list[str]:
    try:
        with h5py.File(path, "r") as file:
            return [str(group.name) for group in _arrays(file)]
    except (OSError, *ERRORS):
        return []


def _arrays(file: h5py.File) -> Iterator[h5py.Group]:
    """Groups with data, in the order of the file."""
    groups: list[h5py.Group] = []

    def collect(_: str, item: h5py.HLObject) -> None:
        if not isinstance(item, h5py.Group) or not isinstance(item.get("data"), h5py.Dataset):
            return
        if text(item.attrs.get("emd_group_type", "")) in ARRAYS:
            groups.append(item)

    file.visititems(collect)
    return iter(groups)


def _read(path: Path) -> Raw:
    with h5py.File(path, "r") as file:
        refuse_outside(file, path)
        parts = [part for group in _arrays(file) if (part := _part(group, path)) is not None]
        if not parts:
            raise InputError(
                f"{path}: holds no EMD group with patterns, images or spectra; save the datacube "
                "in it"
            )
        parts.sort(key=lambda part: -math.prod(part[0].pixels.shape))
        arranged = spectra.apart_from_grid(
            [(channel, calibration.calibrated(own)) for channel, own, _ in parts]
        )
        axes: dict[str, Axis] = {}
        for _, own_axes in arranged:
            axes = own_axes | axes
        metadata = _metadata(file)
    channels = tuple(replace(channel, axes=own) for channel, own in arranged)
    notes = tuple(parts[0][2])
    axes = _by_py4dstem(channels[0], metadata) | axes
    notes = (*notes, *_turn_of_detector(metadata))
    return Raw(named_by_kind(channels), axes, metadata, notes=notes, beam=_beam(metadata))


def _part(
    group: h5py.Group, path: Path
) -> tuple[Channel, dict[str, Axis | None], list[str]] | None:
    """One group as a channel with its axes and remarks; none if it is neither image nor pattern."""
    data = group["data"]
    assert isinstance(data, h5py.Dataset)
    if data.dtype.kind not in "biuf" or (0 in data.shape and data.ndim < 4):
        return None
    vectors = [group.get(name) for name in _vector_names(group, data.ndim)]
    described = [_name_and_unit(vector) for vector in vectors]
    kept = [
        n for n in range(data.ndim) if not _is_single(described[n][0], data.shape[n], data.ndim)
    ]
    if len(kept) not in (2, 3, 4):
        return None
    roles = roles_of([AxisLabel(*described[n]) for n in kept])
    names, axes, remarks = roles.dims, {}, [*roles.notes]
    for dim, n in zip(names, kept, strict=True):
        axes[dim] = _axis(dim, vectors[n], data.shape[n], described[n][1])
        remarks += _remark(dim, described[n][1]) if axes[dim] is None else []
    shape = tuple(data.shape[n] for n in kept)
    read = partial(_read_pixels, path, str(data.name), tuple(kept), data.ndim)
    chunks = None if data.chunks is None else tuple(data.chunks[n] for n in kept)
    pixels = Pixels(path, shape, data.dtype, read, ERRORS, chunks)
    label = str(group.name).rsplit("/", 1)[-1]
    return Channel(label, pixels, names, text(data.attrs.get("units", ""))), axes, remarks


def _vector_names(group: h5py.Group, n_axes: int) -> list[str]:
    first = 0 if "dim0" in group else 1
    return [f"dim{n + first}" for n in range(n_axes)]


def _name_and_unit(vector: Any) -> tuple[str, str]:
    """Name and unit of an axis, empty where missing."""
    attrs = vector.attrs if isinstance(vector, h5py.Dataset) else {}
    return text(attrs.get("name", "")), text(attrs.get("units", ""))


def _is_single(name: str, n: int, n_axes: int) -> bool:
    return n == 1 and (name == COLOUR or n_axes > 4)


def _axis(dim: str, vector: Any, n: int, units: str) -> Axis | None:
    """Positions along an axis; none if it is not calibrated."""
    if not isinstance(vector, h5py.Dataset) or vector.dtype.kind not in "iuf" or vector.ndim != 1:
        return None
    values = np.asarray(vector[()], dtype=float)
    if len(values) == 2 and n > 2:
        values = values[0] + np.arange(n) * (values[1] - values[0])
    if len(values) != n:
        return None
    if dim in (*dims.SPECTRAL, "frequency"):
        return Axis(values, units)
    step = (values[-1] - values[0]) / (n - 1) if n > 1 else 1.0
    axis = calibration.axis(dim, n, step, units, start=float(values[0]))
    even = np.allclose(values, values[0] + np.arange(n) * step, rtol=0, atol=1e-3 * abs(step))
    return axis if even else None


def _remark(dim: str, units: str) -> list[str]:
    """A line on a unit that is no calibration of the axis."""
    if units in ("", "pixel", "pixels", "px", "[pix]") or dim == dims.FRAME:
        return []
    return [f"{dim} has the unit {' '.join(units.split())!r}, which is no calibration of it"]


def _read_pixels(path: Path, name: str, kept: tuple[int, ...], n_axes: int, key: Key) -> np.ndarray:
    """The values under a key of the kept axes; the other axes have length one."""
    slices = dict(zip(kept, key, strict=True))
    whole = tuple(slices.get(n, slice(0, 1, 1)) for n in range(n_axes))
    values = read_dataset(path, name, whole)
    return values.reshape([values.shape[n] for n in kept])


def _metadata(file: h5py.File) -> dict[str, Any]:
    """Small datasets and attributes of the groups named metadata or calibration."""
    metadata: dict[str, Any] = {}

    def collect(name: str, item: h5py.HLObject) -> None:
        lower = name.lower()
        if not any(word in lower for word in ("metadata", "calibration", "microscope")):
            return
        if isinstance(item, h5py.Dataset) and item.size is not None and item.size <= LARGEST_NOTE:
            if item.dtype.kind in "biufSUO":
                metadata[name] = item[()]
        elif isinstance(item, h5py.Group):
            metadata.update({f"{name}/{key}": value for key, value in item.attrs.items()})

    file.visititems(collect)
    return metadata


def _by_py4dstem(channel: Channel, metadata: Mapping[str, Any]) -> dict[str, Axis]:
    """The axes of patterns by the sizes of pixels that py4DSTEM keeps apart from them."""
    axes: dict[str, Axis | None] = {}
    for dim, n in zip(channel.dims, channel.pixels.shape, strict=True):
        plane = _PLANES.get(dim)
        step = _numbers(metadata, f"{plane}_pixel_size") if plane else []
        units = _texts(metadata, f"{plane}_pixel_units") if plane else []
        if step and units:
            axes[dim] = calibration.axis(dim, n, step[0], units[0])
    return calibration.calibrated(axes)


def _turn_of_detector(metadata: Mapping[str, Any]) -> list[str]:
    """A note on the angle between detector and scan, which is not applied."""
    radians, degrees = (_numbers(metadata, f"QR_rotation{end}") for end in ("", "_degrees"))
    angle = degrees[0] if degrees else math.degrees(radians[0]) if radians else 0.0
    mirrored = bool(_numbers(metadata, "QR_flip"))
    if not angle and not mirrored:
        return []
    return [
        f"py4DSTEM's calibration turns the detector by {angle:.4g}° against the scan"
        f"{' and mirrors it' if mirrored else ''}; patterns are as recorded, so directions of the centre "
        "of mass are those of the detector"
    ]


def _texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    """Texts stored under a key in any group."""
    values = [value for name, value in metadata.items() if name.rsplit("/", 1)[-1] == key]
    return [text(value) for value in values if isinstance(value, bytes | str)]


def _beam(metadata: Mapping[str, Any]) -> Beam:
    energy = [
        value * factor
        for key, factor in _ENERGIES.items()
        for value in _numbers(metadata, key)
    ]  # fmt: skip
    angle = [value for key in _ANGLES for value in _numbers(metadata, key)]
    return Beam(energy[0] if energy else None, angle[0] if angle else None)


def _numbers(metadata: Mapping[str, Any], key: str) -> list[float]:
    """Numbers other than 0 stored under a key in any group."""
    values = [value for name, value in metadata.items() if name.rsplit("/", 1)[-1] == key]
    numbers = [np.asarray(value) for value in values]
    return [float(n.ravel()[0]) for n in numbers if n.dtype.kind in "biuf" and n.size and n.any()]


READER = Reader(
    name="emd",
    extensions=(".emd", ".h5", ".hdf5"),
    description="EMD of NCEM, py4DSTEM and fpd: HDF5 with patterns, images and spectra",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
