"""Centre-of-mass maps: subtraction of the tilt of the scan, and rotation into the axes of the scan.

Vectors are (y, x), y down; a positive angle rotates them as `np.rot90` rotates an image.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

SMOOTHING = 1.0
"""Sd of the Gaussian smoothing before derivatives, which noise would dominate otherwise [scan pixel]."""
NEIGHBOURHOOD = 8.0
"""Number of scan pixels whose smoothed derivatives count as one independent value."""
MIN_CONTRAST = 4.0
"""Smallest contrast between curl and divergence, in units of that of noise, at which a rotation is accepted."""

Field = tuple[np.ndarray, np.ndarray]
"""The y and the x component over the scan (scan_y, scan_x); nan without counts."""


@dataclass(frozen=True)
class Rotation:
    """The orientation of the detector's axes in the scan."""

    angle: float
    """Angle by which vectors are rotated, after the exchange [rad], −π … π."""
    transposed: bool
    """Whether y and x of the detector are exchanged first."""
    contrast: float = math.inf
    """Contrast between curl and divergence, in units of that of noise."""


def without_descan(field: Field, kind: Literal["none", "plane", "parabola"]) -> Field:
    """The field minus the least-squares plane or parabola of each component."""
    if kind == "none":
        return field
    rows, columns = field[0].shape
    y, x = np.meshgrid(_centred(rows), _centred(columns), indexing="ij")
    terms = [np.ones_like(y), y, x]
    if kind == "parabola":
        terms += [y * y, y * x, x * x]
    matrix = np.stack([term.ravel() for term in terms], axis=1)
    corrected = []
    for component in field:
        finite = np.isfinite(component.ravel())
        fitted = np.linalg.lstsq(matrix[finite], component.ravel()[finite], rcond=None)[0]
        corrected.append(component - (matrix @ fitted).reshape(rows, columns))
    return corrected[0], corrected[1]


def wandering(field: Field) -> tuple[float, float]:
    """How far the centre of mass wanders over the scan as a plane, and the rms of what is left [unit of the field]."""
    if not any(np.isfinite(component).any() for component in field):
        return 0.0, 0.0
    flat = without_descan(field, "plane")
    planes = [component - left for component, left in zip(field, flat, strict=True)]
    range_of = [float(np.nanmax(plane) - np.nanmin(plane)) for plane in planes]
    left_over = float(np.sqrt(sum(np.nanmean(left**2) for left in flat)))
    return math.hypot(*range_of), left_over


def rotated(field: Field, rotation: Rotation) -> Field:
    """The field in the axes of the scan."""
    y, x = field[::-1] if rotation.transposed else field
    cos, sin = math.cos(rotation.angle), math.sin(rotation.angle)
    return cos * y - sin * x, cos * x + sin * y


def least_curl(field: Field, *, steps: tuple[float, float] = (1.0, 1.0)) -> Rotation | None:
    """The rotation that minimises the curl of the field, since the gradient of a potential has none; none if noise dominates.

    Least curl leaves an ambiguity of half a turn. The rotation is chosen so that the sinks of the field are sharper than its sources,
    since electrons are attracted by nuclei. The axes are exchanged only if that clearly reduces the curl.

    Args:
        field: Centre of mass over the scan, without the tilt of the scan.
        steps: Distance of neighbouring probes (y, x), in one unit.
    """
    if min(field[0].shape) < 3:
        return None
    plain = _rotation(field, steps, transposed=False)
    exchanged = _rotation(field, steps, transposed=True)
    best = exchanged if exchanged.contrast > plain.contrast + MIN_CONTRAST else plain
    return best if best.contrast > MIN_CONTRAST else None


def _rotation(field: Field, steps: tuple[float, float], *, transposed: bool) -> Rotation:
    """Curl² after a rotation by φ is mean + contrast · cos 2(φ − φ₀); its minimum has a closed form."""
    y, x = field[::-1] if transposed else field
    curl, divergence = _derivatives(y, x, steps)
    half = (float(np.mean(divergence**2)) - float(np.mean(curl**2))) / 2
    mixed = -float(np.mean(curl * divergence))
    total = (float(np.mean(divergence**2)) + float(np.mean(curl**2))) / 2
    if not total > 0:
        return Rotation(0.0, transposed, 0.0)
    angle = 0.5 * math.atan2(mixed, half)
    sources = math.cos(angle) * divergence - math.sin(angle) * curl
    if float(np.mean((sources - sources.mean()) ** 3)) > 0:
        angle -= math.copysign(math.pi, angle)
    contrast = math.hypot(half, mixed) / total * math.sqrt(curl.size / NEIGHBOURHOOD)
    return Rotation(angle, transposed, contrast)


def _derivatives(
    y: np.ndarray, x: np.ndarray, steps: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Curl (that is, ∂x/∂y − ∂y/∂x) and divergence of a field."""
    y, x = (
        ndimage.gaussian_filter(np.nan_to_num(part, nan=float(np.nanmean(part))), SMOOTHING)
        for part in (y, x)
    )
    (y_down, y_right), (x_down, x_right) = np.gradient(y, *steps), np.gradient(x, *steps)
    return x_down - y_right, y_down + x_right


def _centred(n: int) -> np.ndarray:
    return np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
