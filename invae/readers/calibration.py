"""Steps of scan and detector as electron-microscopy files tell them, in nm, in mrad or in 1/nm; or that there are none."""

import math
import re

import numpy as np

from invae import dims
from invae.readers.labels import nanometres
from invae.readers.raw import Axis

_RECIPROCAL = re.compile(r"1\s*/\s*(?P<under>\S+)|(?P<power>\S+?)\s*(\^|\*\*)?[-⁻−][1¹]")
_ANGLES = {"rad": 1e3, "mrad": 1.0, "urad": 1e-3, "deg": np.pi / 0.18, "degree": np.pi / 0.18}
"""How many mrad one of these units is."""
_ENERGIES = ("eV", "keV", "meV")


def is_energy(units: str) -> bool:
    """Whether an axis in these units runs over energies."""
    return _plain(units) in _ENERGIES


def is_diffraction(units: str) -> bool:
    """Whether an axis in these units is one of a detector in the diffraction plane."""
    return _of_detector(units) is not None


def is_length(units: str) -> bool:
    """Whether an axis in these units is one of the specimen."""
    return _in_nm(units) is not None


def axis(dim: str, n: int, step: float, units: str, *, start: float = 0.0) -> Axis | None:
    """Positions along an axis that is calibrated, none for one that is not.

    Args:
        dim: Name of the axis; those of the detector are in mrad or 1/nm, those of an image in nm.
        n: Number of pixels.
        step: From one pixel to the next [units]; may be negative.
        units: As the file has them.
        start: Position of the first pixel [units].
    """
    if dim == dims.FRAME:
        return Axis(start + np.arange(n) * step, units) if units in ("s", "ms", "us") else None
    found = _of_detector(units) if dim in (dims.K_Y, dims.K_X) else _in_nm(units)
    if found is None or not math.isfinite(step) or step == 0 or not math.isfinite(start):
        return None
    factor, canonical = found
    return Axis((start + np.arange(n) * step) * factor, canonical)


def _plain(units: str) -> str:
    """The unit without the decoration of some programs (`[n_m^-1]`)."""
    return units.strip().strip("[]()").replace("_", "").replace("µ", "u").replace("μ", "u")


def _in_nm(units: str) -> tuple[float, str] | None:
    text = _plain(units)
    factor = 0.1 if text == "A" else nanometres(text)
    return None if factor is None else (factor, "nm")


def _of_detector(units: str) -> tuple[float, str] | None:
    text = _plain(units)
    if text in _ANGLES:
        return _ANGLES[text], "mrad"
    found = _RECIPROCAL.fullmatch(text)
    length = None if found is None else _in_nm(found["under"] or found["power"])
    return None if length is None else (1 / length[0], "1/nm")
