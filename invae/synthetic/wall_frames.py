"""Simulated PFM frames for training a detector of walls, all different, with walls, lamellae and unusable lines.

They share no domain shapes with the series of `invae.synthetic.domains`, which obey an equation of motion: those remain for scores.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from invae.config.segment import WallVarietyConfig
from invae.synthetic import unclean
from invae.synthetic.domain_shapes import soft_noise, wall_distance
from invae.synthetic.lamellae import Family, with_tips
from invae.synthetic.landau import PIXEL
from invae.synthetic.zero_line import zero_line

PAD = 10
"""Pixels around a frame that the tip's blur needs."""
DENSE = 0.3
"""Share of families whose lamellae are nearly as wide as their gaps."""
DETECTED = 0.7
"""Share of the unusable lines that a mask knows."""
LARGEST_PHASE = 0.3
"""Largest error of the phase offset [rad]."""

Generator = np.random.Generator


@dataclass(frozen=True)
class WallFrame:
    """One frame of a series with its truth."""

    response: np.ndarray
    """Complex response (y, x); ±1 in domains."""
    up: np.ndarray
    """Whether the polarization is positive, whatever lamellae respond (y, x)."""
    wall: np.ndarray
    """Pixels on a 180-degree wall (y, x)."""
    lamella: np.ndarray
    """Inside a lamella (y, x)."""
    edge: np.ndarray
    """Within half a pixel of the edge of a lamella (y, x)."""
    valid: np.ndarray
    """Lines that were recorded (y)."""
    masked: np.ndarray
    """Lines that a mask excludes (y): some of those that are not valid."""


def draw(
    config: WallVarietyConfig, *, seed: int, number: int, snr: float | None = None
) -> WallFrame:
    """The frame of a seed and a number; its signal to noise ratio is drawn as well when it is not given."""
    rng = np.random.default_rng([seed, number])
    side = config.size + 2 * PAD
    polarization = _polarization(config, side, rng)
    depth, factor = _lamellae(config, side, rng)
    surface = _surface(config, side, rng)
    signal = polarization * factor * surface
    signal = ndimage.gaussian_filter(signal, log_uniform(config.tip_sd, rng))
    own = (slice(PAD, -PAD), slice(PAD, -PAD))
    response, valid = _recorded(config, signal[own], rng, snr=snr)
    masked = ~valid & (rng.random(config.size) < DETECTED)
    polarization, depth = polarization[own], depth[own]
    return WallFrame(
        response.astype(np.complex64),
        polarization > 0,
        zero_line(polarization),
        depth > 0,
        np.abs(depth) <= 0.5,
        valid,
        masked,
    )


def log_uniform(limits: tuple[float, float], rng: Generator) -> float:
    """A value between limits, its logarithm uniform."""
    return float(np.exp(rng.uniform(*np.log(limits))))


def _polarization(config: WallVarietyConfig, side: int, rng: Generator) -> np.ndarray:
    """Polarization ±1 with walls of their width, narrower or wider."""
    distance = wall_distance(side, size=log_uniform(config.domain_size, rng), rng=rng)
    width = math.sqrt(2) / PIXEL * log_uniform((0.4, 2.0), rng)
    return rng.choice([-1, 1]) * np.tanh(distance / width)


def _lamellae(
    config: WallVarietyConfig, side: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the edge of the nearest lamella, positive inside, and the factor of the response."""
    deepest, factor = np.full((side, side), -np.inf), np.ones((side, side))
    if rng.random() > config.lamellae:
        return deepest, factor
    y, x = np.indices((side, side)) - side / 2
    if rng.random() < 0.3:
        bend = rng.uniform(0, 3)
        y, x = (axis + bend * soft_noise(side, 60.0, rng) for axis in (y, x))
    base, common = rng.uniform(0, np.pi), rng.uniform(0, 0.55)
    for number in range(rng.choice([1, 1, 2, 3])):
        angle = base + number * rng.choice([np.pi / 2, np.pi / 4, np.pi / 3])
        depth = _family(config, angle, side, rng).depth(y, x)
        depth = np.where(_region(side, rng), depth, -np.inf) if rng.random() < 0.35 else depth
        response = common if rng.random() < 0.8 else rng.uniform(-0.3, 0.6)
        inside = 1 / (1 + np.exp(-np.clip(depth / rng.uniform(0.2, 0.8), -30, 30)))
        factor = factor * (1 - inside * (1 - response))
        deepest = np.maximum(deepest, depth)
    return deepest, factor


def _family(config: WallVarietyConfig, angle: float, side: int, rng: Generator) -> Family:
    width = log_uniform(config.lamella_width, rng)
    ratio = rng.uniform(1.9, 2.6) if rng.random() < DENSE else rng.uniform(2.6, 11)
    needle = rng.uniform(8, 50) if rng.random() < 0.35 else 0.0
    family = Family(angle, width * ratio, width, rng.uniform(0, width * ratio), needle)
    return with_tips(family, extent=1.5 * side, generator=rng)


def _region(side: int, rng: Generator) -> np.ndarray:
    """Part of a frame with a rough border (y, x): a family may fill it alone."""
    return soft_noise(side, rng.uniform(30, 90), rng) > rng.uniform(-0.8, 0.4)


def _surface(config: WallVarietyConfig, side: int, rng: Generator) -> np.ndarray:
    """Response of the surface (y, x), 1 where it is perfect; its changes are no walls."""
    size = (side, side)
    response = 1 + rng.uniform(0, 0.3) * soft_noise(side, rng.uniform(15, 60), rng)
    if rng.random() < config.grains:
        response = response * unclean.grain_response(
            size,
            grain_size=rng.uniform(9, 45),
            contrast=rng.uniform(0, 0.7),
            groove=rng.uniform(0, 0.6) * (rng.random() < 0.6),
            generator=rng,
        )
    if rng.random() < config.dust:
        response = response * unclean.dust_response(
            size, n_spots=int(rng.integers(1, 7)), radius=(1.0, 6.0), generator=rng
        )
    return np.clip(response, 0.08, None)


def _recorded(
    config: WallVarietyConfig, signal: np.ndarray, rng: Generator, *, snr: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Complex response (y, x) as an instrument records it, and the lines that were recorded."""
    n = config.size
    uneven = 1 + 0.4 * soft_noise(n, rng.uniform(8, n / 2), rng)
    size, angle = rng.uniform(0, config.background), rng.uniform(-np.pi, np.pi)
    response = signal + size * np.exp(1j * angle) * uneven
    if rng.random() < config.faults:
        sd = rng.uniform(0, config.line_gain)
        response = response * unclean.line_gain(n, sd=sd, generator=rng)
    if rng.random() < config.faults:
        sd = rng.uniform(0, config.phase_drift)
        response = response * unclean.line_phase(n, sd=sd, generator=rng)
    if rng.random() < 0.6 * config.faults:
        shift = rng.normal(0, rng.uniform(0, config.line_jumps), n)
        response = unclean.shift_lines(response, shift)
    valid = _lose_lines(response, share=config.faults, rng=rng)
    response = response + _noise(n, sd=1 / (snr or log_uniform(config.snr, rng)), rng=rng)
    error = np.clip(rng.normal(0, 0.12), -LARGEST_PHASE, LARGEST_PHASE)
    return response * np.exp(1j * error), valid


def _lose_lines(response: np.ndarray, *, share: float, rng: Generator) -> np.ndarray:
    """Scars and a band without contact, in place; returns the lines that remain (y)."""
    valid = np.ones(len(response), bool)
    if rng.random() < 0.7 * share:
        scars = rng.integers(0, len(response), rng.integers(1, 4))
        phase = np.exp(2j * np.pi * rng.random((len(scars), 1)))
        response[scars] = rng.uniform(0, 0.3) * phase
        valid[scars] = False
    if rng.random() < 0.25 * share:
        first, count = rng.integers(0, len(response)), rng.integers(4, 20)
        response[first : first + count] = 0
        valid[first : first + count] = False
    return valid


def _noise(n: int, *, sd: float, rng: Generator) -> np.ndarray:
    """Complex noise (y, x), sometimes correlated along the line by the time constant of the lock-in amplifier."""
    noise = rng.standard_normal((2, n, n))
    if rng.random() < 0.35:
        noise = ndimage.gaussian_filter1d(noise, rng.uniform(0.4, 0.9), axis=-1)
        noise /= noise.std()
    return sd * (noise[0] + 1j * noise[1])
