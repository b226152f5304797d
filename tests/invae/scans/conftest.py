"""Patterns with a bright-field disc in a known place."""

from collections.abc import Callable

import numpy as np
import pytest

Draw = Callable[..., np.ndarray]
OVERSAMPLING = 5


@pytest.fixture(scope="session")
def draw_disc() -> Draw:
    """A pattern (k_y, k_x) of `counts` in all: an elliptic disc, and 2 % of its brightness around it."""

    def draw_disc(
        shape: tuple[int, int],
        centre: tuple[float, float],
        radius: float,
        *,
        ratio: float = 1.0,
        angle: float = 0.0,
        counts: float = 1000.0,
        around: float = 0.02,
    ) -> np.ndarray:
        fine = [(np.arange(n * OVERSAMPLING) + 0.5) / OVERSAMPLING - 0.5 for n in shape]
        y, x = np.meshgrid(fine[0] - centre[0], fine[1] - centre[1], indexing="ij")
        along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
        inside = np.hypot(along / ratio**0.5, across * ratio**0.5) < radius
        blocks = inside.reshape(shape[0], OVERSAMPLING, shape[1], OVERSAMPLING)
        pattern = blocks.mean(axis=(1, 3)) + around
        return pattern * counts / pattern.sum()

    return draw_disc
