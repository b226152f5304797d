"""Channels of a recording that determine the polarization, and their frames as arrays."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae.config.describe import WallsConfig
from invae.descriptors.images import images_of, read_frames
from invae.dims import IMAGE
from invae.errors import ConfigError, InputError

DEGREES = ("degree", "degrees", "deg", "°")
RADIANS = ("rad", "radian", "radians")


@dataclass(frozen=True)
class Signals:
    """Names of the channels from which the signed polarization is computed.

    Either amplitude and phase, or one bipolar channel that is the polarization already.
    """

    amplitude: str = ""
    phase: str = ""
    phase_unit: float = 1.0
    """Radians per unit of the phase channel."""
    polarization: str = ""


def find_signals(recording: xr.Dataset, *, config: WallsConfig) -> Signals:
    """The configured channels, or the first amplitude and phase.

    Raises:
        InputError: the recording has no image channels, no amplitude or no phase, or a phase in an
            unknown unit.
        ConfigError: a configured channel does not exist.
    """
    images = images_of(recording)
    if not images:
        shapes = {str(name): channel.dims for name, channel in recording.data_vars.items()}
        raise InputError(f"walls need images with dims {IMAGE}; the recording has {shapes}")
    if config.phase is None and config.amplitude is None and "polarization" in images:
        return Signals(polarization="polarization")
    phase = _choose(images, wanted=config.phase, kind="phase", twin=config.amplitude)
    amplitude = _choose(images, wanted=config.amplitude, kind="amplitude", twin=phase)
    return Signals(amplitude, phase, _radians_per_unit(recording[phase]))


def _choose(images: list[str], *, wanted: str | None, kind: str, twin: str | None) -> str:
    """The configured channel; else the one with the number of its twin; else the first of its kind."""
    if wanted is not None:
        if wanted not in images:
            raise ConfigError(
                f"describe.{kind} names {wanted!r}; the recording has {', '.join(images)}"
            )
        return wanted
    like_twin = f"{kind}_{twin.rpartition('_')[2]}" if twin and "_" in twin else kind
    found = [name for name in images if name == kind or name.startswith(f"{kind}_")]
    if not found:
        raise InputError(
            f"walls need amplitude and phase (or a bipolar 'polarization'); the recording has "
            f"{', '.join(images)}; name the {kind} channel with describe.{kind}"
        )
    return like_twin if like_twin in found else found[0]


def _radians_per_unit(phase: xr.DataArray) -> float:
    units = str(phase.attrs.get("units", "")).strip().lower()
    if units in DEGREES:
        return float(np.pi / 180)
    if units in RADIANS:
        return 1.0
    raise InputError(
        f"channel {phase.name!r} is in {units or 'no unit'!r}; a phase is in degree or rad"
    )


def read_complex(recording: xr.Dataset, signals: Signals, frames: slice) -> np.ndarray:
    """The response A·exp(iφ) of some frames, complex64 (frame, y, x); NaN stays NaN."""
    if signals.polarization:
        return read_frames(recording, signals.polarization, frames).astype(np.complex64)
    amplitude = read_frames(recording, signals.amplitude, frames)
    phase = read_frames(recording, signals.phase, frames) * np.float32(signals.phase_unit)
    return amplitude * np.exp(1j * phase)
