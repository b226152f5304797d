"""Channels of a patch: signals of one frame, several frames, or layers of walls."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae.config.describe import (
    DelayChannels,
    DifferenceChannels,
    LayerChannels,
    SignalChannels,
)
from invae.descriptors.domains.signals import Signals, read_complex
from invae.descriptors.domains.stripes import lamella_edges
from invae.descriptors.domains.walls import WALL_180, smoothed
from invae.descriptors.images import read_frames
from invae.dims import FRAME
from invae.errors import ConfigError
from invae.segmentation.ridge import ridge

LAYERS = ("wall_180", "wall_all", "wall_non180")
"""180-degree walls, all walls, and the edges of lamellae; a pixel can lie on walls of both kinds."""
NEAREST = 3
"""Frames that the nearest delays (−1, 0, 1) need: a shorter series has no time delay, and its frames one channel each."""
LAYER_SD = 1.0
"""Sd of the ridge exp(−d²/2·sd²) that represents a wall in a layer, d being the distance from the wall [px]."""


@dataclass(frozen=True)
class Channel:
    """One channel of a patch: a signal, `delay` frames after the frame of the site."""

    name: str
    signal: str
    delay: int = 0


@dataclass(frozen=True)
class Sources:
    """The stores from which signals are read."""

    recording: xr.Dataset
    maps: xr.Dataset
    signals: Signals
    phase_offset: Callable[[int], float]
    """Of one frame [rad]."""
    flip: bool


DIFFERENCES = (
    Channel("t", "polarization"),
    Channel("forward", "polarization", 1),
    Channel("backward", "polarization", -1),
)
"""The frames of the channels t, (t + 1) − t and t − (t − 1)."""


def plan(
    config: SignalChannels | DelayChannels | DifferenceChannels | LayerChannels, *, n_frames: int
) -> tuple[list[Channel], str]:
    """The channels of a patch, and a remark if they differ from the configuration.

    Raises:
        ConfigError: the series is too short for the delays.
    """
    if isinstance(config, DifferenceChannels):
        if n_frames < NEAREST:
            return [DIFFERENCES[0]], f"{n_frames} frames: no differences in time"
        return list(DIFFERENCES), ""
    if isinstance(config, DelayChannels):
        span = max(*config.delays, 0) - min(*config.delays, 0) + 1
        if n_frames == 1 or n_frames < span <= NEAREST:
            words = "one frame: no drift and" if n_frames == 1 else f"{n_frames} frames:"
            return [Channel("t", "polarization")], f"{words} no time delay"
        if span > n_frames:
            raise ConfigError(
                f"describe.patches.channels.delays {config.delays} need at least {span} frames, "
                f"the recording has {n_frames}; name nearer frames, or take channels of kind 'signals'"
            )
        names = [f"t{delay:+d}" if delay else "t" for delay in config.delays]
        return [
            Channel(name, "polarization", delay)
            for name, delay in zip(names, config.delays, strict=True)
        ], ""
    return [Channel(name, name) for name in config.names], ""


def check(channels: list[Channel], recording: xr.Dataset, signals: Signals) -> None:
    """Check that the recording has the signals of the channels.

    Raises:
        ConfigError: the recording lacks a configured signal.
    """
    there = {str(name) for name in recording.data_vars} | {"polarization", *LAYERS}
    if signals.has_phase:
        there |= {"amplitude", "phase"}
    for channel in channels:
        if channel.signal not in there:
            raise ConfigError(
                f"describe.patches.channels names {channel.signal!r}; the recording has "
                f"{', '.join(sorted(there))}"
            )


def frame_of(channel: str, frame: int, *, sources: Sources) -> tuple[np.ndarray, np.ndarray]:
    """One signal of one frame (y, x) and its valid pixels; the phase is the complex number
    exp(iφ).

    Polarization and amplitude are in units of the typical amplitude of the frame, the phase is
    relative to the offset [rad], height and deflection are in robust sd from their median.
    """
    one = slice(frame, frame + 1)
    maps = sources.maps.isel({FRAME: frame})
    valid = maps["valid"].to_numpy()
    if channel == "polarization":
        return maps["polarization"].to_numpy(), valid
    if channel in LAYERS:
        return layer(channel, maps), valid
    if channel in ("amplitude", "phase") and sources.signals.has_phase:
        response = read_complex(sources.recording, sources.signals, one)[0]
        if channel == "amplitude":
            return np.abs(response) / maps["amplitude_scale"].to_numpy(), valid
        turned = response * np.exp(-1j * sources.phase_offset(frame))
        turned *= -1 if sources.flip else 1
        return turned / np.maximum(np.abs(turned), np.finfo(np.float32).tiny), valid
    values = read_frames(sources.recording, channel, one)[0].astype(np.float64)
    return _standard(values, valid)


def limited(values: np.ndarray, *, signal: str, clip: float | None) -> np.ndarray:
    """Values of a signal, not beyond ±clip if it is in units of a typical domain."""
    if clip is None or signal not in ("polarization", "amplitude"):
        return values
    return np.clip(values, -clip, clip)


def softened(
    values: np.ndarray, valid: np.ndarray, *, config: DifferenceChannels
) -> tuple[np.ndarray, np.ndarray]:
    """A frame before differences are taken: clipped and smoothed (y, x)."""
    clipped = np.clip(values, -config.clip, config.clip)
    if config.smoothing == 0:
        return clipped, valid
    smooth = smoothed(clipped, valid, sd=config.smoothing)
    return np.nan_to_num(smooth), np.isfinite(smooth)


def differences(
    patch: np.ndarray, valid: np.ndarray, *, config: DifferenceChannels
) -> tuple[np.ndarray, np.ndarray]:
    """The channels t, gain·((t + 1) − t) and gain·(t − (t − 1)) from the frames of `DIFFERENCES` (site, channel, y, x)."""
    now, later, before = (patch[:, k] for k in range(3))
    changes = [config.gain * (later - now), config.gain * (now - before)]
    both = [valid[:, 0], valid[:, 0] & valid[:, 1], valid[:, 0] & valid[:, 2]]
    believed = np.stack(both, axis=1)
    return np.where(believed, np.stack([now, *changes], axis=1), 0).astype(np.float32), believed


def _standard(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    valid = valid & np.isfinite(values)
    if not valid.any():
        return np.zeros(values.shape), valid
    centred = values - np.median(values[valid])
    spread = 1.4826 * np.median(np.abs(centred[valid]))
    return (centred / spread if spread > 0 else centred * 0), valid


def layer(name: str, maps: xr.Dataset) -> np.ndarray:
    """Walls of a layer in one frame as smooth ridges of height 1, which can be interpolated, float32 (y, x).

    Args:
        name: one of `LAYERS`.
        maps: `wall`, `lamella` and `valid` of the frame.
    """
    on_wall = maps["wall"].to_numpy() == WALL_180
    if name != "wall_180":
        edges = lamella_edges(maps["lamella"].to_numpy(), maps["valid"].to_numpy())
        on_wall = edges if name == "wall_non180" else edges | on_wall
    return ridge(on_wall, sd=LAYER_SD)
