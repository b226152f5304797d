"""What the HDF5 formats share: recognition, refusal of links out of the file, and values by the name of a dataset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import h5py.h5d
import h5py.h5l
import h5py.h5o
import numpy as np

from invae.errors import InputError
from invae.readers.raw import Key

SIGNATURE = b"\x89HDF\r\n\x1a\n"
ERRORS = (RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What h5py raises on damaged files, in addition to OSError."""


def top_names(path: Path) -> set[str]:
    """Names of the groups and attributes at the root of a file; damaged files have none."""
    try:
        with h5py.File(path, "r") as file:
            return {*file.keys(), *file.attrs.keys()}
    except (OSError, *ERRORS):
        return set()


def text(value: Any) -> str:
    """The text of an attribute or a scalar, however it is stored."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def datasets(file: h5py.File) -> Iterator[h5py.Dataset]:
    """All datasets of a file, in the order of their names; no group is opened, of which there may be very many."""
    names: list[bytes] = []

    def collect(name: bytes, info: Any) -> None:
        if info.type == h5py.h5o.TYPE_DATASET:
            names.append(name)

    h5py.h5o.visit(file.id, collect, info=True)
    return (h5py.Dataset(h5py.h5d.open(file.id, name)) for name in names)


def refuse_links(file: h5py.File, path: Path) -> None:
    """Refuse a file with links to other files: a link could lead to any file on this computer.

    Raises:
        InputError: If there is such a link.
    """
    name = file.id.links.visit(_external_name, info=True)
    if name is not None:
        raise InputError(
            f"{path}: {text(name)} is a link to another file, which is refused; copy its data into this file"
        )


def refuse_outside(file: h5py.File, path: Path) -> None:
    """Refuse a file with links to other files, or with a dataset whose values are in another file.

    Raises:
        InputError: If there is one.
    """
    refuse_links(file, path)
    for dataset in datasets(file):
        refuse_elsewhere(dataset, path)


def _external_name(name: bytes, info: Any) -> bytes | None:
    return name if info.type == h5py.h5l.TYPE_EXTERNAL else None


def refuse_elsewhere(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset whose values are in another file.

    Raises:
        InputError: If they are.
    """
    if dataset.external or dataset.is_virtual:
        raise InputError(
            f"{path}: {dataset.name} stores its values in another file, which is refused; copy "
            "them into this file"
        )


def read_dataset(path: Path, name: str, key: Key) -> np.ndarray:
    """The values of a dataset under a key; the file is open only while they are read."""
    with h5py.File(path, "r") as file:
        return file[name][key]  # type: ignore[index]


def says_netcdf(path: Path) -> bool:
    """Whether an HDF5 file declares itself to be NetCDF-4; damaged files do not."""
    try:
        with h5py.File(path, "r") as file:
            return "_NCProperties" in file.attrs
    except (OSError, *ERRORS):
        return False
