"""Velox (Thermo Fisher): .emd, HDF5 with one group for each image; its last axis is the frame, its metadata are JSON in bytes.

Images and series are read; spectrum images, which Velox keeps as streams of events, and complex ones (FFT, DPC) are not.
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
from invae.readers.scan_shape import labelled

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
        told = {name: _told(file, f"{IMAGES}/{name}/Metadata") for name in names}
        real = [name for name, data in datasets.items() if _is_image(data)]
        if not real:
            raise InputError(
                f"{path}: holds no image of real numbers; export spectrum images as .hspy"
            )
        channels = [_channel(path, datasets[name], _title(told[name])) for name in real]
        first = max(real, key=lambda name: datasets[name].size)  # type: ignore[union-attr]
        axes = _axes(datasets[first], told[first])
        left = len(names) - len(real) + ("SpectrumImage" in file["Data"])  # type: ignore[operator]
    scanned = "DwellTime" in told[first].get("Scan", {})
    return Raw(
        labelled(channels),
        axes,
        told[first],
        _acquired(told[first]),
        modality="STEM" if scanned else "TEM",
        notes=(f"{left} spectrum images or complex images were left out",) if left else (),
        beam=_beam(told[first]),
    )


def _is_image(data: Any) -> bool:
    return isinstance(data, h5py.Dataset) and data.ndim == 3 and data.dtype.kind in "biuf"


def _told(file: h5py.File, name: str) -> dict[str, Any]:
    """The metadata of the first frame."""
    letters = file[name]
    assert isinstance(letters, h5py.Dataset)
    text = np.asarray(letters[:, 0]).tobytes().rstrip(b"\0").decode("utf-8", "replace")
    values = json.loads(text)
    return values if isinstance(values, dict) else {}


def _title(told: Mapping[str, Any]) -> str:
    """The detector's name."""
    number = told.get("BinaryResult", {}).get("DetectorIndex", 0)
    return str(told.get("Detectors", {}).get(f"Detector-{number}", {}).get("DetectorName", "image"))


def _channel(path: Path, data: Any, title: str) -> Channel:
    rows, columns, frames = data.shape
    read = partial(_read_pixels, path, str(data.name), frames != 1)
    shape = (rows, columns) if frames == 1 else (frames, rows, columns)
    pixels = Pixels(path, shape, data.dtype, read, hdf5.ERRORS)
    return Channel(title, pixels, SINGLE if frames == 1 else FRAMED)


def _read_pixels(path: Path, name: str, framed: bool, key: Key) -> np.ndarray:
    """The values under a key (frame, y, x), or (y, x) of a single frame."""
    stored = (*key[1:], key[0]) if framed else (*key, slice(0, 1, 1))
    values = np.moveaxis(hdf5.read_dataset(path, name, stored), -1, 0)
    return values if framed else values[0]


def _axes(data: Any, told: Mapping[str, Any]) -> dict[str, Axis]:
    """Size of a pixel, and time between frames."""
    result, scan = told.get("BinaryResult", {}), told.get("Scan", {})
    size, units = result.get("PixelSize", {}), str(result.get("PixelUnitX", ""))
    rows, columns, frames = data.shape
    found = {
        dims.Y: calibration.axis(dims.Y, rows, float(size.get("height", 0)), units),
        dims.X: calibration.axis(dims.X, columns, float(size.get("width", 0)), units),
        dims.FRAME: calibration.axis(dims.FRAME, frames, float(scan.get("FrameTime", 0)), "s"),
    }
    return {dim: one for dim, one in found.items() if one is not None and one.values.any()}


def _acquired(told: Mapping[str, Any]) -> datetime | None:
    start = told.get("Acquisition", {}).get("AcquisitionStartDatetime", {}).get("DateTime")
    return None if not start else datetime.fromtimestamp(int(start), UTC).replace(tzinfo=None)


def _beam(told: Mapping[str, Any]) -> Beam:
    """From volts and radians."""
    optics = told.get("Optics", {})
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
