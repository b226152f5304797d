"""Velox (Thermo Fisher): .emd, HDF5 with one group per image. The last axis is the frame; the metadata are JSON in bytes.

Images and series are read. Spectrum images, which Velox stores as streams of events, and complex images (FFT, DPC) are not.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import calibration
from invae.readers.formats import hdf5
from invae.readers.raw import Axis, Beam, Channel, Key, Pixels, Raw, Reader
from invae.readers.scan_shape import named_by_kind

IMAGES = "Data/Image"
DISPLAYS, OPERATIONS = "Presentation/Displays/ImageDisplay", "Operations"
FRAMED, SINGLE = (dims.FRAME, dims.Y, dims.X), (dims.Y, dims.X)


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(hdf5.SIGNATURE) and {"Data", "Version"} <= hdf5.top_names(path)


def _read(path: Path) -> Raw:
    with h5py.File(path, "r") as file:
        hdf5.refuse_outside(file, path)
        group = file.get(IMAGES)
        names = list(group) if isinstance(group, h5py.Group) else []
        datasets = {name: file[f"{IMAGES}/{name}/Data"] for name in names}
        metadata = {name: _metadata(file, f"{IMAGES}/{name}/Metadata") for name in names}
        real = [name for name, data in datasets.items() if _is_image(data)]
        if not real:
            raise InputError(
                f"{path}: holds no image of real numbers; export spectrum images as .hspy"
            )
        titles = _titles(file)
        channels = [
            _channel(
                path,
                datasets[name],
                titles.get(name) or _detector(metadata[name]),
                _axes(datasets[name], metadata[name]),
            )
            for name in real
        ]
        first = max(real, key=lambda name: datasets[name].size)  # type: ignore[union-attr]
        axes = _axes(datasets[first], metadata[first])
        n_unread = len(names) - len(real) + ("SpectrumImage" in file["Data"])  # type: ignore[operator]
    scanned = "DwellTime" in metadata[first].get("Scan", {})
    return Raw(
        named_by_kind(channels),
        axes,
        metadata[first],
        _acquired(metadata[first]),
        modality="STEM" if scanned else "TEM",
        notes=(f"{n_unread} spectrum images or complex images were left out",) if n_unread else (),
        beam=_beam(metadata[first]),
    )


def _is_image(data: Any) -> bool:
    return isinstance(data, h5py.Dataset) and data.ndim == 3 and data.dtype.kind in "biuf"


def _metadata(file: h5py.File, name: str) -> dict[str, Any]:
    """The metadata of the first frame."""
    letters = file[name]
    assert isinstance(letters, h5py.Dataset)
    text = np.asarray(letters[:, 0]).tobytes().rstrip(b"\0").decode("utf-8", "replace")
    values = json.loads(text)
    return values if isinstance(values, dict) else {}


def _titles(file: h5py.File) -> dict[str, str]:
    """Titles of images by their names: of the operation that made them, otherwise of their display.

    The detector of a segmented one has the same name for all segments and for what is computed from them.
    """
    titles = {}
    for _, display in _entries(file, DISPLAYS):
        label = display.get("display", {}).get("label", "")
        titles[_last(display.get("dataPath"))] = str(label)
    for kind, operation in _entries(file, OPERATIONS):
        for key in ("dataPath", "unfilteredDataPath"):
            title = _operation_title(kind, operation, filtered=key == "dataPath")
            if title and operation.get(key):
                titles[_last(operation[key])] = title
    return {name: title for name, title in titles.items() if title}


def _entries(file: h5py.File, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON entries below a group, with the name of the group that each is in."""
    for dataset in _datasets(file.get(folder)):
        values = json.loads(hdf5.text(np.asarray(dataset[()]).ravel()[0]))
        if isinstance(values, dict):
            yield str(dataset.name).split("/")[-2], values


def _datasets(group: Any) -> list[h5py.Dataset]:
    """The datasets in a group and its groups; none where there is no group."""
    items = list(group.values()) if isinstance(group, h5py.Group) else []
    inner = [data for item in items for data in _datasets(item)]
    return [item for item in items if isinstance(item, h5py.Dataset) and item.size] + inner


def _operation_title(kind: str, operation: Mapping[str, Any], *, filtered: bool) -> str:
    """What an operation of Velox makes; empty for others."""
    if kind == "SurfaceReconstructionOperation":
        name = "iDPC" if operation.get("integrationMode") == "true" else "dDPC"
        return f"Filtered {name}" if filtered and operation.get("enableFilter") == "true" else name
    if kind == "MathematicsOperation":
        outputs = operation.get("outputs") or [{}]
        return {"0": "A-C", "1": "B-D"}.get(str(outputs[0].get("inputIndex", "")), "")
    if kind == "IntegrationOperation":
        return "DCFI"
    return str(operation.get({"CameraInputOperation": "cameraName"}.get(kind, "detector"), ""))


def _last(path: Any) -> str:
    return str(path or "").rsplit("/", 1)[-1]


def _detector(metadata: Mapping[str, Any]) -> str:
    """The name of the detector."""
    number = metadata.get("BinaryResult", {}).get("DetectorIndex", 0)
    return str(
        metadata.get("Detectors", {}).get(f"Detector-{number}", {}).get("DetectorName", "image")
    )


def _channel(path: Path, data: Any, title: str, axes: Mapping[str, Axis]) -> Channel:
    rows, columns, frames = data.shape
    read = partial(_read_pixels, path, str(data.name), frames != 1)
    shape = (rows, columns) if frames == 1 else (frames, rows, columns)
    pixels = Pixels(path, shape, data.dtype, read, hdf5.ERRORS)
    return Channel(title, pixels, SINGLE if frames == 1 else FRAMED, axes=axes)


def _read_pixels(path: Path, name: str, framed: bool, key: Key) -> np.ndarray:
    """The values under a key (frame, y, x), or (y, x) for a single frame."""
    stored = (*key[1:], key[0]) if framed else (*key, slice(0, 1, 1))
    values = np.moveaxis(hdf5.read_dataset(path, name, stored), -1, 0)
    return values if framed else values[0]


def _axes(data: Any, metadata: Mapping[str, Any]) -> dict[str, Axis]:
    """Size of a pixel, and time between frames."""
    result, scan = metadata.get("BinaryResult", {}), metadata.get("Scan", {})
    size, units = result.get("PixelSize", {}), str(result.get("PixelUnitX", ""))
    rows, columns, frames = data.shape
    axes = {
        dims.Y: calibration.axis(dims.Y, rows, float(size.get("height", 0)), units),
        dims.X: calibration.axis(dims.X, columns, float(size.get("width", 0)), units),
        dims.FRAME: calibration.axis(dims.FRAME, frames, float(scan.get("FrameTime", 0)), "s"),
    }
    return {dim: axis for dim, axis in calibration.calibrated(axes).items() if axis.values.any()}


def _acquired(metadata: Mapping[str, Any]) -> datetime | None:
    start = metadata.get("Acquisition", {}).get("AcquisitionStartDatetime", {}).get("DateTime")
    return None if not start else datetime.fromtimestamp(int(start), UTC).replace(tzinfo=None)


def _beam(metadata: Mapping[str, Any]) -> Beam:
    """The beam from volts and radians."""
    optics = metadata.get("Optics", {})
    energy, angle = (float(optics.get(n) or 0) for n in ("AccelerationVoltage", "BeamConvergence"))
    return Beam(energy / 1e3 or None, angle * 1e3 or None)


READER = Reader(
    name="velox",
    extensions=(".emd",),
    description="Velox images and series",
    recognises=_recognises,
    read=_read,
    errors=(*hdf5.ERRORS, AssertionError, OverflowError),
)
