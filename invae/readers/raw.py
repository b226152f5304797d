"""What a reader hands over: channels, axes and metadata as the file has them, and the reader itself.

A reader says what stands in its file; `recording.assemble` makes of it the labelled Dataset that all formats share.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from invae.errors import InputError, InvaeError

HEAD_BYTES = 512
"""How much of a file's beginning a reader is shown."""

Key = tuple[slice, ...]
"""One slice with a positive step for each of the file's axes."""

_ALWAYS = (OSError, MemoryError, OverflowError)
"""What any reader may raise: a damaged header can promise more than there is memory."""


@contextmanager
def translated(path: Path, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what a library raises on a broken file into one line that names the file."""
    try:
        yield
    except InvaeError:
        raise
    except (*_ALWAYS, *errors) as error:
        found = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read ({found[:200]}); it is damaged, incomplete or still being "
            "written: copy or export it again"
        ) from error


@dataclass(frozen=True)
class Pixels:
    """The values of one channel in the file's own order of axes; read when asked for."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[Key], np.ndarray]
    """The values under a key; can be pickled, opens the file and closes it again."""
    errors: tuple[type[Exception], ...]

    def load(self, key: Key) -> np.ndarray:
        """The values under a key, in this machine's byte order.

        Raises:
            InputError: If the file has gone, or does not hold what its header says.
        """
        with translated(self.path, self.errors):
            values = np.asarray(self.read(key))
        return values.astype(self.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True)
class Channel:
    """One quantity that the instrument recorded."""

    label: str
    """As the instrument calls it."""
    pixels: Pixels
    dims: tuple[str, ...]
    """Names of the file's axes, in invae's words (`frame y x scan_y scan_x k_y k_x` or a spectral axis)."""
    units: str = ""
    direction: str = ""
    """`trace` or `retrace`; taken from the label when empty."""
    name: str = ""
    """The channel's name if the file keeps it as such; made from the label when empty."""


@dataclass(frozen=True)
class Axis:
    """Positions along one axis; `flipped` if the file runs from the bottom up or from the right."""

    values: np.ndarray
    units: str
    flipped: bool = False


@dataclass(frozen=True)
class Known:
    """A number that is known of every frame: a label, a setting, or the truth about a simulated one."""

    values: np.ndarray
    """(frame,)"""
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class Beam:
    """The probe of an electron microscope, as far as the file tells."""

    energy_kev: float | None = None
    """[keV]"""
    convergence_mrad: float | None = None
    """Half of the opening angle [mrad]."""

    def attrs(self) -> dict[str, float]:
        """What is known, as attributes of a recording."""
        told = {"beam_energy_keV": self.energy_kev, "convergence_mrad": self.convergence_mrad}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class Raw:
    """All that one file says."""

    channels: tuple[Channel, ...]
    axes: Mapping[str, Axis] = field(default_factory=dict)
    """By dimension; a dimension that is missing is not calibrated."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acquired: datetime | None = None
    """By the instrument's clock, which knows no time zone."""
    modality: str = ""
    notes: tuple[str, ...] = ()
    known: Mapping[str, Known] = field(default_factory=dict)
    """What lies beside the frames, by name."""
    beam: Beam = Beam()
    scan_shape: tuple[int, int] | None = None
    """Rows and columns of the scan, where patterns lie one after the other as (frame, k_y, k_x)."""
    scan_unknown: str = ""
    """Why the shape of the scan is not known, for messages."""


def _nothing(path: Path) -> tuple[Path, ...]:
    """Most recordings are one file."""
    return ()


@dataclass(frozen=True)
class Reader:
    """One format: how its files are known, and how they are read."""

    name: str
    extensions: tuple[str, ...]
    description: str
    recognises: Callable[[Path, bytes], bool]
    """Whether the content is of this format, from the path and the file's first bytes (none for a folder)."""
    read: Callable[[Path], Raw]
    errors: tuple[type[Exception], ...]
    """What the libraries underneath raise on a broken file."""
    beside: Callable[[Path], tuple[Path, ...]] = _nothing
    """Other files there are of the recording that a path names: by names alone, none for other formats."""

    def open(self, path: Path) -> Raw:
        """What the file says, without reading a pixel.

        Raises:
            InputError: If the file is broken, or of another format.
        """
        with translated(path, self.errors):
            return self.read(path)


def evenly_spaced(n: int, step: float, units: str, *, flipped: bool = False) -> Axis:
    """Positions 0, step, 2 step, …"""
    values = np.arange(n) * float(step) if math.isfinite(step) else np.full(n, np.nan)
    return Axis(values, units, flipped)
