"""Annotations of plain arrays: JSON in the same folder, or inside an archive.

Recognised keys, at any depth: `pixel_size` (or `pixel_size_y`, `pixel_size_x`) and `pixel_size_units`;
`field_of_view_y`, `field_of_view_x`, `field_of_view_units`; `dims`; `units`; `quantity`; `frame_interval` [s]. For patterns
`pixel_size` is the step of the scan; further keys are `k_pixel_size` (or `k_pixel_size_y`, `k_pixel_size_x`) and
`k_pixel_size_units` (mrad or 1/nm); `beam_energy_keV` (or `energy_eV`), `convergence_mrad` (or `semiangle_mrad`). For any axis,
`axes` holds `values`, or `offset` and `step`, and `units`.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers import spectra
from invae.readers.array_axes import roles_of_shape
from invae.readers.axis_roles import Roles, spelled
from invae.readers.calibration import axis
from invae.readers.raw import Axis, Beam, evenly_spaced

LARGEST_BYTES = 16 << 20
_DIMS = {
    2: (dims.Y, dims.X),
    3: (dims.FRAME, dims.Y, dims.X),
    4: (dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X),
}


@dataclass(frozen=True)
class Annotations:
    """Calibration and names of a plain array."""

    path: Path
    """File of the annotations, for messages."""
    metadata: Mapping[str, Any]

    def roles(
        self,
        shape: tuple[int, ...],
        names: tuple[str, ...] | None = None,
        *,
        known: Collection[str] = (),
    ) -> Roles:
        """Names of the axes: as set, as annotated, as its coordinates say, otherwise by the shape.

        Args:
            shape: Shape of the array.
            names: Names that are set (`ingest.dims`).
            known: Names of coordinates that lie beside the array.

        Raises:
            InputError: If the names are not those of this array, or its shape has several readings.
        """
        names = names or self._annotated()
        if names is not None:
            return Roles(self._fitting(names, shape))
        usual = _DIMS.get(len(shape), ())
        if len({*usual} & ({*known} | self._described_axes())) > 1:
            return Roles(usual)
        return roles_of_shape(shape, source=str(self.path))

    def _annotated(self) -> tuple[str, ...] | None:
        names = _find(self.metadata, "dims")
        if names is None:
            return None
        if not isinstance(names, list):
            raise InputError(f"{self.path}: dims is {names!r}; list the name of every axis")
        return spelled([str(name) for name in names], self.path)

    def _fitting(self, names: tuple[str, ...], shape: tuple[int, ...]) -> tuple[str, ...]:
        if len(names) != len(shape):
            raise InputError(
                f"{self.path}: dims is {', '.join(names)}, but the array has {len(shape)} axes; name "
                "each once"
            )
        return names

    def _described_axes(self) -> set[str]:
        """Axes of which the annotations say more than a size of pixels that images and scans share."""
        table = _find(self.metadata, "axes")
        named = {str(name) for name in table} if isinstance(table, Mapping) else set()
        detector = any(_find(self.metadata, f"k_pixel_size{end}") for end in ("", "_y", "_x"))
        return named | ({dims.K_Y, dims.K_X} if detector else set())

    def axes(self, names: tuple[str, ...], shape: tuple[int, ...]) -> dict[str, Axis]:
        """The calibrated axes."""
        axes = {}
        for dim, n in zip(names, shape, strict=True):
            if (described := self._described(dim, n)) is not None:
                axes[dim] = described
            elif dim in (dims.Y, dims.X, dims.SCAN_Y, dims.SCAN_X):
                step, units = self._step(dim[-1], n)
                if step is not None:
                    axes[dim] = evenly_spaced(n, step, units)
            elif dim in (dims.K_Y, dims.K_X):
                step, units = self._detector_step(dim[-1])
                if step is not None and (detector := axis(dim, n, step, units)) is not None:
                    axes[dim] = detector
            elif dim == dims.FRAME and (interval := self._number("frame_interval")) is not None:
                axes[dim] = evenly_spaced(n, interval, "s")
        return axes

    def text(self, key: str) -> str:
        """A text, empty if it is missing."""
        value = _find(self.metadata, key)
        return value if isinstance(value, str) else ""

    def beam(self) -> Beam:
        """Energy and convergence of the probe, as far as they are annotated."""
        energy, in_ev = self._number("beam_energy_keV"), self._number("energy_eV")
        angle = self._number("convergence_mrad") or self._number("semiangle_mrad")
        return Beam(in_ev / 1e3 if energy is None and in_ev is not None else energy, angle)

    def _described(self, dim: str, n: int) -> Axis | None:
        """Positions from `axes`: as values, or as offset and step; none if they are not there."""
        table = _find(self.metadata, "axes")
        if not isinstance(table, Mapping):
            return None
        entry = {spectra.NAMES.get(str(name), str(name)): e for name, e in table.items()}.get(dim)
        if entry is None:
            return None
        try:
            values = entry.get("values")
            if values is None:
                values = float(entry.get("offset", 0)) + np.arange(n) * float(entry["step"])
            positions = np.asarray(values, dtype=float)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.path}: the axis {dim} is {str(entry)[:80]}; give values, or offset and step, "
                "and units"
            ) from error
        if positions.shape != (n,):
            raise InputError(
                f"{self.path}: the axis {dim} has {positions.size} values for {n} items; give one each"
            )
        return Axis(positions, str(entry.get("units", "")))

    def _detector_step(self, name: str) -> tuple[float | None, str]:
        step = self._number(f"k_pixel_size_{name}") or self._number("k_pixel_size")
        return step, self.text("k_pixel_size_units") or "mrad"

    def _step(self, axis: str, n: int) -> tuple[float | None, str]:
        for key in (f"pixel_size_{axis}", "pixel_size"):
            if (step := self._number(key)) is not None:
                return step, self.text("pixel_size_units") or "nm"
        field_of_view = self._number(f"field_of_view_{axis}")
        if field_of_view is None:
            return None, ""
        return field_of_view / max(n, 1), self.text("field_of_view_units") or "nm"

    def _number(self, key: str) -> float | None:
        value = _find(self.metadata, key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
            raise InputError(f"{self.path}: {key} is {value!r}; it must be a positive number")
        return float(value)


def file_of(path: Path) -> tuple[Path, ...]:
    """The .json with the same name as an array, if there is one."""
    sidecar = path.with_suffix(".json")
    return (sidecar,) if path.suffix.lower() in (".npy", ".npz") and sidecar.is_file() else ()


def annotations_of(path: Path) -> Annotations:
    """The annotations in the .json with the same name; empty without a .json."""
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        return Annotations(path, {})
    if sidecar.stat().st_size > LARGEST_BYTES:
        raise InputError(
            f"{sidecar}: is larger than {LARGEST_BYTES >> 20} MB, too large for annotations; move it"
        )
    return parse(sidecar.read_bytes(), sidecar)


def parse(text: bytes | str, path: Path) -> Annotations:
    """The annotations in a JSON text.

    Raises:
        InputError: If it is not a JSON object.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: the calibration is not JSON ({error}); correct it") from error
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: the calibration is a {type(values).__name__}; it must be a JSON object"
        )
    return Annotations(path, values)


def _find(values: Mapping[str, Any], key: str) -> Any:
    """The value of a key on this level, or on the first level below that has it."""
    if key in values:
        return values[key]
    below = (_find(value, key) for value in values.values() if isinstance(value, Mapping))
    return next((value for value in below if value is not None), None)
