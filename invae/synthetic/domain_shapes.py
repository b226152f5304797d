"""Shapes of domains in a square frame, as the distance to the nearest 180-degree wall."""

import numpy as np
from scipy import fft

FAR = 99.0
"""Distance where there is no wall [px]."""
SHARES = {"labyrinth": 0.36, "stripes": 0.16, "discs": 0.22, "lines": 0.19, "single": 0.07}
"""Shares of the shapes."""


def wall_distance(side: int, *, size: float, rng: np.random.Generator) -> np.ndarray:
    """Distance to the nearest wall (y, x) [px], approximate far from it; the sign is the polarity.

    Args:
        side: of the frame [px].
        size: width of the domains, or their radius [px].
        rng: of the random numbers, also for the kind of the shapes.
    """
    kind = rng.choice(list(SHARES), p=list(SHARES.values()))
    shapes = {"labyrinth": _labyrinth, "stripes": _stripes, "discs": _discs, "lines": _lines}
    if kind == "single":
        return np.full((side, side), FAR)
    return shapes[kind](side, size, rng)


def soft_noise(side: int, length: float, rng: np.random.Generator) -> np.ndarray:
    """A periodic Gaussian random field (y, x) of mean 0 and sd 1 with a correlation length [px], by Fourier transforms."""
    spectrum = np.asarray(fft.rfft2(rng.standard_normal((side, side), np.float32)))
    squares = fft.fftfreq(side)[:, None] ** 2 + fft.rfftfreq(side) ** 2
    spectrum *= np.exp(-squares * (np.pi * length) ** 2 / 2)
    spectrum[0, 0] = 0
    field = np.asarray(fft.irfft2(spectrum, s=(side, side)))
    return field / field.std()


def _labyrinth(side: int, size: float, rng: np.random.Generator) -> np.ndarray:
    level = soft_noise(side, size, rng) + rng.uniform(-0.8, 0.8)
    slope_y, slope_x = np.gradient(level)
    return level / np.hypot(slope_y, slope_x).mean()


def _stripes(side: int, size: float, rng: np.random.Generator) -> np.ndarray:
    y, x = np.indices((side, side))
    angle = rng.uniform(0, np.pi)
    wave = soft_noise(side, 2 * size, rng) * size * rng.uniform(0, 0.35)
    across = np.cos(angle) * x + np.sin(angle) * y + wave
    phase = np.pi * across / size + rng.uniform(0, 2 * np.pi)
    return np.sin(phase) * size / np.pi + rng.uniform(-0.25, 0.25) * size


def _discs(side: int, size: float, rng: np.random.Generator) -> np.ndarray:
    y, x = np.indices((side, side))
    distance = np.full((side, side), -FAR)
    for _ in range(rng.integers(1, 14)):
        centre, stretch = rng.uniform(0, side, 2), rng.uniform(0.6, 1.6)
        radius = max(3.0, size * rng.uniform(0.4, 1))
        distance = np.maximum(
            distance, radius - np.hypot((y - centre[0]) * stretch, (x - centre[1]) / stretch)
        )
    return distance + soft_noise(side, rng.uniform(5, 15), rng) * rng.uniform(0, 2)


def _lines(side: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """One to three rough walls through the frame."""
    distance = np.full((side, side), FAR)
    y, x = np.indices((side, side)) - side / 2
    for _ in range(rng.integers(1, 4)):
        angle = rng.uniform(0, 2 * np.pi)
        across, along = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        rough = rough_line(2 * side, exponent=rng.uniform(0.4, 1.2), rng=rng) * rng.uniform(0, 10)
        wall = across - rng.uniform(-side / 3, side / 3)
        wall = wall - np.interp(along + side, np.arange(2 * side), rough)
        nearer = np.minimum(np.abs(distance), np.abs(wall))
        distance = nearer * np.sign(distance) * np.sign(wall)
    return distance


def rough_line(length: int, *, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Displacement of a self-affine line (position) with sd 1 and a roughness exponent; periodic."""
    frequency = np.fft.rfftfreq(length)
    frequency[0] = np.inf
    noise = rng.standard_normal(len(frequency)) + 1j * rng.standard_normal(len(frequency))
    line = np.fft.irfft(noise * frequency ** -(exponent + 0.5), length)
    return line / line.std()
