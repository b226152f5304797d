"""Radians per unit of a phase channel: from the setting, from its unit, or from the range of its values."""

import numpy as np
import xarray as xr

from invae.descriptors.images import read_recorded
from invae.dims import FRAME
from invae.errors import InputError

DEGREES = ("degree", "degrees", "deg", "°")
RADIANS = ("rad", "radian", "radians")
RADIANS_PER = {"degree": np.pi / 180, "rad": 1.0}
MOST_FRAMES = 8
"""Largest number of frames, evenly chosen, whose values are looked at."""
MOST_PIXELS = 200_000
"""Largest number of values of one frame that are looked at."""
RIM = 0.1
"""Percentage of values at each end that does not count as range."""
TURN = 2 * np.pi * 1.02
"""A phase in rad is kept within one turn [rad]."""
UNWRAPPED = 2 * TURN
"""An unwrapped phase in rad may reach so far [rad]."""
DEGREES_FROM, DEGREES_TO = 100.0, 367.0
"""A phase in degree with two domains spans more than a quarter turn, and at most a turn."""
RADIANS_FROM = 2.5
"""A phase in rad with two domains spans about half a turn, or more."""
TWO_LOBES, ONE_LOBE = 0.5, 0.8
"""With two opposite lobes the doubled phase is concentrated (mean resultant above the first) and the phase is not (below the second)."""


def some_frames(recording: xr.Dataset) -> list[slice]:
    """A few frames, evenly chosen, each as a slice."""
    n_frames = recording.sizes[FRAME]
    some = np.unique(np.linspace(0, n_frames - 1, min(n_frames, MOST_FRAMES)).astype(int))
    return [slice(int(frame), int(frame) + 1) for frame in some]


def sample(recording: xr.Dataset, name: str) -> np.ndarray:
    """Finite values of some frames of one channel."""
    frames = [read_recorded(recording, name, frame).ravel() for frame in some_frames(recording)]
    values = np.concatenate([frame[:: 1 + frame.size // MOST_PIXELS] for frame in frames])
    return values[np.isfinite(values)].astype(np.float64)


def radians_per_unit(
    recording: xr.Dataset, name: str, *, configured: str | float | None
) -> tuple[float, str]:
    """Radians per unit of a phase channel, and a remark if they were guessed.

    Args:
        recording: the recording.
        name: the phase channel.
        configured: `degree`, `rad`, or degrees per unit of the channel; empty to go by the file.

    Raises:
        InputError: neither the unit nor the range says it.
    """
    if isinstance(configured, str):
        return RADIANS_PER[configured], ""
    if configured is not None:
        return float(np.deg2rad(configured)), ""
    values = sample(recording, name)
    units = str(recording[name].attrs.get("units", "")).strip()
    own = _by_unit(units)
    guessed = _by_range(values, volts=units.endswith("V"), own=own)
    if not guessed and not own:
        raise InputError(
            f"channel {name!r} is in {units or 'no unit'!r} and spans {_span(values):.3g}; is that a phase in "
            "degree or rad? set describe.phase_unit=degree, rad, or the degrees per unit (18 for a lock-in amplifier that "
            "gives 10 V at 180 degree)"
        )
    chosen = guessed or own
    return RADIANS_PER[chosen], _remark(name, units, own, chosen, _span(values))


def _by_unit(units: str) -> str:
    lower = units.lower()
    return "degree" if lower in DEGREES else "rad" if lower in RADIANS else ""


def _span(values: np.ndarray) -> float:
    if not values.size:
        return 0.0
    low, high = np.percentile(values, (RIM, 100 - RIM))
    return float(high - low)


def _by_range(values: np.ndarray, *, volts: bool, own: str) -> str:
    """The unit that the range of the values says; empty if it says none, or agrees with the own one."""
    span = _span(values)
    if own == "degree":
        return "rad" if RADIANS_FROM < span < TURN and _has_two_lobes(values) else ""
    if DEGREES_FROM < span < DEGREES_TO and (not own or span > UNWRAPPED):
        return "degree"
    return "rad" if not own and not volts and RADIANS_FROM < span < TURN else ""


def _has_two_lobes(radians: np.ndarray) -> bool:
    """Whether the values, as radians, lie in two lobes half a turn apart."""
    single, doubled = (abs(np.exp(1j * n * radians).mean()) for n in (1, 2))
    return bool(doubled > TWO_LOBES and single < ONE_LOBE)


def _remark(name: str, units: str, own: str, chosen: str, span: float) -> str:
    if own == chosen:
        few = chosen == "degree" and span < TURN
        return (
            f"phase {name} spans only {span:.3g} degree; if it is in rad, set describe.phase_unit=rad"
            if few
            else ""
        )
    unit_of_file = f"in {units!r}" if units not in ("", "1") else "without a unit"
    return (
        f"phase {name} is {unit_of_file} in the file, but spans {span:.3g}: taken as {chosen} "
        "(describe.phase_unit says otherwise)"
    )
