"""Which axes of a file are scan, detector, image, frames and spectra: names, units, navigation flags and the kind of signal decide.

Position alone never decides in silence: where nothing else is known, the usual order is taken and a note says so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from invae import dims
from invae.errors import ConfigError
from invae.readers import calibration, labels, spectra

Plane = Literal["scan", "detector", "image"]
Names = tuple[str, ...]
SPECTRUM = "spectral_channel"
"""Axis of spectra whose quantity is not known."""
SETTING = "set ingest.dims if this is wrong"
_PLACE = re.compile(
    r"(?P<plane>scan|probe|navigation|nav|real|r|detector|det|diffraction|diff|reciprocal|recip|k|q|d|g|)"
    r"(?P<letter>y|x|rows?|lines?|columns?|cols?|height|width)"
)
_PLANES: dict[str, Plane] = {"": "image"}
_PLANES |= dict.fromkeys(("scan", "probe", "navigation", "nav", "real", "r"), "scan")
_FRAMES = {"time", "t", "frame", "frames", "z", "stack", "slice", "image", "images", "index"}
_ROWS = ("y", "row", "line", "height")
_PY4DSTEM = ({"rx", "ry"}, {"qx", "qy"})
"""Names of py4DSTEM, which calls rows x."""
_SIGNALS = {"EELS": "energy", "EDS": "energy", "EDS_TEM": "energy", "EDS_SEM": "energy"}
_SIGNALS |= {"CL": "wavelength", "Luminescence": "wavelength", "PL": "wavelength"}
_SIGNALS |= {"CLSEM": "wavelength", "CLSTEM": "wavelength", "LumiSpectrum": "wavelength"}
"""Axis of spectra by HyperSpy's type of signal."""


_SPELLINGS = {
    **dict.fromkeys(("time", "t", "n", "image", "frames"), dims.FRAME),
    **dict.fromkeys(("row", "rows"), dims.Y),
    **dict.fromkeys(("col", "column", "columns"), dims.X),
    **dict.fromkeys(("c", "channels", "colour", "color"), dims.CHANNEL),
    "ky": dims.K_Y,
    "kx": dims.K_X,
    **spectra.NAMES,
}


@dataclass(frozen=True)
class AxisLabel:
    """What a file says of one axis."""

    name: str = ""
    units: str = ""
    navigate: bool | None = None
    """Whether the axis is scanned (true) or recorded at every position (false); none if the file does not say."""


@dataclass(frozen=True)
class Roles:
    """Names of the axes in invae's words, in the order of the file, and what was assumed."""

    dims: Names
    notes: tuple[str, ...] = ()


def roles_of(described: Sequence[AxisLabel], *, signal_type: str = "") -> Roles:
    """The roles of all axes of an array.

    A line of spectra is (y, axis), a line of patterns (scan_x, k_y, k_x): `layout.completed` adds the missing axis.

    Args:
        described: The axes in the order of the file.
        signal_type: HyperSpy's type of signal, such as `EELS` or `electron_diffraction`.
    """
    spectral = _spectral(described, signal_type)
    if spectral:
        return _spectra(described, spectral)
    if len(described) == 4:
        return _scan(described)
    if len(described) == 3:
        return _frames(described, signal_type)
    if len(described) == 2:
        return Roles(_pair(described, (dims.Y, dims.X)))
    return Roles(tuple(f"axis_{n}" for n in range(len(described))))


def spelled(names: Sequence[str], path: Path) -> Names:
    """Names that a person has given to all axes of an array, in invae's words; y and x beside a detector are those of the scan.

    Raises:
        ConfigError: If a name occurs twice.
    """
    own = [_SPELLINGS.get(name.lower(), name.lower()) for name in names]
    if {dims.K_Y, dims.K_X} <= {*own}:
        own = [{dims.Y: dims.SCAN_Y, dims.X: dims.SCAN_X}.get(name, name) for name in own]
    if len({*own}) != len(own):
        raise ConfigError(f"{path}: dims are {', '.join(names)}; give every axis a name of its own")
    return tuple(own)


def plane_of(name: str) -> Plane | None:
    """Whether a name is that of a scan, of a detector or of an image axis; none for other names."""
    match = _PLACE.fullmatch(_letters(name))
    return None if match is None else _PLANES.get(match["plane"], "detector")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _is_row(name: str) -> bool | None:
    """Whether an axis counts rows (true) or columns (false); none if its name does not say."""
    match = _PLACE.fullmatch(_letters(name))
    return None if match is None else match["letter"].startswith(_ROWS)


def _is_frame(label: AxisLabel) -> bool:
    return _letters(label.name) in _FRAMES or labels.canonical_units(label.units) in _TIMES


_TIMES = ("s", "ms", "us")


def _spectral(described: Sequence[AxisLabel], signal_type: str) -> dict[int, str]:
    """The spectral axes by number: by name or unit, otherwise by the kind of signal and the flags."""
    named = {
        n: name
        for n, label in enumerate(described)
        if (name := spectra.spectral_name(label.name, label.units)) is not None
    }
    recorded = [n for n, label in enumerate(described) if label.navigate is False]
    if named or len(recorded) != 1 or not 2 <= len(described) <= 3:
        return named if len(described) - len(named) in (1, 2) else {}
    (n,) = recorded
    if any(plane_of(label.name) == "detector" for label in described):
        return {}
    own = _letters(described[n].name)
    unnamed = SPECTRUM if own in {"", "x", "y"} or own in _FRAMES else spectra.axis_name(own)
    return {n: _SIGNALS.get(signal_type, unnamed)}


def _spectra(described: Sequence[AxisLabel], spectral: dict[int, str]) -> Roles:
    """Spectra over a grid (y, x), or along a line, which is y."""
    places = [n for n in range(len(described)) if n not in spectral]
    if len(places) == 1:
        return Roles(tuple(spectral.get(n, dims.Y) for n in range(len(described))))
    names = _pair([described[n] for n in places], (dims.Y, dims.X))
    found = spectral | dict(zip(places, names, strict=True))
    return Roles(tuple(found[n] for n in range(len(described))))


def _scan(described: Sequence[AxisLabel]) -> Roles:
    """Scan and detector of patterns."""
    detector = _detector_axes(described)
    notes: tuple[str, ...] = ()
    if detector is None:
        detector = (2, 3)
        notes = (
            "the file does not say which axes are the scan and which the detector; the last two are "
            f"taken as the detector ({SETTING})",
        )
    scan = tuple(n for n in range(4) if n not in detector)
    found: dict[int, str] = {}
    for numbers, names in ((scan, (dims.SCAN_Y, dims.SCAN_X)), (detector, (dims.K_Y, dims.K_X))):
        own = _pair([described[n] for n in numbers], names)
        found |= dict(zip(numbers, own, strict=True))
    return Roles(tuple(found[n] for n in range(4)), notes)


def _detector_axes(described: Sequence[AxisLabel]) -> tuple[int, ...] | None:
    """The two axes of the detector: by names, otherwise by units, otherwise by the navigation flags; none if all are silent."""
    lengths = [labels.nanometres(calibration.plain(label.units)) for label in described]
    for is_detector, is_scan in (
        (
            [plane_of(label.name) == "detector" for label in described],
            [plane_of(label.name) == "scan" for label in described],
        ),
        (
            [calibration.is_diffraction(label.units) for label in described],
            [length is not None for length in lengths],
        ),
        (
            [label.navigate is False for label in described],
            [label.navigate is True for label in described],
        ),
    ):
        if sum(is_detector) == 2:
            return tuple(n for n, yes in enumerate(is_detector) if yes)
        if sum(is_scan) == 2 and not any(is_detector):
            return tuple(n for n, yes in enumerate(is_scan) if not yes)
    return None


def _frames(described: Sequence[AxisLabel], signal_type: str) -> Roles:
    """A series of images, patterns in a sequence, or a line of patterns."""
    first, notes = _first_of_three(described)
    pair = tuple(n for n in range(3) if n != first)
    in_plane = [described[n] for n in pair]
    is_pattern = "diffraction" in signal_type or all(
        plane_of(label.name) == "detector" or calibration.is_diffraction(label.units)
        for label in in_plane
    )
    names = _pair(in_plane, (dims.K_Y, dims.K_X) if is_pattern else (dims.Y, dims.X))
    found = dict(zip(pair, names, strict=True))
    place = labels.nanometres(calibration.plain(described[first].units)) is not None
    along = plane_of(described[first].name) is not None or place
    found[first] = dims.SCAN_X if is_pattern and along else dims.FRAME
    return Roles(tuple(found[n] for n in range(3)), notes)


def _first_of_three(described: Sequence[AxisLabel]) -> tuple[int, tuple[str, ...]]:
    """The axis that counts frames or positions: by names, units or flags, otherwise the first one, with a note."""
    kinds = [plane_of(label.name) for label in described]
    for wanted in (
        [_is_frame(label) for label in described],
        [kind is not None and kind != "detector" for kind in kinds] if kinds.count("detector") == 2
        else [False] * 3,
        [not calibration.is_diffraction(label.units) for label in described],
        [label.navigate is True for label in described],
        [kind is None for kind in kinds],
    ):  # fmt: skip
        if sum(wanted) == 1:
            return wanted.index(True), ()
    return 0, (f"the file does not name its axes; the first is taken as the frame ({SETTING})",)


def _pair(described: Sequence[AxisLabel], names: Names) -> Names:
    """Names of two axes of one plane: by their own names, otherwise rows first."""
    own = [_letters(label.name) for label in described]
    if set(own) in _PY4DSTEM and own[0].endswith("x"):
        return names
    return names[::-1] if [_is_row(name) for name in own] == [False, True] else names
