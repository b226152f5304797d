"""Simulated PFM measurement of a polarization: four channels with noise, scars and lost contact."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from invae.config.synthetic import DomainsConfig, ProbeConfig
from invae.synthetic import unclean
from invae.synthetic.sample import smooth_noise, stream

PAD = 10
"""Pixels around a frame that the tip's blur needs (four times the widest tip)."""
DEFLECTION_SHARE = 0.2
"""Deflection relative to the slope of the topography along a line: the error of the height feedback."""


@dataclass(frozen=True)
class Faults:
    """Unreliable lines of one frame."""

    scar: np.ndarray
    """(y) bool: single lines lost in all channels."""
    tip_loss: np.ndarray
    """(y) bool: a band of lines without contact."""


@dataclass(frozen=True)
class Lines:
    """How the lines of one frame differ."""

    factor: np.ndarray | float
    """Gain and phase of every line (y, 1), complex."""
    jump: np.ndarray
    """Displacement of every line to larger x (y) [px]."""


def line_jumps(config: ProbeConfig, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Displacement of every line to larger x (y) [px]."""
    if config.line_jumps == 0:
        return np.zeros(rows)
    return generator.normal(0, config.line_jumps, rows)


def draw_lines(config: ProbeConfig, jump: np.ndarray, generator: np.random.Generator) -> Lines:
    """Gain, phase and displacement of the lines of a frame."""
    if config.line_gain == 0 and config.phase_drift == 0:
        return Lines(1.0, jump)
    gain = unclean.line_gain(len(jump), sd=config.line_gain, generator=generator)
    phase = unclean.line_phase(len(jump), sd=config.phase_drift, generator=generator)
    return Lines(gain * phase, jump)


def draw_faults(config: DomainsConfig, *, seed: int, frame: int) -> Faults:
    """The unreliable lines of a frame."""
    probe, rows = config.probe, config.rows
    generator = stream(seed, "faults", frame)
    scar, tip_loss = np.zeros(rows, bool), np.zeros(rows, bool)
    scar[generator.integers(0, rows, generator.poisson(probe.scars))] = True
    if generator.random() < probe.tip_loss:
        first = int(generator.integers(0, rows))
        tip_loss[first : first + probe.tip_loss_rows] = True
    return Faults(scar & ~tip_loss, tip_loss)


def record(
    out_of_plane: np.ndarray,
    height: np.ndarray,
    faults: Faults,
    *,
    config: ProbeConfig,
    generator: np.random.Generator,
    lines: Lines,
) -> dict[str, np.ndarray]:
    """The channels of one frame (y, x): height, deflection [nm], amplitude [pm], phase [rad].

    `out_of_plane` is padded by `PAD` pixels on each side and 1 in the centre of a domain.
    The noise of the response has sd response / snr in each of the two quadratures.
    """
    size = height.shape
    response = _response(out_of_plane, size, config=config, generator=generator) * lines.factor
    if lines.jump.any():
        response = unclean.shift_lines(response, lines.jump)
    deflection = DEFLECTION_SHARE * np.gradient(height, axis=1)
    noise = [image.std() / config.height_snr for image in (height, deflection)]
    channels = {"height": height.copy(), "deflection": deflection}
    _apply_faults(channels, response, faults, generator=generator)
    for name, sd in zip(("height", "deflection"), noise, strict=True):
        channels[name] = channels[name] + generator.normal(0, sd, size)
    quadratures = generator.normal(0, 1 / config.snr, (2, *size))
    response = response + (quadratures[0] + 1j * quadratures[1])
    response *= config.response * np.exp(1j * config.phase_offset)
    channels |= {"amplitude": np.abs(response), "phase": np.angle(response)}
    return {name: channels[name].astype(np.float32) for name in CHANNELS}


CHANNELS = {
    "height": {"units": "nm", "long_name": "topography"},
    "amplitude": {"units": "pm", "long_name": "piezoresponse amplitude"},
    "phase": {"units": "rad", "long_name": "piezoresponse phase"},
    "deflection": {"units": "nm", "long_name": "cantilever deflection"},
}
"""Names and units of the recorded channels."""


def _response(
    out_of_plane: np.ndarray,
    size: tuple[int, ...],
    *,
    config: ProbeConfig,
    generator: np.random.Generator,
) -> np.ndarray:
    """Complex response without noise; 1 in the centre of a positive domain."""
    blurred = (
        ndimage.gaussian_filter(out_of_plane, config.tip_sd) if config.tip_sd else out_of_plane
    )
    rows, columns = size
    uneven = 1 + 0.2 * smooth_noise((rows, columns), rows / 2, generator)
    background = config.background * np.exp(1j * config.background_phase) * uneven
    return blurred[PAD:-PAD, PAD:-PAD] + background


def _apply_faults(
    channels: dict[str, np.ndarray],
    response: np.ndarray,
    faults: Faults,
    *,
    generator: np.random.Generator,
) -> None:
    """Apply the faults of a frame to its channels, in place."""
    n_scars = int(faults.scar.sum())
    phase = np.exp(2j * np.pi * generator.random((n_scars, 1)))
    response[faults.scar] = phase * generator.uniform(0.0, 0.3, (n_scars, 1))
    response[faults.tip_loss] = 0
    for name in ("height", "deflection"):
        jump = 4 * channels[name].std()
        channels[name][faults.scar] += jump * generator.standard_normal((n_scars, 1))
        channels[name][faults.tip_loss] = channels[name].mean()
    channels["height"][faults.tip_loss] += 2 * channels["height"].std()
