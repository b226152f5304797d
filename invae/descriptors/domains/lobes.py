"""The two lobes of the response: a constant background that moves them, a phase that is kept modulo half a turn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invae.descriptors.domains.phase import doubled_angle_histogram, phase_offset

N_ROUNDS = 20
TWO_LOBES = 0.8
"""Least share of the variance that two centres explain: a uniform line has 0.75, one Gaussian 0.64."""
OPPOSITE = np.deg2rad(150.0)
"""Lobes that are nearer to each other are named [rad]."""
STRONG = 0.5
"""A background above this share of the response is named."""
ROUNDING = 0.01
"""Tolerance at the ends of half a turn [rad]."""
COHERENT = 0.7
"""Least share of neighbouring pixels with one sign, if signs are those of domains."""


@dataclass(frozen=True)
class Lobes:
    """Centres of up and down domains in the complex plane."""

    background: complex
    """Half way between them, in the unit of the amplitude."""
    response: float
    """Half their distance."""
    apart: float
    """Angle between them, seen from zero, 0 to π [rad]."""

    @property
    def disturbed(self) -> bool:
        """Whether a background moves the walls, or hides them."""
        return self.apart < OPPOSITE or abs(self.background) > STRONG * self.response

    def words(self) -> str:
        """What is wrong, with the setting that mends it."""
        return (
            f"the two lobes of the response are {np.rad2deg(self.apart):.0f} degree apart and one is stronger: a constant "
            f"background (electrostatic signal) of {abs(self.background) / self.response:.2g} times the response; "
            "describe.phase_offset.subtract_background=true subtracts it"
        )


def lobes_of(response: np.ndarray) -> Lobes | None:
    """The two lobes of complex values, any shape; none if there are not two.

    Source: two means along the principal axis of the values.
    """
    values = response[np.isfinite(response)].astype(np.complex128)
    if values.size < 2:
        return None
    centred = values - values.mean()
    axis = np.exp(0.5j * np.angle((centred**2).sum()))
    along = (centred * np.conj(axis)).real
    border = 0.0
    for _ in range(N_ROUNDS):
        upper = along > border
        if upper.all() or not upper.any():
            return None
        border = (along[upper].mean() + along[~upper].mean()) / 2
    upper = along > border
    means = np.where(upper, along[upper].mean(), along[~upper].mean())
    if np.var(means) < TWO_LOBES * np.var(along):
        return None
    one, other = values[upper].mean(), values[~upper].mean()
    apart = float(abs(np.angle(one * np.conj(other))))
    return Lobes(complex(one + other) / 2, float(abs(one - other)) / 2, apart)


def within_half_a_turn(radians: np.ndarray) -> bool:
    """Whether all phases lie in 0 to π, or in −π/2 to π/2 [rad]."""
    known = radians[np.isfinite(radians)]
    if not known.size or np.ptp(known) < np.pi / 2:
        return False
    return any(
        known.min() >= low - ROUNDING and known.max() <= low + np.pi + ROUNDING
        for low in (0.0, -np.pi / 2)
    )


def signs_are_noise(frames: Sequence[np.ndarray]) -> bool:
    """Whether the signs of neighbouring pixels of a phase [rad] do not agree: noise at the ends of half a turn."""
    agree = []
    for radians in frames:
        turned = np.exp(1j * np.nan_to_num(radians))
        sign = np.cos(np.angle(turned) - phase_offset(doubled_angle_histogram(turned))) > 0
        agree.append((sign[:, 1:] == sign[:, :-1]).mean())
    return bool(np.mean(agree) < COHERENT)
