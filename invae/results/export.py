"""Stores for other people's tools."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import xarray as xr

from invae.errors import InputError
from invae.progress import Progress, silent
from invae.results.hyperspy import write_hyperspy
from invae.results.netcdf import write_netcdf
from invae.results.reading import open_groups
from invae.results.slabs import Tell
from invae.results.table import write_csv
from invae.storage.location import ObjectPath, upload
from invae.storage.store import open_store

Format = Literal["netcdf", "hyperspy", "csv"]
SUFFIXES: Mapping[str, str] = {"netcdf": ".nc", "hyperspy": ".hspy", "csv": ".csv"}


class Write(Protocol):
    """Writes groups of a store into a new file, and tells the bytes done."""

    def __call__(self, groups: Mapping[str, xr.Dataset], file: Path, *, tell: Tell) -> None: ...


WRITERS: Mapping[str, Write] = {
    "netcdf": write_netcdf,
    "hyperspy": write_hyperspy,
    "csv": write_csv,
}


def export(
    path: Path,
    *,
    to: Format,
    target: Path | None = None,
    groups: Sequence[str] = (),
    progress: Progress = silent,
) -> Path:
    """Write a result, a recording or another store for other tools; the path of the file comes back.

    `netcdf`: NetCDF-4, with the store's groups. `hyperspy`: images, patterns and spectra as signals. `csv`: one line per site.
    What is larger than memory passes in pieces.

    Args:
        path: a finished store.
        to: the tool.
        target: the file, or an object; beside the store when empty.
        groups: names of the groups to write, the root being `root`; all of them when empty.
        progress: told of bytes.

    Raises:
        StoreError: there is no finished store at `path`.
        InputError: the file cannot be written, a group does not exist, or there is nothing for that tool.
    """
    opened = _with_origin(open_groups(path, groups), path)
    total = sum(v.nbytes for each in opened.values() for v in each.data_vars.values())
    file = target or path.with_suffix(SUFFIXES[to])
    write = partial(WRITERS[to], opened, tell=_telling(total, progress))
    if isinstance(file, ObjectPath):
        with tempfile.TemporaryDirectory(prefix="invae-export-") as folder:
            upload(_written(Path(folder) / file.name, write), file)
    else:
        _written(file, write)
    progress(total, total)
    return file


def _written(file: Path, write: Callable[[Path], None]) -> Path:
    """The file, whole or not at all."""
    hidden = file.with_name(f".{file.name}.partial")
    try:
        hidden.unlink(missing_ok=True)
        write(hidden)
        hidden.rename(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        hidden.unlink(missing_ok=True)
    return file


def _with_origin(groups: Mapping[str, xr.Dataset], path: Path) -> Mapping[str, xr.Dataset]:
    """The groups; where the root is not among them, each with its attributes: provenance, beam energy."""
    if "" in groups:
        return groups
    root = open_store(path).attrs
    return {name: each.assign_attrs({**root, **each.attrs}) for name, each in groups.items()}


def _telling(total: int, progress: Progress) -> Tell:
    """Adds up the bytes that are done."""
    done = 0

    def tell(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        progress(done, total)

    return tell
