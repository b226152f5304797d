"""Export of stores for other tools."""

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
    """Writes groups of a store into a new file, and reports the written bytes."""

    def __call__(self, groups: Mapping[str, xr.Dataset], file: Path, *, tell: Tell) -> None: ...


WRITERS: Mapping[str, Write] = {
    "netcdf": write_netcdf,
    "hyperspy": write_hyperspy,
    "csv": write_csv,
}


def file_beside(path: Path, to: Format) -> Path:
    """The file of an export without a target: next to the store, with the ending of the format."""
    return path.with_suffix(SUFFIXES[to])


def export(
    path: Path,
    *,
    to: Format,
    target: Path | None = None,
    groups: Sequence[str] = (),
    progress: Progress = silent,
) -> Path:
    """Write a result, a recording or another store for other tools, and return the path of the file.

    `netcdf`: NetCDF-4, with the store's groups. `hyperspy`: images, patterns and spectra as signals. `csv`: one line per site.
    Arrays larger than memory are written in pieces.

    Args:
        path: a finished store.
        to: the format.
        target: a file or an object; next to the store when empty.
        groups: names of the groups to write, `root` for the root group; all of them when empty.
        progress: called with bytes.

    Raises:
        StoreError: there is no finished store at `path`.
        InputError: the file cannot be written, a group does not exist, or the store has no data for that format.
    """
    opened = _with_origin(open_groups(path, groups), path)
    total = sum(v.nbytes for each in opened.values() for v in each.data_vars.values())
    file = target or file_beside(path, to)
    write = partial(WRITERS[to], opened, tell=_byte_counter(total, progress))
    if isinstance(file, ObjectPath):
        with tempfile.TemporaryDirectory(prefix="invae-export-") as folder:
            upload(_written(Path(folder) / file.name, write), file)
    else:
        _written(file, write)
    progress(total, total)
    return file


def _written(file: Path, write: Callable[[Path], None]) -> Path:
    """Write the file atomically, and return its path."""
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
    """The groups; without the root group, each gets its attributes: provenance, beam energy."""
    if "" in groups:
        return groups
    root = open_store(path).attrs
    return {name: each.assign_attrs({**root, **each.attrs}) for name, each in groups.items()}


def _byte_counter(total: int, progress: Progress) -> Tell:
    """A function that adds up written bytes and reports them."""
    done = 0

    def tell(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        progress(done, total)

    return tell
