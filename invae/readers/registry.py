"""The table of formats: which reader a file or folder is for, decided by content; the extension helps to explain.

A row names a reader as `module:attribute`. The module is imported when the row is used, so the code that all readers
share does not import the formats, and a change in one format is no change of the others.
"""

import os
import pkgutil
import stat
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from invae.errors import InputError, UnknownFormat
from invae.readers.foreign import maker_of, words
from invae.readers.own_files import refuse_foreign
from invae.readers.raw import HEAD_BYTES, Reader

MICROSCOPES: tuple[str, ...] = (
    "invae.readers.formats.mib:READER",
    "invae.readers.formats.blo:READER",
    "invae.readers.formats.tvips:READER",
    "invae.readers.formats.empad:READER",
    "invae.readers.formats.dm:READER",
    "invae.readers.formats.mrc:READER",
    "invae.readers.formats.velox:READER",
    "invae.readers.formats.app5:READER",
    "invae.readers.formats.hyperspy:HSPY",
    "invae.readers.formats.hyperspy:ZSPY",
    "invae.readers.formats.emd:READER",
    "invae.readers.formats.tia:READER",
    "invae.readers.formats.abtem_zarr:READER",
)
"""Formats of electron microscopes and of their programs: patterns, images and spectrum images."""
SPECTROSCOPES: tuple[str, ...] = (
    "invae.readers.formats.nanonis:GRID",
    "invae.readers.formats.nanonis:SCAN",
    "invae.readers.formats.nanonis_dat:READER",
    "invae.readers.formats.usid:READER",
)
"""Formats of spectra at the points of a grid, and the images of the same programs."""
PROBES: tuple[str, ...] = (
    "invae.readers.formats.gsf:READER",
    "invae.readers.formats.jpk:READER",
    "invae.readers.formats.park:READER",
    "invae.readers.formats.nanoscope:READER",
)
"""Formats of images of scanning probe microscopes and of their programs."""
ROWS: tuple[str, ...] = (
    *MICROSCOPES,
    *SPECTROSCOPES,
    *PROBES,
    "invae.readers.formats.nsid:READER",
    "invae.readers.formats.ibw:READER",
    "invae.readers.formats.gwy:READER",
    "invae.readers.formats.npy:NPY",
    "invae.readers.formats.npy:NPZ",
    "invae.readers.formats.tiff:READER",
    "invae.readers.formats.zarr_netcdf:ZARR",
    "invae.readers.formats.zarr_netcdf:NETCDF",
    "invae.readers.formats.hdf5_dataset:READER",
)
"""All formats, in the order of recognition; a special case of another format comes before it."""


def all_readers() -> tuple[Reader, ...]:
    """Every format that can be read, with its extensions and a description."""
    return readers_of(ROWS)


def readers_of(rows: Iterable[str]) -> tuple[Reader, ...]:
    """The readers that rows of the table name; imports their modules."""
    return tuple(_reader(row) for row in rows)


@cache
def _reader(row: str) -> Reader:
    return pkgutil.resolve_name(row)


def module_of(path: Path, *, format_name: str | None = None) -> str:
    """Dotted name of the module whose reader reads this file or folder; no pixel is read.

    Raises:
        InputError: If it cannot be read, or its content does not match its extension.
        UnknownFormat: If no reader recognises it.
    """
    return _module(reader_for(path, format_name=format_name))


def module_named(name: str) -> str:
    """Dotted name of the module of the reader of this name.

    Raises:
        UnknownFormat: If there is none.
    """
    return _module(reader_named(name))


def _module(reader: Reader) -> str:
    return next(row for row in ROWS if _reader(row) is reader).partition(":")[0]


def own_files_of(path: Path, *, folder: Path | None = None) -> tuple[Path, ...]:
    """All files of the recording that a path names, if they are its own.

    Args:
        path: The file or store.
        folder: The folder that no link of it may leave; the recording's own if None.

    Raises:
        InputError: If one of them is a link that leads elsewhere, a device or a pipe.
    """
    refuse_foreign([path], folder=folder)
    files = files_of(path)
    refuse_foreign(files, folder=folder)
    return files


def files_of(path: Path) -> tuple[Path, ...]:
    """All files of the recording that a path names: the path itself, then its companion files."""
    companions = dict.fromkeys(
        other for reader in all_readers() for other in reader.companions(path)
    )
    return (path, *companions)


def reader_named(name: str) -> Reader:
    """The reader of this name.

    Raises:
        UnknownFormat: If there is none.
    """
    for reader in all_readers():
        if reader.name == name:
            return reader
    raise UnknownFormat(f"no format is called {name!r}; choose one of {_names()}")


def reader_for(path: Path, *, format_name: str | None = None) -> Reader:
    """The reader that a file or folder is for, by its content.

    Raises:
        InputError: If it cannot be read, or its content does not match its extension.
        UnknownFormat: If no reader recognises it.
    """
    head = read_head(path)
    candidates = all_readers() if format_name is None else (reader_named(format_name),)
    maker = maker_of(path, head) if format_name is None else None
    matching = [reader for reader in candidates if reader.recognises(path, head)]
    by_extension = [r for r in candidates if path.suffix.lower() in r.extensions]
    matching = [reader for reader in matching if not reader.general] or matching
    if matching and not (maker and maker.overrules):
        return next((reader for reader in matching if reader in by_extension), matching[0])
    if format_name is not None:
        raise InputError(
            f"{path}: is not of the format {format_name}: {_start(head)}; check format"
        )
    if path.is_dir():
        raise UnknownFormat(f"{path}: is a folder, not a Zarr store; give the recordings in it")
    if maker is not None:
        raise UnknownFormat(words(path, maker))
    if by_extension:
        usual = min(by_extension, key=lambda reader: not reader.general)
        raise InputError(
            f"{path}: is not {usual.description} as {path.suffix} suggests: "
            f"{_start(head)}; it is damaged, or has the wrong extension"
        )
    raise UnknownFormat(
        f"{path}: no reader recognises this file ({_start(head)}); readable are {_names()}"
    )


def read_head(path: Path) -> bytes:
    """The first bytes of a file; empty for a folder.

    Raises:
        InputError: If it does not exist, is empty, cannot be read or is not a file.
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
        raise InputError(
            f"{path}: cannot be read ({reason}); check links and permissions"
        ) from error
    if not head:
        raise InputError(f"{path}: is empty (0 bytes); wait until it is written, or copy it again")
    return head


def _start(head: bytes) -> str:
    return f"it begins with {head[:8]!r}" if head else "it is a folder"


def _names() -> str:
    return ", ".join(reader.name for reader in all_readers())
