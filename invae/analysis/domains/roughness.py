"""Roughness of walls: ⟨[u(s + r) − u(s)]²⟩ ∝ r^2ζ of their displacement u from a straight line.

ζ is fitted to second differences, ⟨[u(s + r) − 2u(s) + u(s − r)]²⟩, which follow the same law but do not feel the slope and the length
of a wall: first differences of walls of 256 px give 0.70 in place of 0.9. The law is that of the spectrum q^−(1+2ζ), seen through the
smoothing before the walls were traced, exp(−q²σ²/2); without it ζ = 0.4 would come out as 0.54. Distances below four smoothings are left
out all the same.

Source: Paruch, Giamarchi & Triscone 2005, doi:10.1103/PhysRevLett.94.197601, eq. 1; the second differences are of this project.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.domains.quantities import Quantity
from invae.descriptors.domains.walls import Contour

DISTANCE = "distance"
SMOOTHINGS = 4.0
"""Smallest distance in sd of the smoothing."""
LONGEST = 50.0
"""Largest distance [px]."""
SHARE = 0.2
"""Largest distance, relative to the length of a wall."""
LEAST_RANGE = 2.5
"""Smallest ratio of the largest and the smallest distance."""
LEAST_WALLS = 10
N_RESAMPLED = 200
EXPONENTS = np.linspace(0.05, 1.3, 126)
WAVES = np.linspace(0, np.pi, 4001)[1:]
"""Wave numbers of the spectrum [1/px]."""
STEEP = 1.0
"""Largest step of a wall sideways per step along it: a wall beyond that overhangs."""

ZETA = Quantity("roughness_exponent", "exponent ζ of the roughness of walls")


def displacement(points: np.ndarray) -> np.ndarray | None:
    """Displacement of a wall from its straight line, at steps of 1 px along it [px]; none if it overhangs or is closed."""
    if len(points) < 3 or Contour(points).closed:
        return None
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    along, aside = centred @ axes[0], centred @ axes[1]
    if along[-1] < along[0]:
        along, aside = along[::-1], aside[::-1]
    highest = np.maximum.accumulate(along)
    if (highest - along).max() > STEEP:
        return None
    rising = np.concatenate([[True], np.diff(highest) > 0])
    steps = np.arange(np.ceil(along[0]), np.floor(along[-1]) + 1)
    return np.interp(steps, along[rising], aside[rising])


def differences(line: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Mean squared first and second differences of a line at whole distances (order, distance) [px²]; NaN beyond a share of its length."""
    values = np.full((2, len(distances)), np.nan)
    for place, r in enumerate(distances):
        if r <= SHARE * len(line):
            values[0, place] = np.mean((line[r:] - line[:-r]) ** 2)
            values[1, place] = np.mean((line[2 * r :] - 2 * line[r:-r] + line[: -2 * r]) ** 2)
    return values


def expected(distances: np.ndarray, *, smoothing: float) -> np.ndarray:
    """Second differences of lines with each of `EXPONENTS`, up to a factor (exponent, distance)."""
    seen = np.exp(-((WAVES * smoothing) ** 2))
    waves = 4 * (1 - np.cos(WAVES * distances[:, None])) ** 2
    spectra = WAVES ** -(1 + 2 * EXPONENTS[:, None])
    return (spectra * seen) @ waves.T


def roughness(
    lines: Sequence[np.ndarray], *, smoothing: float, seed: int
) -> tuple[Quantity, xr.Dataset]:
    """ζ with its interval, or why it is not given; and the squared differences over the distance.

    Args:
        lines: displacements at steps of 1 px [px].
        smoothing: sd of the smoothing before walls were traced [px].
        seed: of resampled walls.
    """
    smallest = int(np.ceil(SMOOTHINGS * smoothing))
    needed = LEAST_RANGE * smallest / SHARE
    long = [line for line in lines if len(line) >= needed]
    largest = min(LONGEST, max((SHARE * len(line) for line in lines), default=0.0))
    distances = np.unique(np.geomspace(1, max(largest, 2), 24).astype(int))
    used = long or list(lines)
    curves = np.array([differences(line, distances) for line in used]).reshape(
        -1, 2, len(distances)
    )
    weights = np.array([len(line) for line in used], float)
    curve = _curve(distances, _mean(curves, weights), smallest)
    if len(long) < LEAST_WALLS:
        reason = f"{len(long)} walls without overhangs are {needed:.0f} px long; the roughness needs {LEAST_WALLS}"
        return ZETA.without(reason), curve
    right = (distances >= smallest) & np.isfinite(curves[:, 1]).any(axis=0)
    law = np.log(expected(distances[right], smoothing=smoothing))
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(long), (N_RESAMPLED, len(long)))
    second = curves[:, 1][:, right]
    values = [_zeta(_mean(second[row], weights[row]), law) for row in drawn]
    return ZETA.having(_zeta(_mean(second, weights), law), values), curve


def _zeta(mean: np.ndarray, law: np.ndarray) -> float:
    """The exponent whose law differs least from the second differences, up to a factor."""
    known = np.isfinite(mean)
    rest = np.log(mean[known]) - law[:, known]
    return float(EXPONENTS[int(np.argmin(rest.var(axis=1)))])


def _mean(curves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over lines, of the known values."""
    weights = weights.reshape(-1, *[1] * (curves.ndim - 1))
    total = (weights * np.nan_to_num(curves)).sum(axis=0)
    count = (weights * np.isfinite(curves)).sum(axis=0)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _curve(distances: np.ndarray, values: np.ndarray, smallest: int) -> xr.Dataset:
    words = (
        "mean squared difference of the displacement of walls",
        "the same of second differences",
    )
    names = ("roughness", "second_differences")
    columns = {
        name: (DISTANCE, value, dims.attrs(long_name, "pixel**2"))
        for name, value, long_name in zip(names, values, words, strict=True)
    }
    along = (DISTANCE, distances.astype(float), dims.attrs("distance along the wall", "pixel"))
    curve = xr.Dataset(columns, coords={DISTANCE: along})
    return curve.assign_attrs(smallest_distance=smallest)


def lines_of(contours: xr.Dataset) -> list[np.ndarray]:
    """Displacements of all walls of a series that do not overhang.

    Args:
        contours: `contour`, `y`, `x` (point) [pixel], wall by wall.
    """
    number = contours["contour"].to_numpy()
    points = np.column_stack([contours[axis].to_numpy() for axis in (dims.Y, dims.X)])
    cuts = np.flatnonzero(np.diff(number)) + 1
    found = [displacement(wall.astype(float)) for wall in np.split(points, cuts)]
    return [line for line in found if line is not None]
