"""Results for other people's tools."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from invae.errors import InputError
from invae.results.hyperspy import write_hyperspy
from invae.results.netcdf import write_netcdf
from invae.results.reading import open_result
from invae.results.table import write_csv

Format = Literal["netcdf", "hyperspy", "csv"]
SUFFIXES: Mapping[str, str] = {"netcdf": ".nc", "hyperspy": ".hspy", "csv": ".csv"}


def export(result: Path, *, to: Format, target: Path | None = None) -> Path:
    """Write a result for other tools, beside it unless `target` says where; the path of the file comes back.

    `netcdf`: all groups, NetCDF-4. `hyperspy`: images and manifolds as signals. `csv`: one line per site.

    Raises:
        StoreError: there is no finished result at `result`.
        InputError: the file cannot be written.
    """
    groups = open_result(result)
    file = target or result.with_suffix(SUFFIXES[to])
    partial = file.with_name(f".{file.name}.partial")
    write = {"netcdf": write_netcdf, "hyperspy": write_hyperspy, "csv": write_csv}[to]
    try:
        partial.unlink(missing_ok=True)
        write(groups, partial)
        partial.rename(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return file
