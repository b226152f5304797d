"""All formats, and which of them a file is of: content decides, the extension helps to explain."""

import os
import stat
from pathlib import Path

from invae.errors import InputError, UnknownFormat
from invae.readers.formats import (
    app5,
    blo,
    dm,
    emd,
    empad,
    gwy,
    hyperspy,
    ibw,
    mib,
    mrc,
    npy,
    nsid,
    tiff,
    tvips,
    velox,
    zarr_netcdf,
)
from invae.readers.raw import HEAD_BYTES, Reader

MICROSCOPES: tuple[Reader, ...] = (
    mib.READER,
    blo.READER,
    tvips.READER,
    empad.READER,
    dm.READER,
    mrc.READER,
    velox.READER,
    app5.READER,
    hyperspy.HSPY,
    hyperspy.ZSPY,
    emd.READER,
)
"""Formats of electron microscopes and of their programs: patterns, images and spectrum images."""
READERS: tuple[Reader, ...] = (
    *MICROSCOPES,
    nsid.READER,
    ibw.READER,
    gwy.READER,
    npy.NPY,
    npy.NPZ,
    tiff.READER,
    zarr_netcdf.ZARR,
    zarr_netcdf.NETCDF,
)
"""Asked in this order; a format that is a special case of another stands before it."""


def formats() -> tuple[Reader, ...]:
    """Every format that can be read, with its extensions and a description."""
    return READERS


def files_of(path: Path) -> tuple[Path, ...]:
    """All files of the recording that a path names: itself, then those that lie beside it and belong to it."""
    beside = dict.fromkeys(other for reader in READERS for other in reader.beside(path))
    return (path, *beside)


def reader_named(name: str) -> Reader:
    """The reader of this name.

    Raises:
        UnknownFormat: If there is none.
    """
    for reader in READERS:
        if reader.name == name:
            return reader
    raise UnknownFormat(f"no format is called {name!r}; known are {_names()}")


def reader_for(path: Path, *, format_name: str | None = None) -> Reader:
    """The reader that a file or folder is for, by its content.

    Raises:
        InputError: If it cannot be read, or its content is not what its extension says.
        UnknownFormat: If no reader knows it.
    """
    head = read_head(path)
    chosen = READERS if format_name is None else (reader_named(format_name),)
    found = [reader for reader in chosen if reader.recognises(path, head)]
    by_extension = [r for r in chosen if path.suffix.lower() in r.extensions]
    if found:
        return next((reader for reader in found if reader in by_extension), found[0])
    if format_name is not None:
        raise InputError(f"{path}: is not of the format {format_name}: {_start(head)}")
    if path.is_dir():
        raise UnknownFormat(f"{path}: is a folder and no Zarr store; give the recordings in it")
    if by_extension:
        raise InputError(
            f"{path}: is not what {path.suffix} stands for ({by_extension[0].description}): "
            f"{_start(head)}; it is damaged, or has the wrong extension"
        )
    raise UnknownFormat(f"{path}: no reader knows this file ({_start(head)}); known are {_names()}")


def read_head(path: Path) -> bytes:
    """The first bytes of a file, none for a folder.

    Raises:
        InputError: If it does not exist, is empty, may not be read or is no file.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.listdir(path)
            return b""
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: is a device or pipe, not a file; copy it to a file first")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{path}: does not exist; check the name") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read ({reason}); check links and rights") from error
    if not head:
        raise InputError(f"{path}: is empty (0 bytes); wait until it is written, or copy it again")
    return head


def _start(head: bytes) -> str:
    return f"it begins with {head[:8]!r}" if head else "it is a folder"


def _names() -> str:
    return ", ".join(reader.name for reader in READERS)
