"""NumPy arrays: .npy and .npz without pickled objects; calibration from JSON in the same folder or inside the archive."""

import io
import math
import tokenize
import zipfile
import zlib
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from invae import dims
from invae.errors import InputError
from invae.readers import sidecar
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, Reader

MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\x03\x04"
COORDS = (
    dims.FRAME,
    dims.Y,
    dims.X,
    dims.SCAN_Y,
    dims.SCAN_X,
    dims.K_Y,
    dims.K_X,
    "energy",
    "voltage",
)
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


def _read_npy(path: Path) -> Raw:
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
    names = annotations.dims(shape)
    pixels = Pixels(path, shape, dtype, partial(_read_npy_pixels, path), ERRORS)
    label = annotations.text("quantity") or "signal"
    channel = Channel(label, pixels, names, annotations.text("units"))
    axes = annotations.axes(names, shape)
    return Raw((channel,), axes, annotations.metadata, beam=annotations.beam())


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


def _read_npz(path: Path) -> Raw:
    with zipfile.ZipFile(path) as archive:
        members = _members(archive, path)
        headers = {name: _member_header(archive, info, path) for name, info in members.items()}
        small = {
            name: _small(archive, members[name])
            for name, (shape, _, dtype) in headers.items()
            if (name in COORDS and len(shape) == 1) or (dtype.kind in "US" and not shape)
        }
    metadata = small.get("meta", small.get("metadata"))
    annotations = (
        sidecar.annotations_of(path) if metadata is None else sidecar.parse(str(metadata), path)
    )
    shape = max((header[0] for header in headers.values()), key=_weight, default=())
    chosen = [name for name, header in headers.items() if header[0] == shape and len(shape) > 1]
    names = _archive_dims(annotations, shape, small)
    axes = annotations.axes(names, shape)
    axes |= {dim: Axis(small[dim], _axis_units(annotations, dim)) for dim in names if dim in small}
    channels = tuple(
        Channel(name, _pixels(path, members[name].filename, headers[name]), names,
                _units_table(annotations).get(name, "") or annotations.text("units"))
        for name in chosen
    )  # fmt: skip
    unused = [name for name in headers if name not in (*chosen, *axes, "meta", "metadata")]
    notes = (f"arrays left out: {', '.join(unused)}",) if unused and channels else ()
    return Raw(channels, axes, annotations.metadata, notes=notes, beam=annotations.beam())


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


def _archive_dims(
    annotations: sidecar.Annotations, shape: tuple[int, ...], small: dict[str, np.ndarray]
) -> tuple[str, ...]:
    """Names of the axes: as annotated; otherwise a spectral coordinate distinguishes a grid of spectra from a series."""
    spectral = [name for name in ("energy", "voltage") if name in small]
    if len(shape) == 3 and spectral and "dims" not in annotations.metadata:
        return (dims.Y, dims.X, spectral[0])
    return annotations.dims(shape)


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
    errors=ERRORS,
    companions=sidecar.file_of,
)
NPZ = Reader(
    name="npz",
    extensions=(".npz",),
    description="NumPy archive: channels of one shape, coordinates, calibration in `meta` (JSON)",
    recognises=_recognises_npz,
    read=_read_npz,
    errors=ERRORS,
    companions=sidecar.file_of,
)
