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
from invae.scans.deflection import Field, Rotation
from invae.scans.virtual import maps_from

K = "k"
WANDERS = 0.25
"""Range of a plane through the centre of mass above which the beam wanders over the scan [radius of the disc]."""
CLEARLY = 3.0
"""Smallest ratio of that range to the rms of what is left."""
FEWEST = 8
"""Fewest rows and columns of a scan in which a plane is told from the field of the specimen."""
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
    """Sums of the pass over a scan."""

    moments: np.ndarray
    """Sums under every virtual detector (map, scan_y, scan_x)."""
    mean: np.ndarray
    """Mean pattern (k_y, k_x)."""
    highest: np.ndarray
    """Largest value of every detector pixel (k_y, k_x)."""


def coordinates(recording: xr.Dataset, calibration: Calibration) -> xr.Dataset:
    """The coordinates of the kept patterns; k is 0 at the optic axis."""
    coords = {}
    for index, dim in enumerate((dims.K_Y, dims.K_X)):
        pixels = np.arange(calibration.window.shape[index])
        values = (pixels - calibration.centre[index]) * calibration.steps[index]
        name = f"scattering angle, {'down' if dim == dims.K_Y else 'right'}"
        coords[dim] = (dim, values, dims.attrs(name, calibration.units))
    empty = recording.drop_vars(["pattern", dims.K_Y, dims.K_X], errors="ignore")
    return empty.assign_coords(coords)


def maps_dataset(
    images: Images, recording: xr.Dataset, calibration: Calibration, config: ScanConfig
) -> tuple[xr.Dataset, list[str]]:
    """The group `maps` without the radial profile, and remarks on it."""
    maps = maps_from(images.moments, calibration.detectors)
    steps, notes = _scan_steps(recording), []
    notes += _wandering((maps["com_y"], maps["com_x"]), calibration, config)
    field = deflection.without_descan((maps["com_y"], maps["com_x"]), config.descan)
    rotation, remark = _rotation(field, config, steps)
    maps["com_y"], maps["com_x"] = deflection.rotated(field, rotation)
    maps["com_r"] = np.hypot(maps["com_y"], maps["com_x"])
    notes += remark
    empty = int(np.isnan(maps["com_r"]).sum())
    if empty:
        notes.append(f"patterns without counts: {empty}; they have no centre of mass")
    counts = str(recording["pattern"].attrs.get("units", "1"))
    variables = _variables(maps, images, calibration, counts=counts)
    step = math.sqrt(calibration.steps[0] * calibration.steps[1])
    rings = np.arange(len(calibration.detectors.ring_sizes)) * step
    distance = (K, rings, dims.attrs("distance from the optic axis", calibration.units))
    coords = coordinates(recording, calibration).coords
    group = xr.Dataset(variables, coords).assign_coords({K: distance})
    return group.assign_attrs(_attrs(calibration, rotation, config)), notes


def _wandering(field: Field, calibration: Calibration, config: ScanConfig) -> list[str]:
    """A line if the beam wanders over the scan, so that patterns are not where the mean pattern is."""
    if min(field[0].shape) < FEWEST or not calibration.disc_radius:
        return []
    distance, left = deflection.wandering(field)
    pixels = distance / math.sqrt(abs(calibration.steps[0] * calibration.steps[1]))
    if pixels < WANDERS * calibration.disc_radius or distance < CLEARLY * left:
        return []
    maps = (
        "set ingest.scan.descan=plane to subtract it from the maps of the centre of mass"
        if config.descan == "none"
        else "it is subtracted from the maps of the centre of mass"
    )
    return [
        f"the patterns wander by {pixels:.1f} pixels over the scan (descan): {maps}; patches are cut around the mean axis, so that "
        "they wander too, unless describe.descan=plane moves the patterns back"
    ]


def _variables(
    maps: Mapping[str, np.ndarray], images: Images, calibration: Calibration, *, counts: str
) -> dict[str, Any]:
    """Maps over the scan and over the detector, with their names and units."""
    scan, detector = (dims.SCAN_Y, dims.SCAN_X), (dims.K_Y, dims.K_X)
    variables: dict[str, Any] = {}
    for name, long_name in NAMES.items():
        units = calibration.units if name.startswith("com") else counts
        variables[name] = (scan, maps[name].astype(np.float32), dims.attrs(long_name, units))
    mean = images.mean.astype(np.float32)
    return variables | {
        "mean_pattern": (detector, mean, dims.attrs("mean of all patterns", counts)),
        "max_pattern": (detector, images.highest, dims.attrs("largest of all patterns", counts)),
        "detector_valid": (detector, calibration.valid, dims.attrs("neither hot nor dead")),
    }


def _rotation(
    field: Field, config: ScanConfig, steps: tuple[float, float]
) -> tuple[Rotation, list[str]]:
    """The configured rotation of the centre-of-mass vectors, and a remark on an estimated one."""
    if config.rotation == "none":
        return Rotation(0.0, transposed=False), []
    if config.rotation != "auto":
        return Rotation(math.radians(config.rotation), transposed=False), []
    rotation = deflection.least_curl(field, steps=steps)
    if rotation is None:
        return Rotation(0.0, transposed=False), [
            "the centre of mass does not show the rotation between detector and scan; it is set to 0 "
            "(set ingest.scan.rotation)"
        ]
    transposed = " and its axes are exchanged" if rotation.transposed else ""
    return rotation, [
        f"the centre of mass is rotated by {math.degrees(rotation.angle):.1f} degrees{transposed}, for least curl"
    ]


def _scan_steps(recording: xr.Dataset) -> tuple[float, float]:
    """Distance of neighbouring probes (y, x) in one unit; 1 if their units differ."""
    axes = [recording[dim] for dim in (dims.SCAN_Y, dims.SCAN_X)]
    if min(axis.size for axis in axes) < 2 or axes[0].attrs.get("units") != axes[1].attrs.get("units"):  # fmt: skip
        return 1.0, 1.0
    y, x = (float(axis[1] - axis[0]) for axis in axes)
    return (y, x) if y > 0 and x > 0 else (1.0, 1.0)


def _attrs(calibration: Calibration, rotation: Rotation, config: ScanConfig) -> Mapping[str, Any]:
    """Parameters that are needed to read the maps."""
    return {
        "centre": list(calibration.centre),
        "disc_radius": calibration.disc_radius,
        "ellipse_ratio": calibration.ellipse_ratio,
        "ellipse_angle": calibration.ellipse_angle,
        "scan_rotation": rotation.angle,
        "transposed": rotation.transposed,
        "descan": config.descan,
        "bands": {
            name: [inner, min(outer, 1e9)] for name, (inner, outer) in calibration.bands.items()
        },
    }
