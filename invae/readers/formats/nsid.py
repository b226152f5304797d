"""NSID: HDF5 of pyNSID and sidpy, with one main dataset per channel and dimension scales.

The names of the scales distinguish spatial axes, spectral axes and time. Between the two axes of an image the order in the file
counts, not the names: see `_as_shown`.
"""

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
    read_dataset,
    refuse_outside,
    says_netcdf,
    text,
)
from invae.readers.raw import Axis, Channel, Pixels, Raw, Reader

_FRAME_TYPES = ("TEMPORAL", "TIME", "FRAME")
_SPATIAL = {"x": dims.X, "y": dims.Y}
LENGTHS = (dims.Y, dims.X)


def _recognises(path: Path, head: bytes) -> bool:
    """Whether it is HDF5 that is not NetCDF."""
    return head.startswith(SIGNATURE) and not says_netcdf(path)


def _read(path: Path) -> Raw:
    with h5py.File(path, "r") as file:
        refuse_outside(file, path)
        main = [dataset for dataset in datasets(file) if _is_main(dataset)]
        if not main:
            raise InputError(
                f"{path}: holds no dataset with NSID's dimension scales and units; write it with "
                "pyNSID, or store the images as .npy with a .json"
            )
        channels, axes = [], {}
        for dataset in main:
            own_axes = _axes(dataset, path)
            channels.append(_channel(dataset, tuple(own_axes), path))
            for dim, axis in own_axes.items():
                if axis is not None:
                    _agree(axes.setdefault(dim, axis), axis, dim, dataset, path)
                    if dim in LENGTHS and labels.nanometres(axes[dim].units) is None:
                        axes[dim] = axis  # some exporters write the unit of the channel on its axes
        metadata = _metadata(main)
        return Raw(tuple(channels), axes, metadata, labels.igor_time(metadata))


def _is_main(dataset: h5py.Dataset) -> bool:
    if "CLASS" in dataset.attrs:  # scales have a quantity too
        return False
    return "quantity" in dataset.attrs and "units" in dataset.attrs


def _channel(dataset: h5py.Dataset, names: tuple[str, ...], path: Path) -> Channel:
    name = str(dataset.name)
    pixels = Pixels(path, dataset.shape, dataset.dtype, partial(read_dataset, path, name), ERRORS)
    label, units = text(dataset.attrs["quantity"]), text(dataset.attrs["units"])
    return Channel(label, pixels, names, units)


def _axes(dataset: h5py.Dataset, path: Path) -> dict[str, Axis | None]:
    """The axes of a main dataset in its own order, by invae's names; none where no scale is attached."""
    axes: dict[str, Axis | None] = {}
    for position, dimension in enumerate(dataset.dims):
        scale = dimension[0] if len(dimension) else None
        name = text(dimension.label) or (
            text(scale.attrs.get("name", "")) if scale is not None else ""
        )
        kind = text(scale.attrs.get("dimension_type", "")) if scale is not None else ""
        dim = _dim(name, kind)
        if dim in axes or not dim:
            raise InputError(
                f"{path}: axis {position} of {dataset.name} is called {name!r}; "
                "give every axis a name of its own"
            )
        units = text(scale.attrs.get("units", "")) if scale is not None else ""
        axes[dim] = Axis(scale[()], units) if scale is not None else None
    return _as_shown(axes)


def _as_shown(axes: dict[str, Axis | None]) -> dict[str, Axis | None]:
    """The first image axis is y and the second x, whatever their names.

    Exporters write the image as displayed, rows first, and call its axes x and y in that order. Going by the names would mirror the
    image about its diagonal, and with it every direction measured in it.
    """
    image = [dim for dim in axes if dim in (dims.Y, dims.X)]
    if image != [dims.X, dims.Y]:
        return axes
    swapped = {dims.X: dims.Y, dims.Y: dims.X}
    return {swapped.get(dim, dim): axis for dim, axis in axes.items()}


def _dim(name: str, kind: str) -> str:
    lower = labels.channel_name(name)[0] if name else ""
    if lower in _SPATIAL:
        return _SPATIAL[lower]
    if kind.upper() in _FRAME_TYPES or lower in ("time", "frame", "t", "z"):
        return dims.FRAME
    return spectra.NAMES.get(lower, lower)


def _agree(first: Axis, axis: Axis, dim: str, dataset: h5py.Dataset, path: Path) -> None:
    if first is axis:
        return
    same_length = len(first.values) == len(axis.values)
    if same_length and not np.allclose(first.values, axis.values, rtol=1e-6, atol=0):
        raise InputError(
            f"{path}: {dataset.name} ends at {axis.values[-1]:g} along {dim}, the first channel at "
            f"{first.values[-1]:g}; export channels of one scan"
        )


def _metadata(main: list[h5py.Dataset]) -> dict[str, Any]:
    """The instrument's metadata of the first channel."""
    group = main[0].parent
    assert isinstance(group, h5py.Group)
    original = group.get("original_metadata")
    metadata = dict(original.attrs) if isinstance(original, h5py.Group) else {}
    for name in ("modality", "source"):
        if name in main[0].attrs:
            metadata[name] = main[0].attrs[name]
    return metadata


READER = Reader(
    name="nsid",
    extensions=(".h5", ".hdf5", ".hf5"),
    description="NSID (pyNSID, sidpy): HDF5 with one labelled dataset per channel",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
