"""Centre-of-mass maps: the scan's own tilt taken off, and turned into the scan's axes.

Vectors are (y, x), y down; a positive angle turns them as `np.rot90` turns a picture.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

SMOOTHING = 1.0
"""Sd of the Gaussian before derivatives are taken, which noise would rule otherwise [scan pixel]."""
NEIGHBOURHOOD = 8.0
"""Scan pixels whose smoothed derivatives are one independent value, or nearly so."""
CLEAR = 4.0
"""Contrast between curl and divergence, in units of what noise alone has, from which a turn is believed."""

Field = tuple[np.ndarray, np.ndarray]
"""The y and the x component over the scan (scan_y, scan_x); nan where there are no counts."""


@dataclass(frozen=True)
class Turn:
    """How the detector's axes lie in the scan's."""

    angle: float
    """By which vectors are turned, after the exchange [rad], −π … π."""
    transposed: bool
    """Whether y and x of the detector are exchanged first."""
    clearness: float = math.inf
    """Contrast between curl and divergence, in units of what noise alone has."""


def without_descan(field: Field, kind: Literal["none", "plane", "parabola"]) -> Field:
    """The field less the plane or the parabola that fits each component best (least squares)."""
    if kind == "none":
        return field
    rows, columns = field[0].shape
    y, x = np.meshgrid(_centred(rows), _centred(columns), indexing="ij")
    terms = [np.ones_like(y), y, x]
    if kind == "parabola":
        terms += [y * y, y * x, x * x]
    matrix = np.stack([term.ravel() for term in terms], axis=1)
    flat = []
    for component in field:
        known = np.isfinite(component.ravel())
        fitted = np.linalg.lstsq(matrix[known], component.ravel()[known], rcond=None)[0]
        flat.append(component - (matrix @ fitted).reshape(rows, columns))
    return flat[0], flat[1]


def turned(field: Field, turn: Turn) -> Field:
    """The field in the scan's axes."""
    y, x = field[::-1] if turn.transposed else field
    cos, sin = math.cos(turn.angle), math.sin(turn.angle)
    return cos * y - sin * x, cos * x + sin * y


def least_curl(field: Field, *, steps: tuple[float, float] = (1.0, 1.0)) -> Turn | None:
    """The turn after which the field has least curl, as the gradient of a potential has none; none if it drowns in noise.

    Least curl leaves half a turn open: that one is taken after which the sinks of the field are sharper than its sources, since
    electrons are drawn to nuclei. The axes are exchanged only where that leaves clearly less curl.

    Args:
        field: Centre of mass over the scan, the tilt of the scan taken off.
        steps: Distance of neighbouring probes, (y, x), in one unit.
    """
    if min(field[0].shape) < 3:
        return None
    plain = _turn(field, steps, transposed=False)
    exchanged = _turn(field, steps, transposed=True)
    best = exchanged if exchanged.clearness > plain.clearness + CLEAR else plain
    return best if best.clearness > CLEAR else None


def _turn(field: Field, steps: tuple[float, float], *, transposed: bool) -> Turn:
    """Curl² after a turn by φ is mean + contrast · cos 2(φ − φ₀): its least value in closed form."""
    y, x = field[::-1] if transposed else field
    curl, divergence = _derivatives(y, x, steps)
    half = (float(np.mean(divergence**2)) - float(np.mean(curl**2))) / 2
    mixed = -float(np.mean(curl * divergence))
    total = (float(np.mean(divergence**2)) + float(np.mean(curl**2))) / 2
    if not total > 0:
        return Turn(0.0, transposed, 0.0)
    angle = 0.5 * math.atan2(mixed, half)
    sources = math.cos(angle) * divergence - math.sin(angle) * curl
    if float(np.mean((sources - sources.mean()) ** 3)) > 0:
        angle -= math.copysign(math.pi, angle)
    clearness = math.hypot(half, mixed) / total * math.sqrt(curl.size / NEIGHBOURHOOD)
    return Turn(angle, transposed, clearness)


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
