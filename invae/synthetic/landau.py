"""Switching of a polarization field: time-dependent Ginzburg-Landau on a periodic grid.

dp/dt = a(y, x) p - p^3 + laplacian(p) + E(t) + E_built_in(y, x),  a = 1 in the bulk.

A wall is tanh(distance / sqrt(2)); under a field it moves at v = 3 E / sqrt(2), and v_n = v - curvature.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

PIXEL = 0.7
"""Side of a pixel in units of the model's length."""
TIME_STEP = 0.1
"""Explicit Euler is stable below PIXEL**2 / 4 = 0.1225."""


def wall_speed(field: float, *, steps_per_frame: int) -> float:
    """Speed of a free planar wall [px/frame]; positive into the unswitched side."""
    return 3 * field / math.sqrt(2) * steps_per_frame * TIME_STEP / PIXEL


def critical_radius(field: float) -> float:
    """Radius at which a disc neither grows nor shrinks [px]."""
    return math.sqrt(2) / (3 * abs(field)) / PIXEL


class Terms(Protocol):
    """Additional terms of the equation of motion."""

    def begin(self, frame: int) -> None:
        """Begin a frame."""

    def change(self, padded: np.ndarray) -> np.ndarray:
        """The change of p (y, x) in one time step, from p with one periodic pixel on each side."""
        ...


@dataclass
class Ferroelectric:
    """The polarization of a periodic sample, evolved in place; +1 and -1 are the two domains."""

    polarization: np.ndarray
    """(y, x), float32."""
    well: np.ndarray
    """Quadratic coefficient a (y, x): 1 in the bulk, lower at pins."""
    bias: np.ndarray
    """Built-in field (y, x)."""
    depolarization: float = 0.0
    """Field opposed to the mean polarization, per unit of it."""
    terms: Terms | None = None

    def __post_init__(self) -> None:
        rows, columns = self.polarization.shape
        self._padded = np.zeros((rows + 2, columns + 2), np.float32)
        self._padded[1:-1, 1:-1] = self.polarization
        self.polarization = self._padded[1:-1, 1:-1]
        self._gain = (1 + TIME_STEP * self.well - 4 * TIME_STEP / PIXEL**2).astype(np.float32)
        self._drive = (TIME_STEP * self.bias).astype(np.float32)
        self._neighbours = np.empty((rows, columns), np.float32)
        self._factor = np.empty((rows, columns), np.float32)

    def effective_field(self, applied: float) -> float:
        """The applied field minus the depolarization."""
        if self.depolarization == 0:
            return applied
        return applied - self.depolarization * float(self.polarization.mean(dtype=np.float64))

    def step(self, field: float) -> None:
        """One time step under an effective field."""
        padded, p, neighbours, factor = (
            self._padded,
            self.polarization,
            self._neighbours,
            self._factor,
        )
        padded[0], padded[-1] = padded[-2], padded[1]
        padded[:, 0], padded[:, -1] = padded[:, -2], padded[:, 1]
        more = None if self.terms is None else self.terms.change(padded)
        np.add(padded[:-2, 1:-1], padded[2:, 1:-1], out=neighbours)
        neighbours += padded[1:-1, :-2]
        neighbours += padded[1:-1, 2:]
        neighbours *= np.float32(TIME_STEP / PIXEL**2)
        neighbours += self._drive
        neighbours += np.float32(TIME_STEP * field)
        np.multiply(p, p, out=factor)
        factor *= np.float32(-TIME_STEP)
        factor += self._gain
        p *= factor
        p += neighbours
        if more is not None:
            p += more

    def run(self, n_steps: int, *, field: Callable[[int], float]) -> None:
        """Run `n_steps` time steps under an applied field that depends on the step."""
        for index in range(n_steps):
            self.step(self.effective_field(field(index)))


def free(polarization: np.ndarray) -> Ferroelectric:
    """A sample without pins, built-in field or depolarization."""
    return Ferroelectric(polarization, np.ones(polarization.shape), np.zeros(polarization.shape))
