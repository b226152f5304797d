"""Patches with known content, angle and shift, drawn from formulas."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pytest


@dataclass(frozen=True)
class Letters:
    """Patches of the letter L whose short arm varies, and what was drawn."""

    patches: np.ndarray
    """(site, channel, y, x), about 0 outside and 1 inside."""
    angle: np.ndarray
    """[rad], positive as np.rot90."""
    shift: np.ndarray
    """(site, axis) [pixel], y then x."""
    arm: np.ndarray
    """Length of the short arm [pixel]."""


class DrawLetters(Protocol):
    def __call__(
        self,
        n: int,
        *,
        seed: int,
        size: tuple[int, int] = (24, 24),
        n_channels: int = 1,
        largest_shift: float = 0.0,
        noise: float = 0.1,
    ) -> Letters: ...


def _stroke(y: np.ndarray, x: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """A line of width 3 px with soft edges; start and stop are (site, 2)."""
    along = (stop - start)[:, None, None]
    offset = np.stack((y, x), -1) - start[:, None, None]
    part = ((offset * along).sum(-1) / (along**2).sum(-1)).clip(0, 1)
    distance = np.linalg.norm(offset - part[..., None] * along, axis=-1)
    return 1 / (1 + np.exp(3 * (distance - 1.5)))


@pytest.fixture(scope="session")
def draw_letters() -> DrawLetters:
    """Letters by number, seed and size."""

    def draw(
        n: int,
        *,
        seed: int,
        size: tuple[int, int] = (24, 24),
        n_channels: int = 1,
        largest_shift: float = 0.0,
        noise: float = 0.1,
    ) -> Letters:
        rng = np.random.default_rng(seed)
        angle = rng.uniform(-np.pi, np.pi, n)
        shift = rng.uniform(-largest_shift, largest_shift, (n, 2))
        reach = min(size) * 0.3
        arm = rng.uniform(0.3, 1.0, n) * reach
        y, x = np.meshgrid(*(np.arange(s) - (s - 1) / 2 for s in size), indexing="ij")
        y, x = (grid - shift[:, k, None, None] for k, grid in enumerate((y, x)))
        cos, sin = (f(angle)[:, None, None] for f in (np.cos, np.sin))
        y, x = cos * y + sin * x, cos * x - sin * y
        corner = np.tile([reach * 0.7, -reach * 0.3], (n, 1))
        top, right = corner - [1.7 * reach, 0], corner + np.stack((0 * arm, arm), -1)
        image = np.maximum(_stroke(y, x, corner, top), _stroke(y, x, corner, right))
        sign = np.array([1.0, -1.0, 0.5])[:n_channels, None, None]
        patches = image[:, None] * sign + noise * rng.normal(size=(n, n_channels, *size))
        return Letters(patches.astype(np.float32), angle, shift, arm)

    return draw
