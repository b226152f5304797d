"""Where the instrument scanned, by its header: files of a series that show other areas are refused before long work."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.errors import InputError
from invae.readers.labels import NM_PER_METRE

LITTLE_OVERLAP = 0.5
"""Successive files that share a smaller part of their area are no series."""
MUCH_OVERLAP = 0.9
"""Successive files that share less than this are remarked."""
TURNED, SLIGHTLY = 5.0, 0.5
"""Scan angles that differ more are no series, or are remarked [degree]."""


@dataclass(frozen=True)
class Place:
    """Centre (y, x) [nm] and angle [degree] of a scan in the instrument's own coordinates; NaN if unknown."""

    centre: tuple[float, float]
    angle: float


def place_of(recording: xr.Dataset) -> Place:
    """The place of a recording, from its own attributes or from the metadata of Asylum's instruments."""
    attrs = recording.attrs
    if "grid_centre_nm" in attrs:
        y, x = attrs["grid_centre_nm"]
        return Place((float(y), float(x)), float(attrs.get("grid_angle_deg", np.nan)))
    metadata = json.loads(attrs.get("metadata") or "{}")
    y, x = (_number(metadata, key) * NM_PER_METRE for key in ("YOffset", "XOffset"))
    return Place((y, x), _number(metadata, "ScanAngle"))


def _number(metadata: Mapping[str, Any], key: str) -> float:
    try:
        return float(metadata.get(key, "nan"))
    except (TypeError, ValueError):
        return float("nan")


def check_places(
    paths: Sequence[Path], recordings: Sequence[xr.Dataset], *, other_areas: bool
) -> list[str]:
    """Remarks on successive files that are displaced or turned by their headers.

    Args:
        paths: The files, in the order of the series.
        recordings: Their content.
        other_areas: Whether files that show other areas are accepted.

    Raises:
        InputError: If two successive files share less than half of their area, or their scan angles differ by more than 5 degrees.
    """
    places = [place_of(recording) for recording in recordings]
    remarks = []
    for number in range(1, len(paths)):
        before, here = places[number - 1], places[number]
        difference, refused = _displaced(before, here, recordings[number])
        if not difference:
            continue
        difference = f"{difference} than {paths[number - 1].name} by their headers"
        if refused and not other_areas:
            raise InputError(
                f"{paths[number]}: {difference}; a series needs frames of one area: leave it out, or set "
                "ingest.other_areas=true if the headers are wrong"
            )
        remarks.append(f"{paths[number].name} {difference}")
    return remarks


def _displaced(before: Place, here: Place, recording: xr.Dataset) -> tuple[str, bool]:
    """How a scan differs from the one before, in words, and whether the two are no series."""
    turned = abs((here.angle - before.angle + 180) % 360 - 180)
    if turned > SLIGHTLY:
        return (
            f"was scanned at another angle ({here.angle:g} instead of {before.angle:g} degree)",
            turned > TURNED,
        )
    shared = _shared_area(before, here, recording)
    if shared < MUCH_OVERLAP:
        words = "nothing" if shared <= 0 else f"{shared:.0%} of its area"
        return f"shows another place, with {words} in common,", shared < LITTLE_OVERLAP
    return "", False


def _shared_area(before: Place, here: Place, recording: xr.Dataset) -> float:
    """Part of the area that two scans of one size share; 1 if it is unknown.

    The sense of the angle differs between instruments: of both, the one that leaves the larger area counts.
    """
    sizes = [_length(recording[dim]) for dim in (dims.Y, dims.X)]
    y, x = np.subtract(here.centre, before.centre)
    if not np.isfinite([y, x, *sizes]).all():
        return 1.0
    turn = np.exp(1j * np.deg2rad(np.nan_to_num(here.angle)))
    return max(_overlap((x + 1j * y) * way, sizes) for way in (turn, turn.conjugate()))


def _overlap(moved: complex, sizes: Sequence[float]) -> float:
    """Part of a rectangle (y, x) that it shares with itself, moved by x + iy."""
    shares = (1 - abs(d) / size for d, size in zip((moved.imag, moved.real), sizes, strict=True))
    return float(np.prod([max(0.0, share) for share in shares]))


def _length(axis: xr.DataArray) -> float:
    """Length of an axis [nm]; NaN if it is not calibrated."""
    if axis.attrs.get("units") != "nm" or axis.size < 2:
        return float("nan")
    return float(axis[-1] - axis[0]) * axis.size / (axis.size - 1)
