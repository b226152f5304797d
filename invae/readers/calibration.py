"""Steps of scan and detector from electron-microscopy files, in nm, mrad or 1/nm; or the absence of a calibration."""

import math
import re
from collections.abc import Mapping

import numpy as np

from invae import dims
from invae.readers.labels import nanometres
from invae.readers.raw import Axis

_RECIPROCAL = re.compile(r"1\s*/\s*(?P<under>\S+)|(?P<power>\S+?)\s*(\^|\*\*)?[-⁻−][1¹]")
_ANGLES = {"rad": 1e3, "mrad": 1.0, "urad": 1e-3, "deg": np.pi / 0.18, "degree": np.pi / 0.18}
"""Size of these units in mrad."""
_ENERGIES = ("eV", "keV", "meV")


def is_energy(units: str) -> bool:
    """Whether an axis in these units is an energy axis."""
    return plain(units) in _ENERGIES


def is_diffraction(units: str) -> bool:
    """Whether an axis in these units belongs to a detector in the diffraction plane."""
    return _detector_unit(units) is not None


def axis(dim: str, n: int, step: float, units: str, *, start: float = 0.0) -> Axis | None:
    """Positions along a calibrated axis; none for an axis without calibration.

    Args:
        dim: Name of the axis; detector axes are in mrad or 1/nm, image axes in nm.
        n: Number of pixels.
        step: Distance of two pixels [units]; may be negative.
        units: Unit as written in the file.
        start: Position of the first pixel [units].
    """
    if dim == dims.FRAME:
        return Axis(start + np.arange(n) * step, units) if units in ("s", "ms", "us") else None
    unit = _detector_unit(units) if dim in (dims.K_Y, dims.K_X) else _in_nm(units)
    if unit is None or not math.isfinite(step) or step == 0 or not math.isfinite(start):
        return None
    factor, canonical = unit
    return Axis((start + np.arange(n) * step) * factor, canonical)


def calibrated(axes: Mapping[str, Axis | None]) -> dict[str, Axis]:
    """The axes that have a calibration."""
    return {dim: axis for dim, axis in axes.items() if axis is not None}


def plain(units: str) -> str:
    """The unit without the decoration of some programs (`[n_m^-1]`, `$A^{-1}$`)."""
    return re.sub(r"[][()${}_\\]", "", units.strip()).replace("µ", "u").replace("μ", "u")


def _in_nm(units: str) -> tuple[float, str] | None:
    text = plain(units)
    factor = 0.1 if text == "A" else nanometres(text)
    return None if factor is None else (factor, "nm")


def _detector_unit(units: str) -> tuple[float, str] | None:
    text = plain(units)
    if text in _ANGLES:
        return _ANGLES[text], "mrad"
    match = _RECIPROCAL.fullmatch(text)
    length = None if match is None else _in_nm(match["under"] or match["power"])
    return None if length is None else (1 / length[0], "1/nm")
