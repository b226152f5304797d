"""HDF5 as several formats have it: how such files are known, and values by the name of their dataset."""

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from invae.errors import InputError
from invae.readers.raw import Key

SIGNATURE = b"\x89HDF\r\n\x1a\n"
ERRORS = (RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What h5py raises on damaged files, beside OSError."""


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


def refuse_links(file: h5py.File, path: Path) -> None:
    """Refuse a file with parts that lie in other files: they could be anybody's, wherever they lie.

    Raises:
        InputError: If there is a link out of it.
    """
    found = file.visititems_links(_leads_out)
    if found is not None:
        raise InputError(
            f"{path}: {found} lies in another file, which is refused; copy it into this one"
        )


def refuse_outside(file: h5py.File, path: Path) -> None:
    """Refuse a file with links out of it, or with any dataset whose values are in another file.

    Raises:
        InputError: If there is one.
    """
    refuse_links(file, path)
    file.visititems(partial(_refuse_dataset, path))


def _refuse_dataset(path: Path, _: str, item: h5py.HLObject) -> None:
    if isinstance(item, h5py.Dataset):
        refuse_elsewhere(item, path)


def _leads_out(name: str, link: object) -> str | None:
    return name if isinstance(link, h5py.ExternalLink) else None


def refuse_elsewhere(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset whose values are in another file.

    Raises:
        InputError: If they are.
    """
    if dataset.external or dataset.is_virtual:
        raise InputError(
            f"{path}: {dataset.name} keeps its values in another file, which is refused; copy "
            "them into it"
        )


def read_dataset(path: Path, name: str, key: Key) -> np.ndarray:
    """The values of a dataset under a key; opens the file and closes it again."""
    with h5py.File(path, "r") as file:
        return file[name][key]  # type: ignore[index]


def says_netcdf(path: Path) -> bool:
    """Whether an HDF5 file is a NetCDF-4 file by its own account; damaged files give none."""
    try:
        with h5py.File(path, "r") as file:
            return "_NCProperties" in file.attrs
    except (OSError, *ERRORS):
        return False
