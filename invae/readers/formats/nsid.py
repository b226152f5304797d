"""NSID: HDF5 of pyNSID and sidpy, with one main dataset per channel and dimension scales.

The names of the scales tell x, y, spectral axes and time, in any order: sidpy writes x first. Two exporters need more, see `_layout`:
SciFiReaders copies Asylum's waves, whose first line is the lowest one, and calls the rows of square Gwyddion images x.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import labels, spectra
from invae.readers.axis_roles import AxisLabel, roles_of
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
ASYLUM_NOTE = {"ScanPoints", "ScanLines"}
"""Entries of the note that Asylum writes into every wave."""
BY_NAME = (
    "the file's axes are x, then y, as sidpy writes them; the image has x along its rows "
    "(set ingest.orientation if this is wrong)"
)
ASYLUM = (
    "the channels are those of an Asylum wave, whose lines run from the bottom to the top; the image is "
    "that of its .ibw (set ingest.orientation if this is wrong)"
)
GWYDDION = (
    "the images are those of Gwyddion, rows first, although the first axis is called x "
    "(set ingest.orientation if this is wrong)"
)


def _recognises(path: Path, head: bytes) -> bool:
    """Whether it is HDF5, but not NetCDF, with a dataset that has a quantity and a unit."""
    return head.startswith(SIGNATURE) and not says_netcdf(path) and _has_main(path)


def _has_main(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return any(_is_main(dataset) for dataset in datasets(file))
    except (OSError, *ERRORS):
        return False


def _read(path: Path) -> Raw:
    with h5py.File(path, "r") as file:
        refuse_outside(file, path)
        main = [dataset for dataset in datasets(file) if _is_main(dataset)]
        if not main:
            raise InputError(
                f"{path}: holds no dataset with NSID's dimension scales and units; write it with "
                "pyNSID, or store the images as .npy with a .json"
            )
        described = [(dataset, _axes(dataset, path)) for dataset in main]
        layout = _layout(described)
        axes: dict[str, Axis] = {}
        channels = []
        for dataset, found in described:
            own_axes = layout.arranged(found)
            channel = _channel(dataset, tuple(own_axes), path)
            channels.append(replace(channel, axes=_lengths(own_axes)))
            for dim, axis in own_axes.items():
                if axis is not None:
                    _agree(axes.setdefault(dim, axis), axis, dim, dataset, path)
                    if dim in LENGTHS and labels.nanometres(axes[dim].units) is None:
                        axes[dim] = axis  # some exporters write the unit of the channel on its axes
        metadata = _metadata(main)
        return Raw(tuple(channels), axes, metadata, labels.igor_time(metadata), notes=layout.notes)


def _lengths(axes: Mapping[str, Axis | None]) -> dict[str, Axis]:
    """The axes of an image that have a length as unit."""
    return {
        dim: axis
        for dim, axis in axes.items()
        if dim in LENGTHS and axis is not None and labels.nanometres(axis.units) is not None
    }


def _is_main(dataset: h5py.Dataset) -> bool:
    if "CLASS" in dataset.attrs:  # scales have a quantity too
        return False
    return "quantity" in dataset.attrs and "units" in dataset.attrs


def _channel(dataset: h5py.Dataset, names: tuple[str, ...], path: Path) -> Channel:
    name = str(dataset.name)
    read = partial(read_dataset, path, name)
    pixels = Pixels(path, dataset.shape, dataset.dtype, read, ERRORS, dataset.chunks)
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
        counted = kind.upper() in _FRAME_TYPES and dim in (dims.Y, dims.X)  # pixels, not positions
        axes[dim] = Axis(scale[()], units) if scale is not None and not counted else None
    return _patterns(dataset, axes)


def _patterns(dataset: h5py.Dataset, axes: dict[str, Axis | None]) -> dict[str, Axis | None]:
    """The axes, named as those of scan and detector if two of them belong to a diffraction plane."""
    kinds = [text(scale[0].attrs.get("dimension_type", "")) for scale in dataset.dims if len(scale)]
    if len(axes) != 4 or len(kinds) != 4 or kinds.count("RECIPROCAL") != 2:
        return axes
    described = [
        AxisLabel(name, "" if axis is None else axis.units, kind != "RECIPROCAL")
        for (name, axis), kind in zip(axes.items(), kinds, strict=True)
    ]
    return dict(zip(roles_of(described).dims, axes.values(), strict=True))


@dataclass(frozen=True)
class _Layout:
    """How the exporter has laid out images."""

    rows_first: bool = False
    """Whether the first axis counts rows although it is called x."""
    upwards: bool = False
    """Whether the first line is the lowest one."""
    notes: tuple[str, ...] = ()

    def arranged(self, axes: dict[str, Axis | None]) -> dict[str, Axis | None]:
        """The axes of a dataset by the names that they have in this layout."""
        if self.rows_first:
            swapped = {dims.X: dims.Y, dims.Y: dims.X}
            axes = {swapped.get(dim, dim): axis for dim, axis in axes.items()}
        y = axes.get(dims.Y)
        if self.upwards and y is not None:
            axes = {**axes, dims.Y: replace(y, flipped=not y.flipped)}
        return axes


def _layout(described: Sequence[tuple[h5py.Dataset, dict[str, Axis | None]]]) -> _Layout:
    """The layout of the images in a file, from what its exporter leaves in it.

    SciFiReaders copies an Asylum wave with its labels (`PhaseRetrace`) and with its note, or with the unit of each channel on x and y.
    A Gwyddion image has the sizes of Gwyddion's fields, or double precision under Asylum's labels.
    """
    first, axes = described[0]
    image = [dim for dim in axes if dim in (dims.Y, dims.X)]
    if image != [dims.X, dims.Y]:
        return _Layout()
    by_asylum = all(labels.channel_name(text(d.attrs["quantity"]))[1] for d, _ in described)
    original = _original(first)
    is_field = {"xres", "yres", "xreal"} <= {*original} or (
        by_asylum and not original and all(d.dtype == np.float64 for d, _ in described)
    )
    if is_field and first.shape[0] == first.shape[1]:
        return _Layout(rows_first=True, notes=(GWYDDION,))
    is_wave = {*original} >= ASYLUM_NOTE or any(_unit_of_values(*part) for part in described)
    if by_asylum and is_wave and not is_field:
        return _Layout(upwards=True, notes=(ASYLUM,))
    return _Layout(notes=(BY_NAME,))


def _unit_of_values(dataset: h5py.Dataset, axes: dict[str, Axis | None]) -> bool:
    """Whether x and y have the unit of the values, which is no length."""
    own = [axis.units for dim, axis in axes.items() if dim in (dims.Y, dims.X) and axis is not None]
    units = text(dataset.attrs["units"])
    return labels.nanometres(units) is None and own == [units, units]


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


def _original(dataset: h5py.Dataset) -> dict[str, Any]:
    """The instrument's own metadata of a channel."""
    group = dataset.parent
    assert isinstance(group, h5py.Group)
    original = group.get("original_metadata")
    return dict(original.attrs) if isinstance(original, h5py.Group) else {}


def _metadata(main: list[h5py.Dataset]) -> dict[str, Any]:
    """The instrument's metadata of the first channel."""
    metadata = _original(main[0])
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
