"""HyperSpy's signals in HDF5 (.hspy) and Zarr (.zspy): groups of attributes, one for each axis, and `data`."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

from invae.errors import InputError
from invae.readers.formats import hdf5, rosettasciio
from invae.readers.raw import Key, Raw, Reader

EXPERIMENTS = "Experiments"
"""Group with one group for each signal."""
UNNAMED = "__unnamed__"
ERRORS = (*hdf5.ERRORS, EOFError, NotImplementedError)

Group = h5py.Group | zarr.Group


def _is_hspy(path: Path, head: bytes) -> bool:
    names = {EXPERIMENTS, "file_format"}
    return head.startswith(hdf5.SIGNATURE) and names <= hdf5.top_names(path)


def _is_zspy(path: Path, head: bytes) -> bool:
    stored = any((path / name).is_file() for name in (".zgroup", "zarr.json"))
    return not head and stored and (path / EXPERIMENTS).is_dir()


def _read_hspy(path: Path) -> Raw:
    with h5py.File(path, "r") as file:
        hdf5.refuse_outside(file, path)
        return _raw(file, path, hdf5.read_dataset)


def _read_zspy(path: Path) -> Raw:
    return _raw(zarr.open_group(path, mode="r"), path, _read_zarr)


def _read_zarr(path: Path, name: str, key: Key) -> np.ndarray:
    array = zarr.open_group(path, mode="r")[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[key])


def _raw(file: Group, path: Path, read: Any) -> Raw:
    """The signals of a file in rosettasciio's form, without the values."""
    experiments: Any = file[EXPERIMENTS]
    titles = [title for title in sorted(experiments) if "data" in experiments[title]]
    signals, reads = [], []
    for title in titles:
        group = experiments[title]
        data = group["data"]
        signals.append({
            "data": data,
            "axes": [_axis(group, n, data.shape[n], path) for n in range(data.ndim)],
            "metadata": _metadata(group["metadata"]) if "metadata" in group else {},
        })  # fmt: skip
        signals[-1]["metadata"].setdefault("General", {}).setdefault(
            "title", "" if title == UNNAMED else title
        )
        reads.append(partial(read, path, f"{EXPERIMENTS}/{title}/data"))
    return rosettasciio.raw_of(signals, reads, path)


def _axis(group: Any, n: int, size: int, path: Path) -> dict[str, Any]:
    """One axis, with its positions if they are not evenly spaced."""
    name = f"axis-{n}"
    if name not in group:
        raise InputError(f"{path}: {group.name} does not describe axis {n}; save it again")
    axis = _attrs(group[name])
    axis |= {"size": size, "scale": axis.get("scale", 1.0), "offset": axis.get("offset", 0.0)}
    if "axis" in group[name]:
        axis["axis"] = group[name]["axis"][...]
    return axis


def _metadata(group: Any) -> dict[str, Any]:
    """Attributes of a group and of its subgroups by name; arrays and signals in them are left out."""
    metadata = _attrs(group)
    for name in group:
        if hasattr(group[name], "keys") and not str(name).startswith("_"):
            metadata[str(name)] = _metadata(group[name])
    return metadata


def _attrs(group: Any) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in dict(group.attrs).items()}


def _plain(value: Any) -> Any:
    """Numbers and texts as Python types; an undefined unit becomes an empty text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    undefined = value in ("<undefined>", "None") if isinstance(value, str) else False
    return "" if undefined or (isinstance(value, float) and math.isnan(value)) else value


def _reader(name: str, container: str, recognises: Any, read: Any) -> Reader:
    description = f"HyperSpy signals in {container}"
    return Reader(name, (f".{name}",), description, recognises, read, ERRORS)


HSPY = _reader("hspy", "HDF5", _is_hspy, _read_hspy)
ZSPY = _reader("zspy", "Zarr", _is_zspy, _read_zspy)
