"""Frames of a simulated PFM series: the sample evolves in time while the tip scans it line by line."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from invae.config.synthetic import DomainsConfig, FieldConfig
from invae.synthetic.probe import PAD, draw_faults, draw_lines, line_jumps, record
from invae.synthetic.sample import Sample, families, nucleate, stream, window
from invae.synthetic.wall_dynamics import SwitchingTimes, wall_curvature, wall_velocity
from invae.synthetic.zero_line import zero_line

SEAM = 2
"""Pixels around a padded frame that the interpolation needs."""

Arrays = dict[str, np.ndarray]


def applied_field(config: FieldConfig, time: float) -> float:
    """The applied field at a time [frames]."""
    if config.waveform == "constant":
        return config.offset + config.amplitude
    if config.waveform == "staircase":
        step = min(math.floor(time / config.period * config.steps) + 1, config.steps)
        return config.offset + config.amplitude * step / config.steps
    if config.waveform == "pulses":
        on = time % config.period < config.duty * config.period
        return config.offset + config.amplitude * on
    wave = math.sin(2 * math.pi * time / config.period)
    if config.waveform == "square":
        wave = 1.0 if time % config.period < config.period / 2 else -1.0
    return config.offset + config.amplitude * wave


def drift_path(config: DomainsConfig, seed: int) -> np.ndarray:
    """Position of every frame on the sample relative to the first (frame, axis) [px].

    Steps of up to `probe.drift` pixels in a wandering direction, reflected back into the margin.
    """
    draws = stream(seed, "drift").random((config.n_frames, 2))
    direction = 2 * np.pi * draws[0, 1] + np.cumsum(2.5 * (draws[:, 1] - 0.5))
    length = config.probe.drift * draws[:, 0]
    steps = length[:, None] * np.stack((np.sin(direction), np.cos(direction)), axis=1)
    steps[0] = 0
    bound = config.margin - PAD - SEAM
    return np.abs((np.cumsum(steps, axis=0) - bound) % (4 * bound) - 2 * bound) - bound


def frames_of(
    sample: Sample, frames: range, *, config: DomainsConfig, seed: int
) -> Iterator[tuple[Arrays, Arrays]]:
    """Channels and truth of successive frames; the sample evolves meanwhile."""
    path = drift_path(config, seed)
    size = (config.rows, config.columns)
    for frame in frames:
        faults = draw_faults(config, seed=seed, frame=frame)
        scan = _scan(sample, path[frame], frame=frame, config=config, seed=seed)
        polarization = scan.polarization
        depth, factor = _depth_and_factor(config, path[frame], seed=seed)
        polarized = factor * polarization
        jump = line_jumps(config.probe, config.rows, stream(seed, "jumps", frame))
        height = window(sample.height, config.margin + path[frame], size)
        channels = record(
            polarized * _surface(sample, path[frame], config=config),
            height,
            faults,
            config=config.probe,
            generator=stream(seed, "noise", frame),
            lines=draw_lines(config.probe, jump, stream(seed, "lines", frame)),
        )
        unpadded = (slice(PAD, -PAD), slice(PAD, -PAD))
        wall = zero_line(polarization)
        velocity = wall_velocity(polarization, scan.rate, wall)
        truth = {
            "polarization": polarized[unpadded].astype(np.float32),
            "wall": wall[unpadded],
            "wall_velocity": velocity[unpadded].astype(np.float32),
            "wall_curvature": wall_curvature(polarization, wall)[unpadded].astype(np.float32),
            "switching_time": scan.switching_time,
            "non180": (depth > 0)[unpadded],
            "non180_edge": (np.abs(depth) <= 0.5)[unpadded],
            "scar": faults.scar,
            "tip_loss": faults.tip_loss,
            "line_jump": jump.astype(np.float32),
            "effective_field": np.float64(scan.field),
        }
        yield channels, truth


def _depth_and_factor(
    config: DomainsConfig, drift: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the edges of lamellae, positive inside [px], and the factor of the response, over a padded frame."""
    y = np.arange(-PAD, config.rows + PAD)[:, None] + drift[0]
    x = np.arange(-PAD, config.columns + PAD) + drift[1]
    deepest = np.full((len(y), x.size), -np.inf)
    factor = np.ones(deepest.shape)
    for family, response, _ in families(config, seed):
        depth = family.depth(y, x)
        factor *= np.where(depth > 0, response, 1)
        deepest = np.maximum(deepest, depth)
    return deepest, factor


def _surface(sample: Sample, drift: np.ndarray, *, config: DomainsConfig) -> np.ndarray | float:
    """Response of the surface over a padded frame, 1 where it is perfect."""
    if sample.surface is None:
        return 1.0
    rows, columns = (
        np.arange(-PAD, n + PAD) + config.margin + moved
        for n, moved in zip((config.rows, config.columns), drift, strict=True)
    )
    return interpolate(sample.surface, rows, columns)


@dataclass(frozen=True)
class Scan:
    """One frame of the sample; images are padded, except for the switching times."""

    field: float
    """Effective field at the start of the frame."""
    polarization: np.ndarray
    """At the time at which each line is scanned."""
    rate: np.ndarray
    """Change of the polarization per frame at that time."""
    switching_time: np.ndarray
    """In pixels of frame 0 [frames]."""


def _scan(
    sample: Sample, drift: np.ndarray, *, frame: int, config: DomainsConfig, seed: int
) -> Scan:
    """A frame, scanned line by line while the sample evolves."""
    ferroelectric, steps = sample.ferroelectric, config.steps_per_frame
    own = (slice(config.margin, -config.margin),) * 2
    switched = SwitchingTimes(ferroelectric.polarization[own])
    _nucleate(sample, frame=frame, config=config, seed=seed)
    if ferroelectric.terms is not None:
        ferroelectric.terms.begin(frame)
    rows = np.arange(-PAD, config.rows + PAD)
    columns = np.arange(-PAD, config.columns + PAD) + config.margin + drift[1]
    step_of_row = np.clip(rows * steps // config.rows, 0, steps - 1) * config.probe.row_skew
    scanned, later = np.empty((2, len(rows), len(columns)), np.float32)
    first = ferroelectric.effective_field(applied_field(config.field, frame))
    for step in range(steps):
        scanned_now = step_of_row == step
        positions = rows[scanned_now] + config.margin + drift[0]
        if scanned_now.any():
            scanned[scanned_now] = interpolate(ferroelectric.polarization, positions, columns)
        field = applied_field(config.field, frame + step / steps)
        ferroelectric.step(ferroelectric.effective_field(field))
        if scanned_now.any():
            later[scanned_now] = interpolate(ferroelectric.polarization, positions, columns)
        switched.look(ferroelectric.polarization[own], frame + (step + 1) / steps)
    return Scan(first, scanned, (later - scanned) * steps, switched.times)


def _nucleate(sample: Sample, *, frame: int, config: DomainsConfig, seed: int) -> None:
    generator = stream(seed, "nuclei", frame)
    field = applied_field(config.field, frame)
    size = sample.ferroelectric.polarization.shape
    for _ in range(generator.poisson(config.sample.nucleation) if field else 0):
        centre = generator.uniform(0, size)
        nucleate(
            sample.ferroelectric,
            sign=math.copysign(1, field),
            radius=config.sample.nucleus_radius,
            centre=centre,
        )


def interpolate(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A periodic image at fractional rows and columns that are one pixel apart (cubic)."""
    for axis, positions in enumerate((rows, columns)):
        whole = math.floor(positions[0])
        fraction = positions[0] - whole
        weights = (
            -fraction * (fraction - 1) * (fraction - 2) / 6,
            (fraction + 1) * (fraction - 1) * (fraction - 2) / 2,
            -(fraction + 1) * fraction * (fraction - 2) / 2,
            (fraction + 1) * fraction * (fraction - 1) / 6,
        )
        index = np.floor(positions + 1e-9).astype(int)
        taps = [image.take(index + tap, axis=axis, mode="wrap") for tap in (-1, 0, 1, 2)]
        image = np.tensordot(np.array(weights, image.dtype), np.stack(taps), axes=1)
    return image
