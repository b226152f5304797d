"""USID: HDF5 of pyUSID, with one row per position and one column per spectroscopic step.

A main dataset names four tables: which position each row has, which spectroscopic step each column has, and their values. Rows
come in any order. Columns stay in the order of the file, which is that of the measurement.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels, spectra
from invae.readers.formats.hdf5 import (
    ERRORS,
    SIGNATURE,
    datasets,
    refuse_outside,
    text,
    top_names,
)
from invae.readers.raw import Axis, Channel, Coordinate, Key, Pixels, Raw, Reader

TABLES = ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")
SPARSE = 0.5
"""Share of a grid below which positions are points rather than a grid with gaps."""
DENSE = 4
"""Rows between two wanted rows that are read too, since one long read is faster than many short ones."""


@dataclass(frozen=True)
class _Table:
    """Indices and values along the rows or the columns, one column for each dimension."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    indices: np.ndarray
    """(item, dimension)"""
    values: np.ndarray
    """(item, dimension)"""


@dataclass(frozen=True)
class _Rows:
    """Where the rows of the main datasets are on the grid, or one row for each point."""

    names: tuple[str, ...]
    """Axes of positions: (y, x) or (point)."""
    row: np.ndarray
    """Number of the row at every place; -1 where there is none."""
    axes: Mapping[str, Axis]
    coordinates: Mapping[str, Coordinate]
    notes: tuple[str, ...] = ()


def _recognises(path: Path, head: bytes) -> bool:
    """Whether HDF5 has a dataset that names the four tables."""
    if not head.startswith(SIGNATURE) or "_NCProperties" in top_names(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            return any(map(_is_main, datasets(file)))
    except (OSError, *ERRORS):
        return False


def _is_main(dataset: h5py.Dataset) -> bool:
    return all(name in dataset.attrs for name in TABLES)


def _read(path: Path) -> Raw:
    with h5py.File(path, "r") as file:
        refuse_outside(file, path)
        main = [dataset for dataset in datasets(file) if _is_main(dataset)]
        tables = [_tables(dataset, path) for dataset in main]
        chosen = _chosen(main, [table for _, table in tables])
        left_out = [str(d.name) for n, d in enumerate(main) if n not in chosen]
        positions, columns = tables[chosen[0]]
        rows = _rows(positions, path)
        axis, values, coordinates = _columns(columns)
        channels = [
            channel
            for n in chosen
            for channel in _channels(main[n], rows, axis, path)
        ]  # fmt: skip
        metadata = _metadata(main[chosen[0]])
    notes = [*rows.notes]
    if left_out:
        notes.append(f"datasets with other axes were left out: {', '.join(left_out)}")
    axes = {**rows.axes} if axis is None else {**rows.axes, axis: values}
    return Raw(
        tuple(channels),
        axes,
        metadata,
        notes=tuple(notes),
        coordinates={**rows.coordinates, **coordinates},
    )


def _tables(dataset: h5py.Dataset, path: Path) -> tuple[_Table, _Table]:
    """The tables of rows and of columns of a main dataset."""
    if dataset.ndim != 2:
        raise InputError(
            f"{path}: {dataset.name} has {dataset.ndim} axes, but USID has 2; export it again"
        )
    parts = [_part(dataset, name, path) for name in TABLES]
    for (n, kind), part in zip(
        ((0, "rows"), (0, "rows"), (1, "columns"), (1, "columns")), parts, strict=True
    ):
        if len(part[2]) != dataset.shape[n]:
            raise InputError(
                f"{path}: {dataset.name} has {dataset.shape[n]} {kind}, but its table has "
                f"{len(part[2])}; export it again"
            )
    (names, units, rows), (_, _, places), (steps, step_units, columns), (_, _, at) = parts
    return _Table(names, units, rows, places), _Table(steps, step_units, columns, at)


def _part(
    dataset: h5py.Dataset, name: str, path: Path
) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Labels, units and values (item, dimension) of one table."""
    assert isinstance(dataset.file, h5py.File)
    table = dataset.file[dataset.attrs[name]]
    assert isinstance(table, h5py.Dataset)
    values = np.atleast_2d(table[()])
    values = values.T if name.startswith("Spectroscopic") else values
    names = tuple(text(label) for label in np.atleast_1d(table.attrs.get("labels", ())))
    units = tuple(text(unit) for unit in np.atleast_1d(table.attrs.get("units", ())))
    n = values.shape[1]
    if len(names) != n or values.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: {table.name} has {n} dimensions, but {len(names)} labels; export it again"
        )
    return names, (*units, *[""] * n)[:n], values


def _chosen(datasets: Sequence[h5py.Dataset], columns: Sequence[_Table]) -> list[int]:
    """The main datasets with the same axes as the one with spectra over a bias, or as the largest one."""
    kinds = [(table.names, dataset.shape) for dataset, table in zip(datasets, columns, strict=True)]
    swept = [n for n, table in enumerate(columns) if _axis_of(table) == "voltage"]
    plain = [n for n in swept if "frequency" not in map(spectra.axis_name, columns[n].names)]
    candidates = plain or swept or range(len(datasets))
    first = max(candidates, key=lambda n: (datasets[n].size or 0, -n))
    return [n for n, kind in enumerate(kinds) if kind == kinds[first]]


def _axis_of(columns: _Table) -> str | None:
    """The axis of the spectra; none if there is one column."""
    if len(columns.values) < 2:
        return None
    names = [spectra.axis_name(name) for name in columns.names]
    sizes = {
        name: len(np.unique(columns.indices[:, n])) for n, name in enumerate(names)
    }  # fmt: skip
    return spectra.choose_axis(names, sizes)


def _columns(columns: _Table) -> tuple[str | None, Axis, dict[str, Coordinate]]:
    """Name and values of the axis of the spectra, and the other spectroscopic dimensions along it."""
    axis = _axis_of(columns)
    if axis is None:
        return None, Axis(np.zeros(1), ""), {}
    coordinates, values = {}, Axis(np.zeros(0), "")
    for n, label in enumerate(columns.names):
        name, units = spectra.axis_name(label), columns.units[n]
        if name == axis:
            values = Axis(columns.values[:, n].astype(float), _known(units))
        else:
            coordinates[name] = spectra.along(
                columns.values[:, n], axis, long_name=label, units=_known(units) or "1"
            )
    return axis, values, coordinates


def _known(units: str) -> str:
    """A unit that is known; otherwise none."""
    return units if labels.canonical_units(units) is not None else ""


def _rows(positions: _Table, path: Path) -> _Rows:
    """The grid of positions, or points if most of the grid would be empty.

    Raises:
        InputError: If two rows have the same position, or positions have more than two dimensions.
    """
    used = [n for n in range(len(positions.names)) if len(np.unique(positions.indices[:, n])) > 1]
    used = used or list(range(min(2, len(positions.names))))
    if len(used) > 2:
        names = ", ".join(positions.names[n] for n in used)
        raise InputError(
            f"{path}: positions have the dimensions {names}; select one grid (y, x) of them"
        )
    y, x = _y_and_x(positions, used)
    index = [
        np.unique(positions.indices[:, n], return_inverse=True)[1].ravel()
        if n is not None
        else np.zeros(len(positions.indices), dtype=int)
        for n in (y, x)
    ]
    shape = (int(index[0].max()) + 1, int(index[1].max()) + 1)
    _refuse_duplicates(index, shape, path)
    n_rows = len(positions.indices)
    if n_rows < SPARSE * shape[0] * shape[1]:
        return _at_points(positions, (y, x))
    row = np.full(shape, -1)
    row[index[0], index[1]] = np.arange(n_rows)
    axes = {
        dim: axis
        for dim, n, which in ((dims.Y, y, index[0]), (dims.X, x, index[1]))
        if n is not None and (axis := _position_axis(positions, n, which)) is not None
    }
    missing = shape[0] * shape[1] - n_rows
    notes = (f"{missing} positions of the grid were not measured; they are NaN",) if missing else ()
    return _Rows((dims.Y, dims.X), row, axes, {}, notes)


def _y_and_x(positions: _Table, used: Sequence[int]) -> tuple[int | None, int | None]:
    """Which dimensions of the positions are y and x: by name, otherwise the one that varies fastest is x."""
    names = {n: positions.names[n].strip().lower() for n in used}
    x = next((n for n in used if names[n].startswith(("x", "col"))), None)
    y = next((n for n in used if names[n].startswith(("y", "row"))), None)
    rest = [n for n in used if n not in (x, y)]
    if x is None and rest:
        x = rest.pop(0)
    if y is None and rest:
        y = rest.pop(0)
    return y, x


def _refuse_duplicates(index: Sequence[np.ndarray], shape: tuple[int, int], path: Path) -> None:
    flat = np.ravel_multi_index((index[0], index[1]), shape)
    places, counts = np.unique(flat, return_counts=True)
    if counts.max(initial=1) > 1:
        y, x = np.unravel_index(places[counts.argmax()], shape)
        raise InputError(
            f"{path}: {counts.max()} rows have the same position ({y}, {x}); average them, or export "
            "each pass on its own"
        )


def _position_axis(positions: _Table, n: int, index: np.ndarray) -> Axis | None:
    """Positions along an axis [unit of the file]; none without a length as unit."""
    if labels.nanometres(positions.units[n]) is None:
        return None
    values = np.zeros(int(index.max()) + 1)
    values[index] = positions.values[:, n]
    if len(values) > 1 and not np.ptp(values):
        return None
    return Axis(values, positions.units[n])


def _at_points(positions: _Table, axes: tuple[int | None, int | None]) -> _Rows:
    coordinates = {
        name: spectra.along(
            positions.values[:, n], dims.POINT, long_name=positions.names[n],
            units=positions.units[n],
        )
        for name, n in zip((spectra.POINT_Y, spectra.POINT_X), axes, strict=True)
        if n is not None
    }  # fmt: skip
    return _Rows((dims.POINT,), np.arange(len(positions.values)), {}, coordinates)


def _channels(
    dataset: h5py.Dataset, rows: _Rows, axis: str | None, path: Path
) -> Iterator[Channel]:
    """The channels of a main dataset: one per field of a record, two of complex numbers."""
    label, units = (
        text(dataset.attrs.get("quantity", "signal")),
        text(dataset.attrs.get("units", "")),
    )
    names = rows.names if axis is None else (*rows.names, axis)
    fields: Sequence[str | None] = dataset.dtype.names or (None,)
    for field in fields:
        dtype = dataset.dtype if field is None else dataset.dtype[field]
        parts = ("amplitude", "phase") if dtype.kind == "c" else ("",)
        for part in parts:
            own = np.dtype(f"f{dtype.itemsize // 2}") if part else dtype
            if (rows.row < 0).any() and own.kind != "f":
                own = np.dtype("f8")
            read = partial(_read_pixels, path, str(dataset.name), rows.row, field, part, own)
            shape = rows.row.shape if axis is None else (*rows.row.shape, dataset.shape[1])
            name = label if field is None else field.partition(" [")[0]
            title = " ".join(filter(None, (name, part)))
            unit = "rad" if part == "phase" else units if field is None else _field_units(field)
            yield Channel(title, Pixels(path, shape, own, read, ERRORS), names, unit)


def _field_units(field: str) -> str:
    """The unit that pycroscopy writes in brackets behind the name of a field; none otherwise."""
    return _known(field.rpartition("[")[2].rstrip("] ")) if "[" in field else ""


def _read_pixels(
    path: Path,
    name: str,
    row: np.ndarray,
    field: str | None,
    part: str,
    dtype: np.dtype[Any],
    key: Key,
) -> np.ndarray:
    """The values at some places of the grid, from rows in the order of the file."""
    wanted = row[key[: row.ndim]]
    columns = key[row.ndim] if len(key) > row.ndim else slice(0, 1)
    numbers, inverse = np.unique(wanted[wanted >= 0], return_inverse=True)
    with h5py.File(path, "r") as file:
        dataset = file[name]
        assert isinstance(dataset, h5py.Dataset)
        stored = _rows_of(dataset, numbers, columns)
    stored = stored if field is None else stored[field]
    if part:
        stored = np.abs(stored) if part == "amplitude" else np.angle(stored)
    values = np.full((*wanted.shape, stored.shape[1]), np.nan if dtype.kind == "f" else 0, dtype)
    values[wanted >= 0] = stored[inverse]
    return values if len(key) > row.ndim else values[..., 0]


def _rows_of(dataset: h5py.Dataset, numbers: np.ndarray, columns: slice) -> np.ndarray:
    """Some rows of a dataset, given by increasing numbers."""
    if not len(numbers):
        return dataset[:0, columns]
    first, last = int(numbers[0]), int(numbers[-1])
    if last - first < DENSE * len(numbers):
        return dataset[first : last + 1, columns][numbers - first]
    return dataset[numbers, columns]


def _metadata(dataset: h5py.Dataset) -> dict[str, Any]:
    """The attributes of the groups around a main dataset, the outermost first."""
    metadata: dict[str, Any] = {}
    group = dataset.parent
    chain = []
    while isinstance(group, h5py.Group):
        chain.append(dict(group.attrs))
        if group.name == "/":
            break
        group = group.parent
    for attrs in reversed(chain):
        metadata |= {key: value for key, value in attrs.items() if np.size(value) <= 64}
    return metadata


READER = Reader(
    name="usid",
    extensions=(".h5", ".hdf5"),
    description="USID (pyUSID): HDF5 with one row per position and one column per step",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
