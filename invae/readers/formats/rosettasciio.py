"""Adapter of rosettasciio: its signals become channels, axes and metadata, its lazy arrays become pixels.

rosettasciio is an optional dependency (`invae[em]`), imported when the first file of one of its formats is read.
"""

import importlib
import logging
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import calibration, labels, spectra
from invae.readers.axis_roles import AxisLabel, Roles, roles_of
from invae.readers.raw import Axis, Beam, Channel, Key, Pixels, Raw
from invae.readers.scan_shape import named_by_kind

ERRORS = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    RuntimeError,
    NotImplementedError,
    AssertionError,
    EOFError,
    ZeroDivisionError,
    struct.error,
    SyntaxError,
    ImportError,
)
"""What rosettasciio raises on damaged files, on unknown variants, and where it lacks a library."""

LONGEST_TEXT = 2000
"""Longest entry of a file's metadata that is kept [characters]."""

Signal = Mapping[str, Any]
Values = dict[str, Any]
Read = Callable[[Key], np.ndarray]


@dataclass(frozen=True)
class Plugin:
    """One of rosettasciio's formats."""

    module: str
    options: tuple[tuple[str, Any], ...] = ()
    flags_by_position: bool = False
    """Whether rosettasciio sets the navigation flags of this format from the number of axes, so that they tell nothing."""

    def signals(self, path: Path) -> Sequence[Signal]:
        """The signals in a file, with lazy pixels.

        Raises:
            InputError: If rosettasciio is not installed.
        """
        try:
            plugin = importlib.import_module(f"rsciio.{self.module}")
        except ModuleNotFoundError as error:
            if error.name != "rsciio":
                raise
            raise InputError(
                f"{path}: needs rosettasciio, which is not installed; run `pip install 'invae[em]'`"
            ) from error
        logging.getLogger("rsciio").setLevel(logging.CRITICAL)  # errors that matter are raised
        try:
            return plugin.file_reader(str(path), lazy=True, **dict(self.options))
        except _own_errors() as error:
            raise ValueError(f"{type(error).__name__} {error}") from error

    def signals_and_warnings(self, path: Path) -> tuple[Sequence[Signal], tuple[str, ...]]:
        """The signals in a file, and the warnings of rosettasciio."""
        with warnings.catch_warnings(record=True) as records:
            warnings.simplefilter("always")
            signals = self.signals(path)
        # only its own warnings, not those of its libraries for programmers
        messages = (str(r.message) for r in records if issubclass(r.category, UserWarning))
        return signals, tuple(" ".join(message.split()) for message in messages)


def _own_errors() -> tuple[type[Exception], ...]:
    """The exceptions that rosettasciio defines itself, which have no narrower base class."""
    kinds = vars(importlib.import_module("rsciio.exceptions")).values()
    return tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))


def read_raw(path: Path, *, plugin: Plugin) -> Raw:
    """Everything that rosettasciio reads from a file.

    Raises:
        InputError: If there is no image, spectrum image or pattern.
    """
    signals, notes = plugin.signals_and_warnings(path)
    if plugin.flags_by_position:
        signals = [_without_flags(signal) for signal in signals]
    reads = [partial(_read_pixels, path, plugin, number) for number in range(len(signals))]
    return raw_of(signals, reads, path, notes=notes)


def _without_flags(signal: Signal) -> Signal:
    axes = [{**axis, "navigate": None} for axis in signal["axes"]]
    return {**signal, "axes": axes} if len(axes) == 4 else signal


def raw_of(
    signals: Sequence[Signal], reads: Sequence[Read], path: Path, *, notes: tuple[str, ...] = ()
) -> Raw:
    """Signals of rosettasciio as channels; the largest signal gives axes and beam."""
    if not signals:
        raise InputError(f"{path}: holds no signal; export the measured data with it")
    order = sorted(range(len(signals)), key=lambda n: -np.prod(signals[n]["data"].shape, dtype=int))
    found = [roles(signal) for signal in signals]
    channels = [
        _channel(signal, own.dims, read, path)
        for signal, own, read in zip(signals, found, reads, strict=True)
    ]
    described = [_axes_of(signals[n], channels[n].dims) for n in range(len(signals))]
    parts = spectra.apart_from_grid(
        [(channel, own) for channel, (own, _) in zip(channels, described, strict=True)]
    )
    axes: dict[str, Axis] = {}
    remarks: list[str] = []
    for n in order:
        remarks += found[n].notes
        known = {*axes}
        axes = {**parts[n][1], **axes}
        remarks += [line for dim, line in described[n][1] if dim not in known]
    channels = [replace(channel, axes=own) for channel, own in parts]
    metadata = metadata_of(signals[order[0]])
    return Raw(
        named_by_kind(channels),
        axes,
        metadata,
        modality=_modality(signals[order[0]], metadata),
        notes=tuple(dict.fromkeys([*notes, *remarks])),
        beam=beam_of(metadata),
    )


def _axes_of(
    signal: Signal, names: tuple[str, ...]
) -> tuple[dict[str, Axis], list[tuple[str, str]]]:
    """The calibrated axes of a signal, and a remark on each unit that is no calibration."""
    axes: dict[str, Axis] = {}
    remarks: list[tuple[str, str]] = []
    for dim, described in zip(names, signal["axes"], strict=True):
        axis = axis_of(dim, described)
        if axis is None:
            remarks += [(dim, line) for line in _remark(dim, described)]
        else:
            axes[dim] = axis
    return axes, remarks


def _channel(signal: Signal, names: tuple[str, ...], read: Read, path: Path) -> Channel:
    data = signal["data"]
    chunks = getattr(data, "chunks", None)  # of Dask: the sizes of every block
    sizes = chunks if chunks and isinstance(chunks[0], int) else None
    pixels = Pixels(path, data.shape, np.dtype(data.dtype), read, ERRORS, sizes)
    label = str(signal["metadata"].get("General", {}).get("title", "") or "signal")
    return Channel(label, pixels, names, _quantity(signal))


def _modality(signal: Signal, metadata: Mapping[str, Any]) -> str:
    """EELS, STEM or TEM from the metadata; empty for patterns, which are identified by their axes."""
    kind = str(signal["metadata"].get("Signal", {}).get("signal_type", ""))
    instrument = metadata.get("Acquisition_instrument", {})
    groups = instrument.values() if isinstance(instrument, Mapping) else ()
    modes = [group.get("acquisition_mode", "") for group in groups if isinstance(group, Mapping)]
    if len(signal["axes"]) > 3:
        return ""
    return kind if kind == "EELS" else next((str(mode) for mode in modes if mode), "")


def _read_pixels(path: Path, plugin: Plugin, number: int, key: Key) -> np.ndarray:
    """The values under a key, read in this thread alone: blocks are already read in parallel."""
    data = plugin.signals(path)[number]["data"][key]
    return np.asarray(data if isinstance(data, np.ndarray) else data.compute(scheduler="sync"))


def roles(signal: Signal) -> Roles:
    """Roles of a signal's axes, from their names, units, navigation flags and the kind of signal."""
    kind = str(signal["metadata"].get("Signal", {}).get("signal_type", ""))
    return roles_of([_label(axis) for axis in signal["axes"]], signal_type=kind)


def _label(axis: Mapping[str, Any]) -> AxisLabel:
    navigate = axis.get("navigate")
    is_flag = isinstance(navigate, bool | np.bool_)
    name, units = str(axis.get("name") or ""), str(axis.get("units") or "")
    return AxisLabel(name, units, bool(navigate) if is_flag else None)


def axis_of(dim: str, described: Mapping[str, Any]) -> Axis | None:
    """One of rosettasciio's axes; none if it is not calibrated."""
    units = str(described.get("units") or "")
    calibrated = (dims.FRAME, dims.Y, dims.X, dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X)
    if "axis" in described:  # positions that are not evenly spaced
        values = np.asarray(described["axis"], dtype=float)
        return Axis(values, units) if dim not in calibrated else None
    n, step = int(described["size"]), float(described["scale"])
    start = float(described["offset"])
    if dim not in calibrated:
        return Axis(start + np.arange(n) * step, units)
    return calibration.axis(dim, n, step, units, start=start)


def _remark(dim: str, described: Mapping[str, Any]) -> list[str]:
    """A line on a unit that is no calibration of the axis."""
    units = " ".join(str(described.get("units") or "").split())
    if not units or units in ("px", "pixel", "pixels") or dim == dims.FRAME:
        return []
    step = float(described.get("scale", 1.0))
    return [f"{dim} has steps of {step:.4g} {units}, which are no calibration of it"]


def _quantity(signal: Signal) -> str:
    """The unit of the values, which HyperSpy writes in brackets: `Intensity (Counts)`."""
    quantity = str(signal["metadata"].get("Signal", {}).get("quantity", ""))
    units = quantity.rpartition("(")[2].rstrip(") ") if "(" in quantity else ""
    return units if labels.canonical_units(units) is not None else ""


def metadata_of(signal: Signal) -> Values:
    """HyperSpy's metadata of a signal, completed from the file's own by rosettasciio's mapping."""
    original = signal.get("original_metadata", {})
    metadata: Values = _short(signal["metadata"])
    for key, (target, convert) in signal.get("mapping", {}).items():
        value = _value_at(original, key)
        if isinstance(value, bool | int | float | str | np.number) and value != "":
            _put(metadata, target, value if convert is None else convert(value))
    return {**metadata, "original_metadata": _short(original)}


def _value_at(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _put(values: Values, key: str, value: Any) -> None:
    *groups, last = key.split(".")
    for name in groups:
        values = values.setdefault(name, {})
    if value is not None:
        values.setdefault(last, value)


def _short(values: Any) -> Any:
    """The values without arrays and long texts."""
    if not isinstance(values, Mapping):
        return values
    short = {str(key): _short(value) for key, value in values.items()}
    return {key: value for key, value in short.items() if _is_short(value)}


def _is_short(value: Any) -> bool:
    if isinstance(value, bool | int | float | np.generic | Mapping) and value != {}:
        return True
    small = isinstance(value, str | list | tuple | np.ndarray) and len(value) <= LONGEST_TEXT
    return small and not isinstance(value, np.ndarray)


def beam_of(metadata: Mapping[str, Any]) -> Beam:
    """Energy and convergence from HyperSpy's metadata."""
    numbers = dict(_instrument(metadata))
    energy, angle = (numbers.get(name, 0.0) for name in ("beam_energy", "convergence_angle"))
    return Beam(energy if energy > 0 else None, angle if angle > 0 else None)


def _instrument(metadata: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers that describe the microscope [keV, mrad, …], by name."""
    instrument = metadata.get("Acquisition_instrument", {})
    for group in instrument.values() if isinstance(instrument, Mapping) else ():
        for name, value in group.items() if isinstance(group, Mapping) else ():
            if isinstance(value, int | float | np.number) and np.isfinite(value):
                yield name, float(value)
