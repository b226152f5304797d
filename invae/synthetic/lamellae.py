"""Families of lamellae (ferroelastic domains): parallel bands of one width, or needles that end in a tip."""

from dataclasses import dataclass

import numpy as np

N_TIPS = 64
"""Number of different tips of a family; they repeat after so many lamellae."""


@dataclass(frozen=True)
class Family:
    """Parallel lamellae; positions are pixels."""

    angle: float
    """Direction, from the x axis towards -y, as np.rot90 turns [rad]."""
    period: float
    """Distance of centre lines [px]."""
    width: float
    """[px]"""
    offset: float = 0.0
    """Displacement of all centre lines [px]."""
    needle: float = 0.0
    """Length over which a lamella narrows to its tip [px]; 0 for lamellae without end."""
    tips: np.ndarray | None = None
    """Positions of the tips along the lamellae (tip) [px]; a negative `facing` points backwards."""
    facing: np.ndarray | None = None
    """1 or -1 for every tip."""

    def depth(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Distance to the edge of the lamella, positive inside [px]; positions broadcast."""
        across = np.sin(self.angle) * x + np.cos(self.angle) * y + self.offset
        number = np.floor(across / self.period + 0.5)
        from_centre = np.abs(across - number * self.period)
        return self._width(number, y, x) / 2 - from_centre

    def _width(self, number: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray | float:
        if self.needle == 0 or self.tips is None or self.facing is None:
            return self.width
        along = np.cos(self.angle) * x - np.sin(self.angle) * y
        index = number.astype(int) % len(self.tips)
        beyond = (along - self.tips[index]) * self.facing[index]
        return np.where(beyond > 0, self.width * np.minimum(beyond / self.needle, 1), -1.0)


def with_tips(family: Family, *, extent: float, generator: np.random.Generator) -> Family:
    """The family with tips anywhere within an extent about 0 [px], in random order facing forwards or backwards."""
    return Family(
        family.angle,
        family.period,
        family.width,
        family.offset,
        family.needle,
        generator.uniform(-extent / 2, extent / 2, N_TIPS),
        generator.choice([-1, 1], N_TIPS),
    )
