"""The maps of a scan with their names, units and coordinates: the group `maps` of recording.zarr."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.config import ScanConfig
from invae.scans import deflection
from invae.scans.calibration import Calibration
from invae.scans.deflection import Field, Turn
from invae.scans.virtual import maps_from

K = "k"
NAMES = {
    "sum": "all counts",
    "bf": "bright field",
    "abf": "annular bright field",
    "haadf": "annular dark field",
    "com_y": "centre of mass, down",
    "com_x": "centre of mass, right",
    "com_r": "distance of the centre of mass from the axis",
}


@dataclass(frozen=True, eq=False)
class Images:
    """What the pass found."""

    moments: np.ndarray
    """Sums under every virtual detector (map, scan_y, scan_x)."""
    mean: np.ndarray
    """Mean pattern (k_y, k_x)."""
    highest: np.ndarray
    """Largest value of every detector pixel (k_y, k_x)."""


def coordinates(recording: xr.Dataset, calibration: Calibration) -> xr.Dataset:
    """The coordinates of the patterns that are kept; k is 0 at the optic axis."""
    places = {}
    for index, dim in enumerate((dims.K_Y, dims.K_X)):
        pixels = np.arange(calibration.window.shape[index])
        values = (pixels - calibration.centre[index]) * calibration.steps[index]
        name = f"scattering angle, {'down' if dim == dims.K_Y else 'right'}"
        places[dim] = (dim, values, dims.attrs(name, calibration.units))
    empty = recording.drop_vars(["pattern", dims.K_Y, dims.K_X], errors="ignore")
    return empty.assign_coords(places)


def labelled(
    images: Images, recording: xr.Dataset, calibration: Calibration, config: ScanConfig
) -> tuple[xr.Dataset, list[str]]:
    """The group `maps` but for the radial profile, and remarks on it."""
    maps = maps_from(images.moments, calibration.detectors)
    steps, notes = _scan_steps(recording), []
    field = deflection.without_descan((maps["com_y"], maps["com_x"]), config.descan)
    turn, remark = _turn(field, config, steps)
    maps["com_y"], maps["com_x"] = deflection.turned(field, turn)
    maps["com_r"] = np.hypot(maps["com_y"], maps["com_x"])
    notes += remark
    empty = int(np.isnan(maps["com_r"]).sum())
    if empty:
        notes.append(f"patterns without counts: {empty}; they have no centre of mass")
    counts = str(recording["pattern"].attrs.get("units", "1"))
    scan, detector = (dims.SCAN_Y, dims.SCAN_X), (dims.K_Y, dims.K_X)
    variables: dict[str, Any] = {
        name: (scan, maps[name].astype(np.float32), dims.attrs(long_name, _unit(name, counts, calibration)))
        for name, long_name in NAMES.items()
    }  # fmt: skip
    variables |= {
        "mean_pattern": (
            detector,
            images.mean.astype(np.float32),
            dims.attrs("mean of all patterns", counts),
        ),
        "max_pattern": (detector, images.highest, dims.attrs("largest of all patterns", counts)),
        "detector_valid": (
            detector,
            calibration.valid,
            dims.attrs("pixel is neither hot nor dead"),
        ),
    }
    told = coordinates(recording, calibration)
    step = math.sqrt(calibration.steps[0] * calibration.steps[1])
    rings = np.arange(len(calibration.detectors.ring_sizes)) * step
    distance = (K, rings, dims.attrs("distance from the optic axis", calibration.units))
    group = xr.Dataset(variables, told.coords).assign_coords({K: distance})
    return group.assign_attrs(_attrs(calibration, turn, config)), notes


def _unit(name: str, counts: str, calibration: Calibration) -> str:
    return calibration.units if name.startswith("com") else counts


def _turn(field: Field, config: ScanConfig, steps: tuple[float, float]) -> tuple[Turn, list[str]]:
    """The turn of the centre-of-mass vectors that is asked for, and a remark if it was not found."""
    if config.rotation == "none":
        return Turn(0.0, transposed=False), []
    if config.rotation != "auto":
        return Turn(math.radians(config.rotation), transposed=False), []
    found = deflection.least_curl(field, steps=steps)
    if found is None:
        return Turn(0.0, transposed=False), [
            "the centre of mass does not tell how the detector is turned against the scan; 0 is "
            "taken (set ingest.scan.rotation)"
        ]
    also = ", its axes exchanged" if found.transposed else ""
    return found, [
        f"the centre of mass is turned by {math.degrees(found.angle):.1f} degrees{also}, where it has least curl"
    ]


def _scan_steps(recording: xr.Dataset) -> tuple[float, float]:
    """Distance of neighbouring probes, y then x, in one unit; 1 if they differ in theirs."""
    axes = [recording[dim] for dim in (dims.SCAN_Y, dims.SCAN_X)]
    if min(axis.size for axis in axes) < 2 or axes[0].attrs.get("units") != axes[1].attrs.get("units"):  # fmt: skip
        return 1.0, 1.0
    y, x = (float(axis[1] - axis[0]) for axis in axes)
    return (y, x) if y > 0 and x > 0 else (1.0, 1.0)


def _attrs(calibration: Calibration, turn: Turn, config: ScanConfig) -> Mapping[str, Any]:
    """What a person, or the next stage, must know to read the maps."""
    return {
        "centre": list(calibration.centre),
        "disc_radius": calibration.disc_radius,
        "ellipse_ratio": calibration.ellipse_ratio,
        "ellipse_angle": calibration.ellipse_angle,
        "scan_rotation": turn.angle,
        "transposed": turn.transposed,
        "descan": config.descan,
        "bands": {
            name: [inner, min(outer, 1e9)] for name, (inner, outer) in calibration.bands.items()
        },
    }
