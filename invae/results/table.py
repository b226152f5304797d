"""The sites of a result as a table."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.errors import InputError
from invae.results.schema import SCHEMA
from invae.results.slabs import Tell


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    units: str
    """1 without a unit."""
    values: np.ndarray
    """(site,)."""

    @property
    def header(self) -> str:
        """Name and unit."""
        return self.name + (f" [{self.units}]" if self.units != "1" else "")


def write_csv(groups: Mapping[str, xr.Dataset], file: Path, *, tell: Tell) -> None:
    """Write one line per site, with units in the header.

    Raises:
        InputError: the store has no sites.
    """
    root = groups.get("", xr.Dataset())
    if dims.SITE not in root.dims:
        raise InputError(
            "a table needs sites, and the store has none; export a result, an embedding or descriptors, or "
            "choose --to netcdf"
        )
    columns = columns_of(root)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([column.header for column in columns])
        writer.writerows(zip(*(column.values for column in columns), strict=True))
    tell(sum(column.values.nbytes for column in columns))


def columns_of(root: xr.Dataset) -> list[Column]:
    """The columns of the sites: all variables with one or a few values per site."""
    narrow = [name for name, variable in root.variables.items() if _is_column(variable)]
    return list(_columns(root[narrow].load()))


def _is_column(variable: xr.Variable) -> bool:
    """Whether a variable has one or a few values per site, or labels them."""
    return variable.ndim == 1 or (variable.dims[:1] == (dims.SITE,) and variable.ndim == 2)


def _columns(sites: xr.Dataset) -> Iterator[Column]:
    """Every column, places first."""
    leading = [name for name in dims.SITE_COORDS if name in sites.variables]
    order = [*leading, *(name for name in SCHEMA[""] if name in sites.variables)]
    order += sorted({str(name) for name in sites.variables} - set(order))
    for name in order:
        variable = sites.variables[name]
        if variable.dims[:1] != (dims.SITE,):
            continue
        units = variable.attrs.get("units", "1")
        values = variable.to_numpy()
        if "flag_meanings" in variable.attrs:
            values = np.array(dims.meanings(variable.attrs))[values]
        if variable.ndim == 1:
            yield Column(str(name), units, values)
            continue
        labels = _labels(sites, str(variable.dims[1]))
        for label, column in zip(labels, values.T, strict=True):
            yield Column(f"{name}_{label}", units, column)


def _labels(dataset: xr.Dataset, dim: str) -> list[str]:
    if dim in dataset.coords and dataset[dim].dtype.kind in "UTO":
        return [str(label) for label in dataset[dim].to_numpy()]
    return [str(number) for number in range(1, dataset.sizes[dim] + 1)]
