"""HDF5 of any program: one array of the file, which `ingest.dataset` names if there are several.

Names, units and positions of the axes are those of NeXus (NXdata), of Nion Swift (`properties`) or of HDF5's own dimension labels; without any
of them the shape decides, as for arrays. A master file of a Dectris detector has its frames in files of the same name beside it.
"""

import importlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from invae import dims
from invae.errors import ConfigError, InputError
from invae.readers import calibration
from invae.readers.array_axes import roles_of_shape
from invae.readers.axis_roles import AxisLabel, Roles, roles_of
from invae.readers.formats.hdf5 import (
    ERRORS,
    SIGNATURE,
    datasets,
    read_dataset,
    refuse_elsewhere,
    refuse_outside,
    says_netcdf,
    text,
)
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, Reader
from invae.readers.scan_shape import named_by_kind

NAME = "hdf5"
MASTER, FRAMES = "_master", "entry/data"
"""End of the name of a master file, and the group with its links to the frames."""
LISTED = 12
"""Arrays that a message lists."""
PLAIN_NAMES = ("data", "array", "signal", "image", "images")
CALIBRATED = (dims.FRAME, dims.Y, dims.X, dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X)


UNKNOWN = AxisLabel()


@dataclass(frozen=True)
class AxisInfo:
    """What the file says of one axis."""

    label: AxisLabel = UNKNOWN
    positions: np.ndarray | None = None


@dataclass(frozen=True)
class Part:
    """Frames of a recording in one file."""

    path: Path
    name: str
    n_frames: int


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(SIGNATURE) and not says_netcdf(path)


def _companions(path: Path) -> tuple[Path, ...]:
    """Files with the frames of a master file, by their names."""
    if not path.stem.endswith(MASTER):
        return ()
    start = path.stem.removesuffix(MASTER)
    return tuple(sorted(path.parent.glob(f"{start}_data_[0-9]*{path.suffix}")))


def _read(path: Path, names: tuple[str, ...] | None = None, dataset: str | None = None) -> Raw:
    load_filters()
    with h5py.File(path, "r") as file:
        if dataset is None and _is_master(file, path):
            return _frames_of(file, path)
        refuse_outside(file, path)
        array = _chosen(file, path, dataset)
        infos = _axes_of(array)
        roles = _roles(array, infos, names, path)
        axes = {
            dim: _axis(dim, info, n)
            for dim, info, n in zip(roles.dims, infos, array.shape, strict=True)
        }
        attrs = {**array.attrs}
        own_name = str(array.name)
        read = partial(read_dataset, path, own_name)
        pixels = Pixels(path, array.shape, array.dtype, read, ERRORS, array.chunks)
    name = own_name.rsplit("/", 1)[-1]
    channel = Channel(
        "signal" if name.lower() in PLAIN_NAMES else name, pixels, roles.dims, _unit(attrs)
    )
    metadata = {"dataset": own_name, **{key: text(value) for key, value in attrs.items()}}
    return Raw(named_by_kind((channel,)), calibration.calibrated(axes), metadata, notes=roles.notes)


@cache
def load_filters() -> None:
    """Load the compressions of hdf5plugin, such as the one of Dectris detectors, if it is installed."""
    if importlib.util.find_spec("hdf5plugin") is not None:
        importlib.import_module("hdf5plugin")


def _chosen(file: h5py.File, path: Path, wanted: str | None) -> h5py.Dataset:
    """The array to read: the one that is asked for, NeXus' default, or the only one.

    Raises:
        ConfigError: If the file has no such array.
        InputError: If it has several, or none.
    """
    arrays = [one for one in datasets(file) if _is_array(one)]
    if wanted is not None:
        named = [one for one in arrays if str(one.name).strip("/") == wanted.strip("/")]
        if not named:
            raise ConfigError(
                f"{path}: holds no array {wanted}; choose ingest.dataset among {_listed(arrays)}"
            )
        return named[0]
    default = [one for one in arrays if _is_default(one)]
    if len(default or arrays) == 1:
        return (default or arrays)[0]
    if not arrays:
        raise InputError(f"{path}: holds no array of two or more axes; check how it was written")
    raise InputError(
        f"{path}: holds several arrays; set ingest.dataset to one of {_listed(default or arrays)}"
    )


def _is_array(one: h5py.Dataset) -> bool:
    return one.dtype.kind in "biuf" and one.ndim >= 2 and 0 not in one.shape


def _is_default(one: h5py.Dataset) -> bool:
    """Whether NeXus names an array as the one to plot."""
    parent = one.parent
    if text(parent.attrs.get("NX_class", "")) != "NXdata":
        return False
    return text(parent.attrs.get("signal", "")) == str(one.name).rsplit("/", 1)[-1] or text(
        one.attrs.get("signal", "")
    ) in ("1", "1.0")


def _listed(arrays: Sequence[h5py.Dataset]) -> str:
    words = [f"{one.name} ({' × '.join(map(str, one.shape))})" for one in arrays[:LISTED]]
    return ", ".join([*words, "…"] if len(arrays) > LISTED else words) or "none"


def _roles(
    array: h5py.Dataset,
    infos: Sequence[AxisInfo],
    names: tuple[str, ...] | None,
    path: Path,
) -> Roles:
    """Names of the axes: those that are set, those that follow from the file, or those of the shape."""
    if names is not None and len(names) != array.ndim:
        raise ConfigError(
            f"{path}: ingest.dims names {len(names)} axes, but {array.name} has "
            f"{' × '.join(map(str, array.shape))}; name every axis once"
        )
    if names is not None:
        return Roles(names)
    labels = [info.label for info in infos]
    if any(label != UNKNOWN for label in labels):
        return roles_of(labels)
    return roles_of_shape(array.shape, source=f"{path}: {array.name}")


def _axes_of(array: h5py.Dataset) -> list[AxisInfo]:
    """What the file says of every axis of an array."""
    for found in (_of_swift(array), _of_nexus(array), _of_dimensions(array)):
        if len(found) == array.ndim:
            return found
    return [AxisInfo()] * array.ndim


def _of_swift(array: h5py.Dataset) -> list[AxisInfo]:
    """Nion Swift: a calibration per axis, and how many of them are scanned."""
    properties = _swift_properties(array.attrs)
    calibrations = properties.get("dimensional_calibrations")
    if not isinstance(calibrations, list) or len(calibrations) != array.ndim:
        return []
    n_scanned = int(properties.get("collection_dimension_count", 0))
    n_scanned += bool(properties.get("is_sequence"))
    return [
        AxisInfo(
            AxisLabel("", str(one.get("units") or ""), number < n_scanned),
            float(one.get("offset") or 0) + np.arange(n) * float(one.get("scale") or 1),
        )
        for number, (one, n) in enumerate(zip(calibrations, array.shape, strict=True))
    ]


def _swift_properties(attrs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        properties = json.loads(text(attrs.get("properties", "")))
    except (ValueError, RecursionError):
        return {}
    return properties if isinstance(properties, dict) else {}


def _of_nexus(array: h5py.Dataset) -> list[AxisInfo]:
    """NeXus: `axes` of the group or of the array name datasets with positions beside it."""
    beside: Any = array.parent
    own = array.attrs.get("axes", beside.attrs.get("axes"))
    if own is None:
        return []
    names = [text(name) for name in np.atleast_1d(own)]
    if len(names) == 1 and array.ndim > 1:
        names = names[0].replace("[", "").replace("]", "").replace(",", ":").split(":")
    return [
        _of_scale(name, beside.get(name), n) for name, n in zip(names, array.shape, strict=False)
    ]


def _of_scale(name: str, scale: Any, n: int) -> AxisInfo:
    """An axis by the dataset with its positions."""
    known = name if name != "." else ""
    if not isinstance(scale, h5py.Dataset) or scale.shape != (n,) or scale.dtype.kind not in "iuf":
        return AxisInfo(AxisLabel(known))
    units = text(scale.attrs.get("units", ""))
    return AxisInfo(AxisLabel(known, units), np.asarray(scale[()], float))


def _of_dimensions(array: h5py.Dataset) -> list[AxisInfo]:
    """HDF5's own labels and scales of the axes."""
    return [
        _of_scale(text(dim.label), dim[0] if len(dim) else None, n)
        for dim, n in zip(array.dims, array.shape, strict=True)
    ]


def _axis(dim: str, info: AxisInfo, n: int) -> Axis | None:
    """Positions along an axis; none without a calibration, or where they are not even."""
    values, units = info.positions, info.label.units
    if values is None:
        return None
    if dim not in CALIBRATED:
        return Axis(values, units)
    step = float(values[-1] - values[0]) / (n - 1) if n > 1 else 1.0
    is_even = np.allclose(np.diff(values), step, rtol=0, atol=1e-3 * abs(step))
    return calibration.axis(dim, n, step, units, start=float(values[0])) if is_even else None


def _unit(attrs: Mapping[str, Any]) -> str:
    calibrated = _swift_properties(attrs).get("intensity_calibration")
    in_swift = calibrated.get("units") if isinstance(calibrated, dict) else None
    return text(attrs.get("units", "")) or str(in_swift or "")


def _is_master(file: h5py.File, path: Path) -> bool:
    return path.stem.endswith(MASTER) and isinstance(file.get(FRAMES), h5py.Group)


def _frames_of(file: h5py.File, path: Path) -> Raw:
    """Frames of a Dectris detector, one after another as its master file lists them."""
    parts = [_part(file[FRAMES], name, path) for name in sorted(file[FRAMES])]  # type: ignore[arg-type]
    if not parts:
        raise InputError(f"{path}: lists no files with frames; copy it again")
    shape, dtype = _shape_of(parts, path)
    n_frames = sum(part.n_frames for part in parts)
    read = partial(_read_frames, tuple(parts))
    pixels = Pixels(path, (n_frames, *shape), dtype, read, ERRORS)
    channel = Channel("pattern", pixels, (dims.FRAME, dims.K_Y, dims.K_X), "count")
    remark = "the master file of a Dectris detector does not have it"
    return Raw((channel,), metadata={"files": len(parts)}, scan_remark=remark)


def _part(group: h5py.Group, name: str, path: Path) -> Part:
    """One entry of the list of frames, in the master itself or in a file beside it.

    Raises:
        InputError: If the file is missing or lies elsewhere.
    """
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.ExternalLink):
        return Part(path, f"{group.name}/{name}", group[name].shape[0])  # type: ignore[union-attr]
    target = path.with_name(Path(link.filename).name)
    if link.filename != target.name or target not in _companions(path):
        raise InputError(
            f"{path}: {name} is in {link.filename}, which is not beside it; copy all files of the "
            "recording into one folder"
        )
    with h5py.File(target, "r") as file:
        refuse_outside(file, target)
        return Part(target, link.path, file[link.path].shape[0])  # type: ignore[union-attr]


def _shape_of(parts: Sequence[Part], path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Shape and type of a frame, the same in all parts."""
    found = set()
    for part in parts:
        with h5py.File(part.path, "r") as file:
            one: Any = file[part.name]
            refuse_elsewhere(one, part.path)
            found.add((one.shape[1:], one.dtype))
    if len(found) > 1:
        raise InputError(f"{path}: its files hold frames of several sizes; copy them again")
    return found.pop()


def _read_frames(parts: Sequence[Part], key: Key) -> np.ndarray:
    """Frames under a key, from the files that hold them."""
    load_filters()
    wanted = range(sum(part.n_frames for part in parts))[key[0]]
    begin, pieces = 0, []
    for part in parts:
        own = [number - begin for number in wanted if 0 <= number - begin < part.n_frames]
        if own:
            inside = slice(own[0], own[-1] + 1, wanted.step)
            pieces.append(read_dataset(part.path, part.name, (inside, *key[1:])))
        begin += part.n_frames
    return np.concatenate(pieces)


READER = Reader(
    name=NAME,
    extensions=(".h5", ".hdf5", ".hdf", ".nxs", ".nx5"),
    description="HDF5 of any program (NeXus, Nion Swift, Dectris): one array",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
    companions=_companions,
    read_named=_read,
    read_dataset=_read,
    general=True,
)
