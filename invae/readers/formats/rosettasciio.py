"""rosettasciio behind one adapter: what it finds in a file as channels, axes and metadata, its lazy arrays as pixels.

It is an optional dependency (`invae[em]`), imported when the first file of one of its formats is read.
"""

import importlib
import logging
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import calibration, labels
from invae.readers.raw import Axis, Beam, Channel, Key, Pixels, Raw
from invae.readers.scan_shape import labelled

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
"""What rosettasciio raises on damaged files, on variants that it does not know, and where it lacks a library."""

LONGEST_TEXT = 2000
"""Longer entries of a file's metadata are left out [characters]."""
_SPECTRAL = "energy"

Signal = Mapping[str, Any]
Values = dict[str, Any]
Read = Callable[[Key], np.ndarray]


@dataclass(frozen=True)
class Plugin:
    """One of rosettasciio's formats."""

    module: str
    options: tuple[tuple[str, Any], ...] = ()

    def signals(self, path: Path) -> Sequence[Signal]:
        """What is in a file, its pixels lazy.

        Raises:
            InputError: If rosettasciio is not installed.
        """
        try:
            found = importlib.import_module(f"rsciio.{self.module}")
        except ModuleNotFoundError as error:
            if error.name != "rsciio":
                raise
            raise InputError(
                f"{path}: is read by rosettasciio, which is not installed; "
                "`pip install 'invae[em]'`"
            ) from error
        logging.getLogger("rsciio").setLevel(logging.CRITICAL)  # what matters is raised
        try:
            return found.file_reader(str(path), lazy=True, **dict(self.options))
        except _own_errors() as error:
            raise ValueError(f"{type(error).__name__} {error}") from error

    def told(self, path: Path) -> tuple[Sequence[Signal], tuple[str, ...]]:
        """What is in a file, and what rosettasciio warns of."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            signals = self.signals(path)
        # its own wording, and what its libraries say of themselves to programmers
        remarks = (str(one.message) for one in caught if issubclass(one.category, UserWarning))
        return signals, tuple(" ".join(remark.split()) for remark in remarks)


def _own_errors() -> tuple[type[Exception], ...]:
    """The kinds of errors that rosettasciio defines itself, which descend from nothing narrower."""
    kinds = vars(importlib.import_module("rsciio.exceptions")).values()
    return tuple(one for one in kinds if isinstance(one, type) and issubclass(one, Exception))


def read_raw(path: Path, *, plugin: Plugin) -> Raw:
    """All that rosettasciio finds in a file.

    Raises:
        InputError: If it finds no image, spectrum image or pattern.
    """
    signals, notes = plugin.told(path)
    reads = [partial(_read_pixels, path, plugin, number) for number in range(len(signals))]
    return raw_of(signals, reads, path, notes=notes)


def raw_of(
    signals: Sequence[Signal], reads: Sequence[Read], path: Path, *, notes: tuple[str, ...] = ()
) -> Raw:
    """Signals of rosettasciio as channels; the first one of the largest kind tells axes and beam."""
    if not signals:
        raise InputError(f"{path}: holds no signal; export the measured data with it")
    channels, axes, remarks = [], {}, list(notes)
    order = sorted(range(len(signals)), key=lambda n: -np.prod(signals[n]["data"].shape, dtype=int))
    named = {n: roles(signals[n]) for n in order}
    for n in order:
        for dim, one in zip(named[n], signals[n]["axes"], strict=True):
            if dim not in axes and (found := axis_of(dim, one)) is not None:
                axes[dim] = found
            elif dim not in axes:
                remarks += _remark(dim, one)
    for n, signal in enumerate(signals):
        data = signal["data"]
        pixels = Pixels(path, data.shape, np.dtype(data.dtype), reads[n], ERRORS)
        told = signal["metadata"].get("General", {})
        label = str(told.get("title", "") or "signal")
        channels.append(Channel(label, pixels, named[n], _quantity(signal)))
    metadata = metadata_of(signals[order[0]])
    return Raw(
        labelled(channels),
        axes,
        metadata,
        modality=_modality(signals[order[0]], metadata),
        notes=tuple(dict.fromkeys(remarks)),
        beam=beam_of(metadata),
    )


def _modality(signal: Signal, metadata: Mapping[str, Any]) -> str:
    """EELS, STEM or TEM, where the metadata tell; patterns are known by their axes."""
    kind = str(signal["metadata"].get("Signal", {}).get("signal_type", ""))
    instrument = metadata.get("Acquisition_instrument", {})
    groups = instrument.values() if isinstance(instrument, Mapping) else ()
    modes = [one.get("acquisition_mode", "") for one in groups if isinstance(one, Mapping)]
    if len(signal["axes"]) > 3:
        return ""
    return kind if kind == "EELS" else next((str(mode) for mode in modes if mode), "")


def _read_pixels(path: Path, plugin: Plugin, number: int, key: Key) -> np.ndarray:
    """The values under a key, in this thread alone: blocks are read side by side already."""
    data = plugin.signals(path)[number]["data"][key]
    return np.asarray(data if isinstance(data, np.ndarray) else data.compute(scheduler="sync"))


def roles(signal: Signal) -> tuple[str, ...]:
    """Names of a signal's axes in invae's words, by what they navigate and by their units."""
    axes = signal["axes"]
    units = [str(one.get("units") or "") for one in axes]
    energy = [n for n, one in enumerate(axes) if _is_spectral(one, len(axes))]
    if len(axes) == 2:
        return (dims.Y, dims.X)
    if len(axes) == 3 and len(energy) == 1:
        rest = iter((dims.Y, dims.X))
        return tuple(_SPECTRAL if n in energy else next(rest) for n in range(3))
    if len(axes) == 3:
        diffracted = _is_diffraction(signal) or calibration.is_diffraction(units[-1])
        return (dims.FRAME, *((dims.K_Y, dims.K_X) if diffracted else (dims.Y, dims.X)))
    if len(axes) == 4:
        scan, detector = (dims.SCAN_Y, dims.SCAN_X), (dims.K_Y, dims.K_X)
        swapped = calibration.is_diffraction(units[0]) and not calibration.is_diffraction(units[3])
        return (*detector, *scan) if swapped else (*scan, *detector)
    return tuple(f"axis_{n}" for n in range(len(axes)))


def _is_spectral(one: Mapping[str, Any], n_axes: int) -> bool:
    words = str(one.get("name") or "").lower()
    return n_axes == 3 and (calibration.is_energy(str(one.get("units") or "")) or "energy" in words)


def _is_diffraction(signal: Signal) -> bool:
    return "diffraction" in str(signal["metadata"].get("Signal", {}).get("signal_type", ""))


def axis_of(dim: str, one: Mapping[str, Any]) -> Axis | None:
    """One of rosettasciio's axes; none if it is not calibrated."""
    units = str(one.get("units") or "")
    if "axis" in one:  # positions that are not evenly spaced
        values = np.asarray(one["axis"], dtype=float)
        return Axis(values, units) if dim == _SPECTRAL else None
    n, step, start = int(one["size"]), float(one["scale"]), float(one["offset"])
    if dim == _SPECTRAL:
        return Axis(start + np.arange(n) * step, units)
    return calibration.axis(dim, n, step, units, start=start)


def _remark(dim: str, one: Mapping[str, Any]) -> list[str]:
    """A line on a unit that is told and of no use for the axis."""
    units = " ".join(str(one.get("units") or "").split())
    if not units or units in ("px", "pixel", "pixels") or dim == dims.FRAME:
        return []
    step = float(one.get("scale", 1.0))
    return [f"{dim} is in steps of {step:.4g} {units}, which is no calibration of it"]


def _quantity(signal: Signal) -> str:
    """The unit of the values, which HyperSpy keeps in brackets: `Intensity (Counts)`."""
    told = str(signal["metadata"].get("Signal", {}).get("quantity", ""))
    units = told.rpartition("(")[2].rstrip(") ") if "(" in told else ""
    return units if labels.canonical_units(units) is not None else ""


def metadata_of(signal: Signal) -> Values:
    """HyperSpy's metadata of a signal, completed from the file's own as rosettasciio says how."""
    told, own = signal["metadata"], signal.get("original_metadata", {})
    metadata: Values = _short(told)
    for place, (target, convert) in signal.get("mapping", {}).items():
        value = _found(own, place)
        if isinstance(value, bool | int | float | str | np.number) and value != "":
            _put(metadata, target, value if convert is None else convert(value))
    return {**metadata, "original_metadata": _short(own)}


def _found(values: Any, place: str) -> Any:
    for name in place.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _put(values: Values, place: str, value: Any) -> None:
    *groups, last = place.split(".")
    for name in groups:
        values = values.setdefault(name, {})
    if value is not None:
        values.setdefault(last, value)


def _short(values: Any) -> Any:
    """Without arrays and long texts."""
    if not isinstance(values, Mapping):
        return values
    kept = {str(key): _short(value) for key, value in values.items()}
    return {key: value for key, value in kept.items() if _is_short(value)}


def _is_short(value: Any) -> bool:
    if isinstance(value, bool | int | float | np.generic | Mapping) and value != {}:
        return True
    small = isinstance(value, str | list | tuple | np.ndarray) and len(value) <= LONGEST_TEXT
    return small and not isinstance(value, np.ndarray)


def beam_of(metadata: Mapping[str, Any]) -> Beam:
    """Energy and convergence, where HyperSpy keeps them."""
    told = dict(_instrument(metadata))
    energy, angle = (told.get(name, 0.0) for name in ("beam_energy", "convergence_angle"))
    return Beam(energy if energy > 0 else None, angle if angle > 0 else None)


def _instrument(metadata: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers about the microscope [keV, mrad, …]."""
    instrument = metadata.get("Acquisition_instrument", {})
    for group in instrument.values() if isinstance(instrument, Mapping) else ():
        for name, value in group.items() if isinstance(group, Mapping) else ():
            if isinstance(value, int | float | np.number) and np.isfinite(value):
                yield name, float(value)
