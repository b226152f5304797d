"""Velox (Thermo Fisher): .emd, HDF5 with one group per image. The last axis is the frame; the metadata are JSON in bytes.

Images and series are read. Spectrum images, which Velox stores as streams of events, and complex images (FFT, DPC) are not.
"""

import json
from collections.abc import Mapping
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
        channels = [_channel(path, datasets[name], _title(metadata[name])) for name in real]
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


def _title(metadata: Mapping[str, Any]) -> str:
    """The name of the detector."""
    number = metadata.get("BinaryResult", {}).get("DetectorIndex", 0)
    return str(
        metadata.get("Detectors", {}).get(f"Detector-{number}", {}).get("DetectorName", "image")
    )


def _channel(path: Path, data: Any, title: str) -> Channel:
    rows, columns, frames = data.shape
    read = partial(_read_pixels, path, str(data.name), frames != 1)
    shape = (rows, columns) if frames == 1 else (frames, rows, columns)
    pixels = Pixels(path, shape, data.dtype, read, hdf5.ERRORS)
    return Channel(title, pixels, SINGLE if frames == 1 else FRAMED)


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
