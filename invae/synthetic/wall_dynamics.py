"""What else moves the walls of a simulated ferroelectric: thermal noise and pins that the amplitude does not show; and how walls move.

dp/dt = … + ∇·((g − 1)∇p) + q (1 − p²) + noise. Both the gradient coefficient g and the charge q act inside a wall only, so that
p stays ±1 in the domains around such a pin. The noise has the variance 2T dt/h² per step (h: side of a pixel), so that a wall
under a small field creeps from pin to pin.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from invae.config.synthetic import DomainsConfig
from invae.synthetic.landau import PIXEL, TIME_STEP

SMALLEST_GRADIENT = 0.1
"""Smallest gradient coefficient; at 0 there would be no wall."""
STEEP = 0.98
"""Largest |p| for which arctanh p, which rises evenly across a wall, is taken."""
Noise = Callable[[int], np.random.Generator]
"""The generator of the thermal noise of a frame."""


@dataclass
class Disorder:
    """Additional terms of the equation of motion."""

    gradient: np.ndarray | None = None
    """Gradient coefficient (y, x): 1 in the bulk, lower at pins, where a wall has less energy."""
    charge: np.ndarray | None = None
    """Field inside a wall (y, x)."""
    temperature: float = 0.0
    """In units of the Landau model."""
    noise: Noise | None = None
    _generator: np.random.Generator = field(default_factory=np.random.default_rng)

    def begin(self, frame: int) -> None:
        """Begin the noise of a frame."""
        if self.noise is not None:
            self._generator = self.noise(frame)

    def change(self, padded: np.ndarray) -> np.ndarray:
        """The change of p (y, x) in one time step; `padded` is p with one periodic pixel on each side."""
        p = padded[1:-1, 1:-1]
        total = np.zeros_like(p)
        if self.gradient is not None:
            total += np.float32(TIME_STEP / PIXEL**2) * _divergence(self.gradient - 1, padded)
        if self.charge is not None:
            total += np.float32(TIME_STEP) * self.charge * (1 - p * p)
        if self.temperature > 0:
            sd = math.sqrt(2 * self.temperature * TIME_STEP) / PIXEL
            total += np.float32(sd) * self._generator.standard_normal(p.shape, np.float32)
        return total


def _divergence(coefficient: np.ndarray, padded: np.ndarray) -> np.ndarray:
    """∇·(coefficient ∇p) with fluxes through the sides of pixels [per pixel²]."""
    total = np.zeros_like(coefficient)
    for axis in (0, 1):
        core = padded[:, 1:-1] if axis == 0 else padded[1:-1]
        side = (coefficient + np.roll(coefficient, 1, axis)) / 2
        flux = np.diff(core, axis=axis)
        last = np.take(side, [0], axis)
        total += np.diff(flux * np.concatenate([side, last], axis), axis=axis)
    return total


def disorder(config: DomainsConfig, pins: np.ndarray, noise: Noise) -> Disorder | None:
    """The additional terms of a configuration; none if it has neither hidden pins nor a temperature.

    Args:
        config: of the series.
        pins: shape of the pins (y, x), their depth at a centre and 0 far away.
        noise: generator of a frame.
    """
    kind, temperature = config.sample.pins.kind, config.sample.temperature
    pins = pins.astype(np.float32)
    if kind == "well" and temperature == 0:
        return None
    return Disorder(
        np.maximum(1 + pins, SMALLEST_GRADIENT) if kind == "gradient" else None,
        pins if kind == "charged" else None,
        temperature,
        noise,
    )


def wall_velocity(scanned: np.ndarray, rate: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """Normal velocity of the walls (y, x) [pixel per frame], positive if the positive domain grows; NaN elsewhere.

    Args:
        scanned: polarization (y, x).
        rate: its change per frame.
        wall: pixels of walls, bool.
    """
    p = np.clip(scanned.astype(np.float64), -STEEP, STEEP)
    slope = np.hypot(*np.gradient(np.arctanh(p)))
    change = rate / (1 - p**2)
    return np.divide(change, slope, out=np.full(p.shape, np.nan), where=wall & (slope > 0.05))


def wall_curvature(scanned: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """Curvature −∇·(∇p/|∇p|) of the walls (y, x) [1/pixel], positive around a positive disc; NaN elsewhere."""
    d_y, d_x = np.gradient(np.arctanh(np.clip(scanned, -STEEP, STEEP)).astype(np.float64))
    slope = np.maximum(np.hypot(d_y, d_x), 1e-6)
    bend = -np.gradient(d_y / slope, axis=0) - np.gradient(d_x / slope, axis=1)
    return np.where(wall, bend, np.nan)


class SwitchingTimes:
    """Time of the first change of sign of every pixel within a frame [frames]; NaN where there is none."""

    def __init__(self, polarization: np.ndarray) -> None:
        """Begin with the polarization (y, x) at the start of the frame."""
        self._positive = polarization > 0
        self.times = np.full(polarization.shape, np.nan, np.float32)

    def look(self, polarization: np.ndarray, time: float) -> None:
        """Note the pixels whose sign has changed by this time."""
        changed = ((polarization > 0) != self._positive) & np.isnan(self.times)
        self.times[changed] = time
