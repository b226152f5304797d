"""TopSpin (NanoMEGAS): .app5, HDF5 with a group for each pattern of a precession scan, and virtual images as datasets.

XML next to every pattern holds its calibration: angle along both axes of the detector, and the probe's position [m].

Source: rosettasciio (reader `topspin`) for the positions of these numbers in the XML; it reads a whole scan at once, this reader does not.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import calibration
from invae.readers.formats import hdf5
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, Reader
from invae.readers.scan_shape import SEQUENCE, named_by_kind

ERRORS = (*hdf5.ERRORS, ElementTree.ParseError)
METADATA = "Metadata"
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NM = 1e9
_UNITS = {"mrads": "mrad", "rads": "rad"}


def _recognises(path: Path, head: bytes) -> bool:
    if not head.startswith(hdf5.SIGNATURE):
        return False
    return path.suffix.lower() == ".app5" or any(map(_GUID.fullmatch, hdf5.top_names(path)))


def _read(path: Path) -> Raw:
    with h5py.File(path, "r") as file:
        hdf5.refuse_links(file, path)  # each dataset is checked as it is read: there are very many
        signals = list(_signals(file))
        scans = [item for _, item in signals if isinstance(item, h5py.Group)]
        channels = [_channel(title, item, path) for title, item in signals]
        if not channels:
            raise InputError(f"{path}: holds neither a scan nor an image; export them from TopSpin")
        metadata = _metadata(file)
        if not scans:
            return Raw(named_by_kind(channels), metadata=metadata)
        shape, steps = _scan_shape(scans[0])
        axes = _detector_axes(scans[0])
    sizes = zip((dims.SCAN_Y, dims.SCAN_X), shape, steps, strict=True)
    axes |= calibration.calibrated({
        dim: calibration.axis(dim, max(n, 2), step, "nm") for dim, n, step in sizes
    })  # fmt: skip
    return Raw(named_by_kind(channels), axes, metadata, modality="4D-STEM", scan_shape=shape)


def _signals(file: h5py.File) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Scans and images of all experiments in a file."""
    groups = [file] if METADATA in file else [file[name] for name in _guids(file)]
    for group in groups:
        assert isinstance(group, h5py.Group)
        for name in _guids(group):
            item = group[name]
            if isinstance(item, h5py.Dataset) and item.ndim == 2:
                yield f"image {name[:8]}", item
            elif isinstance(item, h5py.Group) and "0/Data" in item:
                yield f"pattern {name[:8]}", item


def _guids(group: h5py.Group) -> list[str]:
    """Names in a group that identify experiments or signals."""
    return [name for name in map(str, group) if _GUID.fullmatch(name)]


def _channel(title: str, item: h5py.Group | h5py.Dataset, path: Path) -> Channel:
    name = str(item.name)
    if isinstance(item, h5py.Dataset):
        hdf5.refuse_elsewhere(item, path)
        read = partial(hdf5.read_dataset, path, name)
        return Channel(title, Pixels(path, item.shape, item.dtype, read, ERRORS), (dims.Y, dims.X))
    first = item["0/Data"]
    assert isinstance(first, h5py.Dataset)
    missing = next((n for n in range(len(item)) if str(n) not in item), None)
    if missing is not None:
        raise InputError(
            f"{path}: pattern {missing} of {len(item)} is missing; export the scan again when it "
            "is finished"
        )
    read = partial(_read_patterns, path, name)
    pixels = Pixels(path, (len(item), *first.shape), first.dtype, read, ERRORS)
    return Channel(title, pixels, SEQUENCE)


def _read_patterns(path: Path, name: str, key: Key) -> np.ndarray:
    """The values under a key (frame, k_y, k_x), pattern by pattern."""
    with h5py.File(path, "r") as file:
        group = file[name]
        assert isinstance(group, h5py.Group)
        first = group["0/Data"]
        assert isinstance(first, h5py.Dataset)
        numbers = range(len(group))[key[0]]
        if not numbers:
            return np.empty((0, *first.shape), first.dtype)[(slice(None), *key[1:])]
        return np.stack([_pattern(group, n, path)[key[1:]] for n in numbers])


def _pattern(group: h5py.Group, n: int, path: Path) -> h5py.Dataset:
    data = group[f"{n}/Data"]
    assert isinstance(data, h5py.Dataset)
    hdf5.refuse_elsewhere(data, path)
    return data


def _xml(group: h5py.Group, n: int) -> ElementTree.Element:
    dataset = group[f"{n}/{METADATA}"]
    assert isinstance(dataset, h5py.Dataset)
    return ElementTree.fromstring(hdf5.text(dataset[()]))


def _detector_axes(group: h5py.Group) -> dict[str, Axis]:
    """The axes of the detector from the first pattern."""
    data, described = group["0/Data"], _xml(group, 0)[0]
    assert isinstance(data, h5py.Dataset)
    axes: dict[str, Axis | None] = {}
    for dim, n, axis in zip((dims.K_Y, dims.K_X), data.shape, described, strict=False):
        start, step = float(axis[0].text or 0), float(axis[1].text or 0)
        units = axis[2][1].text or ""
        axes[dim] = calibration.axis(dim, n, step, _UNITS.get(units, units), start=start)
    return calibration.calibrated(axes)


def _scan_shape(group: h5py.Group) -> tuple[tuple[int, int], tuple[float, float]]:
    """Rows and columns, and their steps [nm]: a row ends where the position along y changes."""
    n_patterns = len(group)
    first = _position(group, 0)
    second = _position(group, 1) if n_patterns > 1 else first
    for n in range(1, n_patterns):
        position = _position(group, n)
        if position[0] != first[0]:
            return (-(-n_patterns // n), n), (position[0] - first[0], second[1] - first[1])
    return (1, n_patterns), (0.0, second[1] - first[1])


def _position(group: h5py.Group, n: int) -> tuple[float, float]:
    """Position of the probe (y, x) [nm]."""
    position = _xml(group, n)[1][0][1]
    return float(position[1].text or 0) * _NM, float(position[0].text or 0) * _NM


def _metadata(file: h5py.File) -> dict[str, Any]:
    """Texts and numbers of the experiment's XML, by name."""
    dataset = file.get(METADATA)
    if not isinstance(dataset, h5py.Dataset):
        return {}
    root = ElementTree.fromstring(hdf5.text(dataset[()]))
    items = {item.findtext("Name"): item.find("Value") for item in root.iter("Item")}
    values = {name: value.text for name, value in items.items() if name and value is not None}
    plain = {element.tag: element.text for element in root if not len(element)}
    return {name: text for name, text in {**plain, **values}.items() if text and text.strip()}


READER = Reader(
    name="app5",
    extensions=(".app5",),
    description="TopSpin (NanoMEGAS) precession scans and virtual images",
    recognises=_recognises,
    read=_read,
    errors=ERRORS,
)
