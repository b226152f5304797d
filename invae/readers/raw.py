"""What a reader returns: channels, axes and metadata as in the file, and the description of the reader itself.

A reader returns the content of its file; `recording.assemble` turns it into the labelled Dataset that all formats share.
"""

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from invae.errors import InputError, InvaeError

HEAD_BYTES = 512
"""Number of bytes from the beginning of a file by which a reader recognises it."""

Key = tuple[slice, ...]
"""One slice with a positive step for each axis of the file."""

_ALWAYS = (
    OSError,
    MemoryError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    NameError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    SystemError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What any library may raise on bytes that it did not foresee; a damaged header can require more memory than there is."""


@contextmanager
def translated(path: Path, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn a library's error on a broken file into one line that names the file."""
    try:
        yield
    except InvaeError:
        raise
    except (*_ALWAYS, *errors) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read ({reason[:200]}); it is damaged, incomplete or still being "
            "written: copy or export it again"
        ) from error


@dataclass(frozen=True)
class Pixels:
    """The values of one channel in the file's order of axes; read on demand."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[Key], np.ndarray]
    """Returns the values under a key; can be pickled, opens the file and closes it again."""
    errors: tuple[type[Exception], ...]
    chunks: tuple[int, ...] | None = None
    """Sizes of the pieces in which the file stores the values; reading a part of a piece costs all of it."""

    def load(self, key: Key) -> np.ndarray:
        """The values under a key, in the byte order of this machine.

        Raises:
            InputError: If the file is gone, or does not match its header.
        """
        with translated(self.path, self.errors):
            values = np.asarray(self.read(key))
        return values.astype(self.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True)
class Channel:
    """One quantity recorded by the instrument."""

    label: str
    """The name that the instrument uses."""
    pixels: Pixels
    dims: tuple[str, ...]
    """Names of the file's axes in invae's words (`frame y x point scan_y scan_x k_y k_x` or spectral axes)."""
    units: str = ""
    direction: str = ""
    """`trace` or `retrace`; taken from the label when empty."""
    name: str = ""
    """Name of the channel; made from the label when empty."""
    grid: "Grid | None" = None
    """Place of an image that has pixels of its own."""
    axes: "Mapping[str, Axis]" = field(default_factory=dict)
    """Axes of an image whose size or area may be another than that of the other channels."""


@dataclass(frozen=True)
class Axis:
    """Positions along one axis; `flipped` if the file runs from bottom to top or from right to left."""

    values: np.ndarray
    units: str
    flipped: bool = False


@dataclass(frozen=True)
class FrameVariable:
    """A number with one value per frame: a label, a setting, or the ground truth of a simulation."""

    values: np.ndarray
    """(frame,)"""
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class Coordinate:
    """A number with one value along a spectral axis (cycle, direction of the sweep) or per point (its place)."""

    dim: str
    values: np.ndarray
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a recording are in the instrument's coordinates, turned so that y points down."""

    centre_nm: tuple[float, float]
    """Centre of the pixels (y, x) [nm]."""
    size_nm: tuple[float, float]
    """Length of the grid along its own axes (y, x) [nm]: number of pixels times their distance."""
    angle_deg: float
    """Angle of the grid [degree], positive as `np.rot90`."""

    def attrs(self) -> dict[str, Any]:
        """The grid as attributes of a recording."""
        return {
            "grid_centre_nm": [float(value) for value in self.centre_nm],
            "grid_size_nm": [float(value) for value in self.size_nm],
            "grid_angle_deg": float(self.angle_deg),
        }


@dataclass(frozen=True)
class OnSurvey:
    """A survey image, by a name that all files of its session share, and where this recording is on it."""

    survey: str
    rectangle_px: tuple[float, float, float, float] | None = None
    """Edges of the recording's pixels on the survey: top, left, bottom, right [px of the survey]; none for the survey itself."""

    def attrs(self) -> dict[str, Any]:
        """As attributes of a recording."""
        edges = self.rectangle_px
        return {"survey_id": self.survey} | (
            {} if edges is None else {"survey_rectangle_px": [float(edge) for edge in edges]}
        )


@dataclass(frozen=True)
class Beam:
    """The probe of an electron microscope, as far as the file describes it."""

    energy_kev: float | None = None
    """[keV]"""
    convergence_mrad: float | None = None
    """Convergence semi-angle [mrad]."""

    def attrs(self) -> dict[str, float]:
        """The known values as attributes of a recording."""
        values = {"beam_energy_keV": self.energy_kev, "convergence_mrad": self.convergence_mrad}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Raw:
    """The content of one file."""

    channels: tuple[Channel, ...]
    axes: Mapping[str, Axis] = field(default_factory=dict)
    """Axes by dimension; a missing dimension is not calibrated."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acquired: datetime | None = None
    """Time of the instrument's clock, which has no time zone."""
    modality: str = ""
    notes: tuple[str, ...] = ()
    frame_variables: Mapping[str, FrameVariable] = field(default_factory=dict)
    """Numbers with one value per frame, by name."""
    coordinates: Mapping[str, Coordinate] = field(default_factory=dict)
    """Numbers along a spectral axis or per point, by name."""
    grid: Grid | None = None
    on_survey: OnSurvey | None = None
    beam: Beam = Beam()
    scan_shape: tuple[int, int] | None = None
    """Rows and columns of the scan, for patterns in a sequence (frame, k_y, k_x)."""
    scan_remark: str = ""
    """Origin of that shape, or why it is unknown; for notes and messages."""
    unfinished: str = ""
    """Why patterns are missing or too many, as a message; they are refused unless the shape of the scan is set."""


def _no_companions(path: Path) -> tuple[Path, ...]:
    """Most recordings are one file."""
    return ()


@dataclass(frozen=True)
class Reader:
    """One format: how its files are recognised, and how they are read."""

    name: str
    extensions: tuple[str, ...]
    description: str
    recognises: Callable[[Path, bytes], bool]
    """Whether a file has this format, from its path and its first bytes (none for a folder)."""
    read: Callable[[Path], Raw]
    errors: tuple[type[Exception], ...]
    """What the libraries underneath raise on a broken file."""
    companions: Callable[[Path], tuple[Path, ...]] = _no_companions
    """Other files of the recording that a path names, from file names alone; none for other formats."""
    read_named: Callable[[Path, tuple[str, ...]], Raw] | None = None
    """Reads a file whose axes have no names, with these names for them; none for other formats."""
    read_dataset: Callable[[Path, tuple[str, ...] | None, str], Raw] | None = None
    """Reads one array of a file that may hold several, by its name in the file; none for other formats."""
    general: bool = False
    """Whether a format that recognises the same file comes first, whatever the extension."""

    def open(
        self, path: Path, names: tuple[str, ...] | None = None, dataset: str | None = None
    ) -> Raw:
        """The content of a file, without reading a pixel.

        Args:
            path: The file.
            names: Names of the axes of a file that does not name them; formats without `read_named` ignore them.
            dataset: Name of the array to read, for a format with `read_dataset`.

        Raises:
            InputError: If the file is broken, or has another format.
        """
        with translated(path, self.errors):
            if dataset is not None and self.read_dataset is not None:
                return self.read_dataset(path, names, dataset)
            if names is not None and self.read_named is not None:
                return self.read_named(path, names)
            return self.read(path)


def evenly_spaced(n: int, step: float, units: str, *, flipped: bool = False) -> Axis:
    """Positions 0, step, 2 step, …"""
    values = np.arange(n) * float(step) if math.isfinite(step) else np.full(n, np.nan)
    return Axis(values, units, flipped)
