"""Angle, strain and shift of a crystal's pattern: first of the mean pattern of a region, then of every probe.

A pattern is modelled as even scattering on rings plus a disc at every node of the lattice, with a free intensity for each. The mean
pattern of a region is fitted by Gauss-Newton steps. A single pattern differs little from that of its region, so that one step of Fisher
scoring from there has the information of all its electrons, and a known sd.

Source: Rao 1948, doi:10.1017/S0305004100023987, scoring; Fisher information of Poisson counts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from invae.analysis.grains.discs import BEAM, on_rings

NAMES = ("angle", "strain_yy", "strain_xx", "strain_yx", "shift_y", "shift_x")
"""Numbers of the pose; those of strain deform the reflections."""
PRIOR_SD = np.array([np.radians(1.5), 0.01, 0.01, 0.01, 0.5, 0.5])
"""Sd of the pose of a probe relative to its region [rad, 1, px]."""
TURNS = np.radians(np.arange(-5, 6) * 0.7)
"""Turns of a probe relative to its region from which a step of scoring starts [rad]."""
STEPS = 5
LONGEST = np.array([np.radians(2.0), 0.02, 0.02, 0.02, 1.0, 1.0])
"""Largest change in a step of the fit of a region."""
FLOOR = 0.02
"""Least rate of a pixel, relative to the mean."""
WIDTHS = (0.08, 0.16, 0.3)
"""Widths of the edge of a disc that are tried, relative to its radius."""

Image = Float[np.ndarray, "y x"]


@dataclass(frozen=True)
class Optics:
    """The geometry that all patterns share."""

    centre: tuple[float, float]
    """Optic axis (y, x) [px]."""
    radius: float
    """Of a disc [px]."""
    width: float
    """Of its edge [px]."""
    valid: np.ndarray
    """bool (y, x)."""


@dataclass(frozen=True)
class RegionModel:
    """The fitted mean pattern of a region, and its derivatives."""

    basis: Float[np.ndarray, "2 2"]
    """Vectors of the lattice [px]."""
    rate: Float[np.ndarray, " pixel"]
    """Mean electrons of the valid pixels in one pattern."""
    slopes: Float[np.ndarray, "number pixel"]
    """Derivatives of the rate by the pose."""
    intensity: Float[np.ndarray, " node"]
    """Electrons per pixel in the discs, the direct beam first."""
    index: Float[np.ndarray, "node 2"]
    """Indices of the nodes."""
    misfit: float
    """Mean squared residual in units of Poisson noise."""
    shift: Float[np.ndarray, " axis"]
    """Of the pattern [px]."""
    even: Float[np.ndarray, " pixel"]
    """Scattering that is even on rings [electron]."""

    @property
    def information(self) -> Float[np.ndarray, "number number"]:
        """Fisher information of one mean pattern about the pose."""
        return (self.slopes / self.rate) @ self.slopes.T


def fit_region(
    pattern: Image, basis: np.ndarray, optics: Optics, *, n_patterns: float, steps: int = STEPS
) -> RegionModel:
    """The model of a region's mean pattern.

    Args:
        pattern: mean of the region [electron].
        basis: vectors of its lattice, nearly right [px].
        optics: of all patterns.
        n_patterns: number of patterns in the mean.
        steps: of the fit of the pose.
    """
    index = _indices(basis, optics, pattern.shape)
    shift = np.zeros(2)
    model = _solved(pattern, basis, shift, index, optics, n_patterns=n_patterns)
    for _ in range(steps):
        values = pattern[optics.valid]
        score = (model.slopes / model.rate) @ (values - model.rate)
        prior = np.diag(1 / (10 * PRIOR_SD) ** 2) / n_patterns
        step = np.clip(np.linalg.solve(model.information + prior, score), -LONGEST, LONGEST)
        basis, shift = moved(basis, step), shift + step[4:]
        model = _solved(pattern, basis, shift, index, optics, n_patterns=n_patterns)
    return model


def moved(basis: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Vectors (2, 2) after a small change of angle and strain."""
    angle, yy, xx, yx = pose[:4]
    deformed = basis @ np.array([[1 + yy, yx], [yx, 1 + xx]])
    cos, sin = np.cos(angle), np.sin(angle)
    return deformed @ np.array([[cos, sin], [-sin, cos]])


def decomposed(basis: np.ndarray, reference: np.ndarray) -> tuple[float, np.ndarray]:
    """Angle [rad] and symmetric strain (2, 2) that turn and deform a reference into a basis; rows are vectors."""
    matrix = np.linalg.solve(reference, basis).T  # place′ = matrix @ place
    left, values, right = np.linalg.svd(matrix)
    rotation = left @ right
    stretch = right.T @ np.diag(values) @ right
    strain = rotation @ stretch @ rotation.T - np.eye(2)
    return float(np.arctan2(rotation[1, 0], rotation[0, 0])), strain


def _indices(basis: np.ndarray, optics: Optics, shape: tuple[int, ...]) -> np.ndarray:
    """Indices of the nodes whose disc lies on the detector, the direct beam first (node, 2)."""
    corner = float(np.hypot(shape[0], shape[1]))
    order = int(np.ceil(corner / np.linalg.svd(basis, compute_uv=False)[-1]))
    index = np.indices((2 * order + 1, 2 * order + 1)).reshape(2, -1).T - order
    y, x = (index @ basis + optics.centre).T
    edge = 0.5 * optics.radius
    inside = (y > edge) & (x > edge) & (y < shape[0] - 1 - edge) & (x < shape[1] - 1 - edge)
    near = np.zeros(len(index), bool)
    rows, columns = np.clip(np.rint(y[inside]).astype(int), 0, shape[0] - 1), np.clip(np.rint(x[inside]).astype(int), 0, shape[1] - 1)  # fmt: skip
    near[inside] = optics.valid[rows, columns]
    near |= ~index.any(1)
    index = index[near]
    return index[np.argsort(np.abs(index).sum(1), kind="stable")].astype(float)


def _solved(
    pattern: Image, basis: np.ndarray, shift: np.ndarray, index: np.ndarray, optics: Optics, *, n_patterns: float
) -> RegionModel:  # fmt: skip
    """Intensities of the discs for a pose, and the derivatives there."""
    valid = optics.valid
    discs, *_ = _discs_at(basis, shift, index, optics)
    even = on_rings(pattern, valid=valid & _away(pattern.shape, optics), centre=optics.centre)
    parts = np.concatenate((even[valid][None], discs))
    values = pattern[valid]
    weight = 1 / np.maximum(values + FLOOR * values.mean(), 1e-12)
    normal = (parts * weight) @ parts.T
    normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
    amount = np.maximum(np.linalg.solve(normal, (parts * weight) @ values), 0)
    rate, slopes = _rate(basis, shift, index, amount[1:], amount[0] * even[valid], optics)
    misfit = float(((values - rate) ** 2 / rate).mean()) * n_patterns
    return RegionModel(basis, rate, slopes, amount[1:], index, misfit, shift, amount[0] * even[valid])  # fmt: skip


def _discs_at(
    basis: np.ndarray, shift: np.ndarray, index: np.ndarray, optics: Optics
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Discs of height 1 at the nodes (node, pixel), and the distance of pixels from them along y, along x and in all."""
    y, x = np.nonzero(optics.valid)
    at = index @ basis + shift + optics.centre
    down, right = y - at[:, :1], x - at[:, 1:]
    distance = np.hypot(down, right)
    discs = 1 / (1 + np.exp(np.clip((distance - optics.radius) / optics.width, -50, 50)))
    return discs, down, right, distance


def _rate(
    basis: np.ndarray, shift: np.ndarray, index: np.ndarray, intensity: np.ndarray, even: np.ndarray, optics: Optics
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Mean electrons of the valid pixels (pixel,), and their derivatives by the pose (number, pixel)."""
    discs, down, right, distance = _discs_at(basis, shift, index, optics)
    rate = even + intensity @ discs
    rate = np.maximum(rate, FLOOR * max(float(rate.mean()), 1e-12))
    edge = intensity[:, None] * discs * (1 - discs) / optics.width / np.maximum(distance, 1e-6)
    slope_y, slope_x = edge * down, edge * right  # of the rate by the position of each disc
    py, px = (index @ basis).T[:, :, None]
    slopes = np.stack(
        [
            (slope_x * py - slope_y * px).sum(0),
            (slope_y * py).sum(0),
            (slope_x * px).sum(0),
            (slope_y * px + slope_x * py).sum(0),
            slope_y.sum(0),
            slope_x.sum(0),
        ]
    )
    return rate, slopes


def _away(shape: tuple[int, ...], optics: Optics) -> np.ndarray:
    y, x = np.indices(shape)
    distance = np.hypot(y - optics.centre[0], x - optics.centre[1])
    return distance > BEAM * optics.radius


def sharpened(
    patterns: Float[np.ndarray, "region y x"], bases: np.ndarray, optics: Optics, *, n_patterns: np.ndarray
) -> Optics:  # fmt: skip
    """The optics with the radius and the edge of a disc that fit some regions best."""
    best, least = optics, np.inf
    for radius in optics.radius * np.linspace(0.8, 1.3, 11):
        for width in WIDTHS:
            tried = Optics(optics.centre, float(radius), max(float(width * radius), 0.15), optics.valid)  # fmt: skip
            misfit = sum(
                fit_region(one, basis, tried, n_patterns=n, steps=1).misfit
                for one, basis, n in zip(patterns, bases, n_patterns, strict=True)
            )
            if misfit < least:
                best, least = tried, misfit
    return best


def poses_of(
    counts: Float[np.ndarray, "probe pixel"], model: RegionModel, optics: Optics
) -> tuple[np.ndarray, np.ndarray]:
    """Pose of every probe relative to its region, and its sd (probe, number).

    A step of scoring starts from the most likely of several turns.

    Args:
        counts: valid pixels of the patterns.
        model: of the region.
        optics: of all patterns.
    """
    rates, slopes = _turned_models(model, optics)
    likelihood = counts @ np.log(rates / rates.sum(1, keepdims=True)).T
    start = np.argmax(likelihood - (TURNS / PRIOR_SD[0]) ** 2 / 2, axis=1)
    poses, sds = np.empty((len(counts), len(NAMES))), np.empty((len(counts), len(NAMES)))
    for number in np.unique(start):
        here = start == number
        first = np.zeros(len(NAMES))
        first[0] = TURNS[number]
        poses[here], sds[here] = _scored(counts[here], rates[number], slopes[number], first)
    return poses, sds


def _turned_models(model: RegionModel, optics: Optics) -> tuple[np.ndarray, np.ndarray]:
    """Rate (turn, pixel) of a region that is turned, and its derivatives (turn, number, pixel)."""
    rates, slopes = [], []
    for turn in TURNS:
        basis = moved(model.basis, np.array([turn, 0.0, 0.0, 0.0]))
        rate, slope = _rate(basis, model.shift, model.index, model.intensity, model.even, optics)
        rates.append(rate)
        slopes.append(slope)
    return np.array(rates), np.array(slopes)


def _scored(
    counts: np.ndarray, rate: np.ndarray, slopes: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pose and its sd (probe, number) by one step of scoring from a first pose."""
    scale = counts.sum(1) / rate.sum()
    weights = slopes / rate
    score = counts @ weights.T - scale[:, None] * slopes.sum(1) - first / PRIOR_SD**2
    information = scale[:, None, None] * (weights @ slopes.T) + np.diag(1 / PRIOR_SD**2)
    covariance = np.linalg.inv(information)
    step = (covariance @ score[:, :, None])[..., 0]
    return first + step, np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
