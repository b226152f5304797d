"""NumPy arrays: .npy and .npz without pickled objects; calibration from JSON in the same folder or inside the archive."""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from invae import dims
from invae.errors import InputError
from invae.readers import sidecar, spectra
from invae.readers.axis_roles import Roles
from invae.readers.raw import Axis, Channel, Coordinate, Key, Pixels, Raw, Reader

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]
"""Shape, column order and type of an array."""
MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\x03\x04"
SPECTRAL = (*dims.SPECTRAL, "bias")
COORDS = (
    dims.FRAME,
    dims.Y,
    dims.X,
    dims.SCAN_Y,
    dims.SCAN_X,
    dims.K_Y,
    dims.K_X,
    *SPECTRAL,
)
SMALL = (*COORDS, *spectra.POINT_NAMES, *spectra.ALIASES)
"""Arrays of one axis that are read as coordinates in any archive."""
COORD_BYTES = 64 << 20
"""Largest array of an archive that is read at once as a coordinate or a text."""
ERRORS = (
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    KeyError,
    IndexError,
    RuntimeError,
    NotImplementedError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy raises on damaged headers, and zipfile on damaged archives."""


def _read_npy(path: Path, names: tuple[str, ...] | None = None) -> Raw:
    with path.open("rb") as file:
        shape, _, dtype = _header(file, path)
        offset = file.tell()
    needed = offset + dtype.itemsize * math.prod(shape)
    if path.stat().st_size != needed:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes, but its header requires {needed}; "
            "it is incomplete or was changed: save it again"
        )
    annotations = sidecar.annotations_of(path)
    roles = annotations.roles(shape, names)
    pixels = Pixels(path, shape, dtype, partial(_read_npy_pixels, path), ERRORS)
    label = annotations.text("quantity") or "signal"
    channel = Channel(label, pixels, roles.dims, annotations.text("units"))
    axes = annotations.axes(roles.dims, shape)
    beam = annotations.beam()
    return Raw((channel,), axes, annotations.metadata, notes=roles.notes, beam=beam)


def _read_npy_pixels(path: Path, key: Key) -> np.ndarray:
    return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[key])


def _header(file: Any, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, column order and type of an array, which must hold plain numbers or text."""
    version = npy_format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = npy_format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = npy_format.read_array_header_2_0(file)
    else:
        raise InputError(
            f"{path}: .npy version {version} is for structured arrays; save plain arrays"
        )
    if dtype.hasobject or dtype.names is not None:
        raise InputError(
            f"{path}: holds Python objects ({dtype}), which are never loaded; save numbers"
        )
    if min(shape, default=1) < 0:
        raise InputError(f"{path}: has shape {shape}, but no length may be negative; save it again")
    return shape, fortran, dtype


def _read_npz(path: Path, dims_set: tuple[str, ...] | None = None) -> Raw:
    with zipfile.ZipFile(path) as archive:
        members = _members(archive, path)
        headers = {name: _member_header(archive, info, path) for name, info in members.items()}
        small = {
            name: _small(archive, members[name])
            for name, (shape, _, dtype) in headers.items()
            if (len(shape) == 1 and (name in SMALL or _is_spectral(headers)))
            or (dtype.kind in "US" and not shape)
        }
    metadata = small.get("meta", small.get("metadata"))
    annotations = (
        sidecar.annotations_of(path) if metadata is None else sidecar.parse(str(metadata), path)
    )
    names, assumed = _named(headers, annotations, small, path, dims_set)
    axes: dict[str, Axis] = {}
    for name in sorted(names, key=lambda name: _weight(headers[name][0])):
        axes |= annotations.axes(names[name], headers[name][0])
    for name, values in small.items():
        dim = spectra.NAMES.get(name, name)
        if any(dim in own for own in names.values()):
            axes[dim] = Axis(values, _axis_units(annotations, name))
    channels = tuple(
        Channel(name, _pixels(path, members[name].filename, headers[name]), own,
                _units_table(annotations).get(name, "") or annotations.text("units"),
                name=name if name == spectra.SURVEY else "")
        for name, own in names.items()
    )  # fmt: skip
    coordinates = _coordinates(small, names, headers, annotations)
    used = {*names, *axes, *coordinates, "bias", "meta", "metadata"}
    unused = [name for name in headers if spectra.ALIASES.get(name, name) not in used]
    left_out = (f"arrays left out: {', '.join(unused)}",) if unused and channels else ()
    return Raw(
        channels,
        axes,
        annotations.metadata,
        notes=(*assumed, *left_out),
        coordinates=coordinates,
        beam=annotations.beam(),
    )


def _is_spectral(headers: Mapping[str, Header]) -> bool:
    """Whether an archive has a spectral axis."""
    return any(name in headers and len(headers[name][0]) == 1 for name in SPECTRAL)


def _named(
    headers: Mapping[str, Header],
    annotations: sidecar.Annotations,
    small: Mapping[str, np.ndarray],
    path: Path,
    dims_set: tuple[str, ...] | None,
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The axes of the arrays that become channels, by name of the array, and what was assumed."""
    table = annotations.metadata.get("dims")
    if isinstance(table, dict):
        return {
            name: replace(annotations, metadata={"dims": table[name]}).roles(header[0]).dims
            for name, header in headers.items()
            if name in table and len(header[0]) > 1
        }, ()
    shapes = {name: header[0] for name, header in headers.items() if len(header[0]) > 1}
    if _at_points(small) and table is None and dims_set is None:
        return _named_at_points(shapes, small, path), ()
    fitting = [s for s in shapes.values() if dims_set is None or len(s) == len(dims_set)]
    shape = max(fitting or shapes.values(), key=_weight, default=())
    roles = _archive_roles(annotations, shape, small, dims_set)
    names = roles.dims
    named = {name: names for name, own in shapes.items() if own == shape}
    if names[:2] == (dims.Y, dims.X) and spectra.spectral_dims(names):
        named |= {
            name: (dims.SURVEY_Y, dims.SURVEY_X) if name == spectra.SURVEY else (dims.Y, dims.X)
            for name, own in shapes.items()
            if own == shape[:2] or (name == spectra.SURVEY and len(own) == 2)
        }
    return named, roles.notes


def _at_points(small: Mapping[str, np.ndarray]) -> bool:
    """Whether an archive holds the places of points."""
    return any(spectra.ALIASES.get(name, name) == spectra.POINT_Y for name in small)


def _named_at_points(
    shapes: Mapping[str, tuple[int, ...]], small: Mapping[str, np.ndarray], path: Path
) -> dict[str, tuple[str, ...]]:
    """Spectra at points are (point, axis); other arrays are images."""
    axis = next((name for name in SPECTRAL if name in small), None)
    if axis is None:
        raise InputError(
            f"{path}: has points, but no spectral axis; add an array {', '.join(dims.SPECTRAL)}"
        )
    n_points = next(
        len(values)
        for name, values in small.items()
        if spectra.ALIASES.get(name, name) == spectra.POINT_Y
    )
    row = (dims.POINT, spectra.NAMES.get(axis, axis))
    images = {2: (dims.Y, dims.X), 3: (dims.FRAME, dims.Y, dims.X)}
    return {
        name: row if shape == (n_points, len(small[axis])) else images[len(shape)]
        for name, shape in shapes.items()
        if len(shape) in images
    }


def _coordinates(
    small: Mapping[str, np.ndarray],
    names: Mapping[str, tuple[str, ...]],
    headers: Mapping[str, Header],
    annotations: sidecar.Annotations,
) -> dict[str, Coordinate]:
    """Arrays with one value per point or per step of the spectral axis."""
    sizes: dict[str, int] = {}
    for name, own in names.items():
        if spectra.spectral_dims(own):
            sizes |= dict(zip(own, headers[name][0], strict=True))
    spectral = [dim for dim in sizes if dim not in (dims.Y, dims.X, dims.POINT)]
    coordinates = {}
    for name, values in small.items():
        own_name = spectra.ALIASES.get(name, name) if dims.POINT in sizes else name
        if values.ndim != 1 or values.dtype.kind not in "biuf" or own_name in (*COORDS, *sizes):
            continue
        is_place = own_name in spectra.POINT_NAMES
        targets = [dims.POINT] if is_place else [*spectral, dims.POINT]
        dim = next((dim for dim in targets if sizes.get(dim) == len(values)), None)
        if dim is not None or (is_place and dims.POINT in sizes):
            units = str(_units_table(annotations).get(name, "nm" if name.endswith("_nm") else "1"))
            coordinates[own_name] = spectra.along(
                values, dim or dims.POINT, long_name=name.replace("_", " "), units=units
            )
    return coordinates


def _weight(shape: tuple[int, ...]) -> tuple[int, int]:
    """Sort key of arrays: more axes first (at most four), then more values."""
    return (len(shape) if len(shape) <= 4 else 0, math.prod(shape))


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = PurePosixPath(info.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or len(name.parts) != 1:
            raise InputError(
                f"{path}: member {info.filename!r} has a path in its name, which is refused; "
                "write the archive with numpy.savez"
            )
        if name.suffix != ".npy":
            raise InputError(f"{path}: member {info.filename!r} is not an array; use numpy.savez")
        if name.stem in members:
            raise InputError(f"{path}: member {name.stem!r} occurs twice; write the archive again")
        members[name.stem] = info
    return members


def _member_header(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    with archive.open(info) as member:
        shape, fortran, dtype = _header(member, path)
        needed = member.tell() + dtype.itemsize * math.prod(shape)
    if info.file_size != needed:
        raise InputError(
            f"{path}: {info.filename} has {info.file_size} bytes, but its header requires {needed}; "
            "write the archive again"
        )
    return shape, fortran, dtype


def _small(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.file_size > COORD_BYTES:
        raise ValueError(f"{info.filename} has {info.file_size} bytes, too many for a coordinate")
    return np.load(io.BytesIO(archive.read(info)), allow_pickle=False)


def _archive_roles(
    annotations: sidecar.Annotations,
    shape: tuple[int, ...],
    small: Mapping[str, np.ndarray],
    dims_set: tuple[str, ...] | None,
) -> Roles:
    """Names of the axes: as set or annotated; otherwise a spectral coordinate distinguishes a grid of spectra from a series."""
    spectral = [name for name in SPECTRAL if name in small]
    is_told = dims_set is not None or "dims" in annotations.metadata
    if len(shape) == 3 and spectral and not is_told:
        return Roles((dims.Y, dims.X, spectra.NAMES.get(spectral[0], spectral[0])))
    if not shape:
        return Roles(())
    return annotations.roles(shape, dims_set, known=small)


def _units_table(annotations: sidecar.Annotations) -> dict[str, Any]:
    table = annotations.metadata.get("units", {})
    return table if isinstance(table, dict) else {}


def _axis_units(annotations: sidecar.Annotations, dim: str) -> str:
    table = _units_table(annotations)
    return str(table.get(dim, table.get(dim.removesuffix("_y").removesuffix("_x"), "pixel")))


def _pixels(path: Path, member: str, header: tuple[tuple[int, ...], bool, np.dtype[Any]]) -> Pixels:
    shape, _, dtype = header
    return Pixels(path, shape, dtype, partial(_read_member, path, member, *header), ERRORS)


def _read_member(
    path: Path, member: str, shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any], key: Key
) -> np.ndarray:
    """The rows that a key needs; everything before them is decompressed too, since the archive is a stream."""
    stored = shape[::-1] if fortran else shape
    stored_key = key[::-1] if fortran else key
    rows = range(stored[0])[stored_key[0]]
    if not len(rows):
        return np.empty(shape, dtype)[key]
    row_bytes = dtype.itemsize * math.prod(stored[1:])
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        _header(stream, path)
        stream.seek(stream.tell() + rows[0] * row_bytes)
        n_bytes = (rows[-1] + 1 - rows[0]) * row_bytes
        data = stream.read(n_bytes)
    if len(data) != n_bytes:
        raise EOFError(f"{member} ends {n_bytes - len(data)} bytes too early")
    values = np.frombuffer(data, dtype).reshape(-1, *stored[1:])
    values = values[(slice(None, None, stored_key[0].step), *stored_key[1:])]
    return values.T if fortran else values


def _recognises_npy(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC)


def _recognises_npz(path: Path, head: bytes) -> bool:
    """Whether it is a zip archive whose first member is an array, or that is called .npz."""
    length = int.from_bytes(head[26:28], "little")
    first_is_array = head[30 : 30 + length].endswith(b".npy")
    return head.startswith(ZIP_MAGIC) and (first_is_array or path.suffix.lower() == ".npz")


NPY = Reader(
    name="npy",
    extensions=(".npy",),
    description="NumPy array, calibrated by a .json of the same name",
    recognises=_recognises_npy,
    read=_read_npy,
    read_named=_read_npy,
    errors=ERRORS,
    companions=sidecar.file_of,
)
NPZ = Reader(
    name="npz",
    extensions=(".npz",),
    description="NumPy archive: channels of one shape, coordinates, calibration in `meta` (JSON)",
    recognises=_recognises_npz,
    read=_read_npz,
    read_named=_read_npz,
    errors=ERRORS,
    companions=sidecar.file_of,
)
