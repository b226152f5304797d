"""Channels of a recording that determine the polarization, and their frames as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from invae.config.describe import WallsConfig
from invae.descriptors.domains.lobes import lobes_of, signs_are_noise, within_half_a_turn
from invae.descriptors.domains.phase_unit import (
    MOST_PIXELS,
    radians_per_unit,
    sample,
    some_frames,
)
from invae.descriptors.images import images_of, read_recorded
from invae.dims import IMAGE
from invae.errors import ConfigError, InputError
from invae.readers.channel_roles import Role, of_kind, pairs_of, roles_of

LEVELLED = 0.05
"""An amplitude with a larger share of values below 0 was levelled."""
LOWEST = 0.1
"""Percentile of a levelled amplitude that is taken as 0."""


@dataclass(frozen=True)
class Signals:
    """Names of the channels from which the signed polarization is computed.

    Either amplitude and phase, or one bipolar channel that is the polarization already, or X and Y of a lock-in amplifier.
    """

    amplitude: str = ""
    phase: str = ""
    phase_unit: float = 1.0
    """Radians per unit of the phase channel."""
    polarization: str = ""
    quadrature: str = ""
    """The Y that belongs to an X."""
    level: float = 0.0
    """Value of the amplitude channel that is no response."""
    background: complex = 0.0
    """Constant response that is subtracted."""
    hint: str = ""
    """What hides the walls, if there are none."""
    remarks: tuple[str, ...] = ()
    """What was chosen among several, or guessed."""

    @property
    def has_phase(self) -> bool:
        """Whether the response has a phase, so that its offset must be known."""
        return bool(self.phase or self.quadrature)

    @property
    def names(self) -> tuple[str, ...]:
        """The channels that are read."""
        every = (self.amplitude, self.phase, self.polarization, self.quadrature)
        return tuple(name for name in every if name)

    def words(self, recording: xr.Dataset) -> str:
        """The channels with the instrument's labels, for reports."""
        kinds = ("amplitude", "phase") if self.phase else ("X", "Y")
        kinds = kinds if self.has_phase else ("polarization",)
        labelled = (f"{recording[name].attrs.get('label') or name}" for name in self.names)
        return ", ".join(f"{kind} {label}" for kind, label in zip(kinds, labelled, strict=True))


def find_signals(recording: xr.Dataset, *, config: WallsConfig) -> Signals:
    """The configured channels, or the preferred pair of amplitude and phase of one measurement.

    Raises:
        InputError: the recording has no image channels, no amplitude or no phase, only such of different measurements, or a
            phase in an unknown unit.
        ConfigError: a configured channel does not exist.
    """
    images = images_of(recording)
    if not images:
        shapes = {str(name): channel.dims for name, channel in recording.data_vars.items()}
        raise InputError(f"walls need images with dims {IMAGE}; the recording has {shapes}")
    signals = _signals(recording, images, config=config)
    return _without_background(recording, signals, config=config) if signals.has_phase else signals


def _signals(recording: xr.Dataset, images: list[str], *, config: WallsConfig) -> Signals:
    """The channels, with the unit of the phase and the level of the amplitude."""
    if config.polarization is not None:
        return _bipolar(images, config.polarization)
    if config.phase is None and config.amplitude is None and "polarization" in images:
        return Signals(polarization="polarization")
    roles = roles_of(recording, images)
    kinds = {role.kind for role in roles}
    if config.phase is None and config.amplitude is None and not {"amplitude", "phase"} <= kinds:
        lock_in = pairs_of(of_kind(roles, "x"), of_kind(roles, "y"), among=roles)
        if lock_in:
            return _lock_in(lock_in)
    signals = _amplitude_and_phase(roles, config=config)
    unit, remark = radians_per_unit(recording, signals.phase, configured=config.phase_unit)
    remarks = (*signals.remarks, remark) if remark else signals.remarks
    signals = replace(signals, phase_unit=unit, remarks=remarks)
    return _levelled(recording, _over_a_turn(recording, signals, config=config))


def _bipolar(images: Sequence[str], wanted: str | tuple[str, str]) -> Signals:
    """The signals of X, or of X and Y.

    Raises:
        ConfigError: a channel does not exist.
    """
    names = (wanted,) if isinstance(wanted, str) else wanted
    for name in names:
        _must_exist(name, images, setting="polarization")
    return Signals(polarization=names[0], quadrature=names[1] if len(names) > 1 else "")


def _lock_in(pairs: Sequence[tuple[Role, Role]]) -> Signals:
    names = [f"[{x.name}, {y.name}]" for x, y in pairs]
    remark = f"no amplitude and phase: the response is X + iY of a lock-in amplifier, {names[0]}"
    remark += f"; describe.polarization chooses another of {', '.join(names)}" * (len(names) > 1)
    x, y = pairs[0]
    return Signals(polarization=x.name, quadrature=y.name, remarks=(remark,))


def _amplitude_and_phase(roles: Sequence[Role], *, config: WallsConfig) -> Signals:
    """The preferred pair among those that the configuration allows, without the unit of the phase."""
    images = [role.name for role in roles]
    allowed = []
    for kind, wanted in (("amplitude", config.amplitude), ("phase", config.phase)):
        if wanted is not None:
            _must_exist(wanted, images, setting=kind)
        here = [role for role in roles if role.name == wanted] if wanted else of_kind(roles, kind)
        if not here:
            raise InputError(
                "walls need amplitude and phase (or a bipolar 'polarization'); the recording has "
                f"{', '.join(images)}; name the {kind} channel with describe.{kind}, or an X of a lock-in amplifier with "
                "describe.polarization"
            )
        allowed.append(here)
    pairs = pairs_of(allowed[0], allowed[1], among=roles)
    if pairs:
        return _chosen(pairs)
    if config.amplitude and config.phase:
        return _different(allowed[0][0], allowed[1][0])
    raise InputError(
        f"no amplitude ({_listed(allowed[0])}) is of the same measurement as a phase ({_listed(allowed[1])}); name those "
        "that belong together with describe.amplitude and describe.phase"
    )


def _chosen(pairs: Sequence[tuple[Role, Role]]) -> Signals:
    amplitude, phase = pairs[0]
    others = [f"{one.name} with {other.name}" for one, other in pairs[1:]]
    remark = (
        f"the channels {amplitude.name} ({amplitude.label}) and {phase.name} ({phase.label}) are used; "
        f"describe.amplitude and describe.phase choose others: {', '.join(others)}"
    )
    return Signals(amplitude.name, phase.name, remarks=(remark,) if others else ())


def _different(amplitude: Role, phase: Role) -> Signals:
    remark = (
        f"amplitude {amplitude.name} ({amplitude.label}) and phase {phase.name} ({phase.label}) are of different "
        "measurements; they were chosen in the configuration"
    )
    return Signals(amplitude.name, phase.name, remarks=(remark,))


def _listed(roles: Sequence[Role]) -> str:
    return ", ".join(
        role.name if role.label == role.name else f"{role.name}: {role.label}" for role in roles
    )


def _must_exist(name: str, images: Sequence[str], *, setting: str) -> None:
    if name not in images:
        raise ConfigError(
            f"describe.{setting} names {name!r}; the recording has {', '.join(images)}"
        )


def _over_a_turn(recording: xr.Dataset, signals: Signals, *, config: WallsConfig) -> Signals:
    """The signals, with a hint if the phase covers only half a turn.

    Raises:
        InputError: the phase is kept modulo half a turn, so that up and down are the same.
    """
    frames = [
        read_recorded(recording, signals.phase, frame)[0] * signals.phase_unit
        for frame in some_frames(recording)
    ]
    if not all(within_half_a_turn(frame) for frame in frames):
        return signals
    hint = f"phase {signals.phase} stays within 180 degree; if it is kept modulo 180, up and down are the same"
    if config.sites.kind == "wall" and signs_are_noise(frames):
        raise InputError(
            f"{hint}, and neighbouring pixels differ in sign at random: up and down cannot be distinguished, so there are no walls to find; export the phase over 360 degree"
        )
    return replace(signals, hint=hint)


def _without_background(recording: xr.Dataset, signals: Signals, *, config: WallsConfig) -> Signals:
    """The signals with a constant background that is subtracted, or named if it is strong."""
    frames = [read_complex(recording, signals, frame).ravel() for frame in some_frames(recording)]
    lobes = lobes_of(np.concatenate([frame[:: 1 + frame.size // MOST_PIXELS] for frame in frames]))
    if config.phase_offset.subtract_background:
        if lobes is None:
            remark = "no background was subtracted, since the response has no two lobes"
            return replace(signals, remarks=(*signals.remarks, remark))
        share = abs(lobes.background) / lobes.response
        remark = f"a constant background of {share:.2g} times the response was subtracted"
        return replace(signals, background=lobes.background, remarks=(*signals.remarks, remark))
    if lobes is None or not lobes.disturbed:
        return signals
    return replace(signals, hint=lobes.words(), remarks=(*signals.remarks, lobes.words()))


def _levelled(recording: xr.Dataset, signals: Signals) -> Signals:
    """The signals with the level of an amplitude that has many values below 0, which no amplitude has."""
    values = sample(recording, signals.amplitude)
    below = float((values < 0).mean()) if values.size else 0.0
    if below <= LEVELLED:
        return signals
    level = float(np.percentile(values, LOWEST))
    remark = (
        f"{below:.0%} of amplitude {signals.amplitude} are below 0, so a level was subtracted from it: {level:.3g} is taken "
        "as its zero; if it is the X of a lock-in amplifier, set describe.polarization="
        f"{signals.amplitude}"
    )
    return replace(signals, level=level, remarks=(*signals.remarks, remark))


def read_complex(recording: xr.Dataset, signals: Signals, frames: slice) -> np.ndarray:
    """The response A·exp(iφ) of some frames, complex64 (frame, y, x); NaN where a value is not finite."""
    if signals.polarization:
        response = _finite(recording, signals.polarization, frames).astype(np.complex64)
        if not signals.quadrature:
            return response
        response = response + np.complex64(1j) * _finite(recording, signals.quadrature, frames)
        return response - np.complex64(signals.background)
    amplitude = _finite(recording, signals.amplitude, frames)
    if signals.level:
        amplitude = np.maximum(amplitude - np.float32(signals.level), 0)
    phase = _finite(recording, signals.phase, frames) * np.float32(signals.phase_unit)
    return amplitude * np.exp(1j * phase) - np.complex64(signals.background)


def _finite(recording: xr.Dataset, name: str, frames: slice) -> np.ndarray:
    """A channel as recorded, with NaN for values that are not finite; infinite ones have no direction in the plane of the phase."""
    values = read_recorded(recording, name, frames)
    return np.where(np.isinf(values), np.float32(np.nan), values)
