"""Centre-of-mass maps: tilts come off, and the field of a potential is turned back."""

import math
from typing import Any

import numpy as np
import pytest

from invae.scans.deflection import (
    Field,
    Rotation,
    least_curl,
    rotated,
    wandering,
    without_descan,
)


def pull_of_atoms(random: np.random.Generator, n: int, n_atoms: int, noise: float) -> Field:
    """The gradient of a potential with sharp peaks, sd 1 for each component, and noise."""
    y, x = np.mgrid[:n, :n]
    places = random.uniform(0, n, (n_atoms, 2))
    potential = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 8) for a, b in places)
    down, right = np.gradient(potential)
    down, right = (part / part.std() + noise * random.normal(size=(n, n)) for part in (down, right))
    return down, right


def difference(first: float, second: float) -> float:
    return abs((first - second + math.pi) % (2 * math.pi) - math.pi)


def test_a_quarter_turn_of_a_vector_is_rot90() -> None:
    right = np.zeros((1, 1)), np.ones((1, 1))
    down, across = rotated(right, Rotation(math.pi / 2, transposed=False))
    np.testing.assert_allclose((down.item(), across.item()), (-1, 0), atol=1e-15)  # up
    down, across = rotated(right, Rotation(0.0, transposed=True))
    assert (down.item(), across.item()) == (1, 0)


def test_a_beam_that_wanders_is_measured_over_the_whole_scan() -> None:
    y, x = np.mgrid[:10, :12] * 1.0
    noise = 0.1 * np.random.default_rng(0).normal(size=(2, 10, 12))
    distance, left = wandering((3 * y / 9 + noise[0], -4 * x / 11 + noise[1]))
    assert distance == pytest.approx(5, abs=0.2)
    assert left == pytest.approx(0.14, abs=0.03)


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_turn_of_the_detector_is_found(seed: int, transposed: bool, noise: float) -> None:
    random = np.random.default_rng(seed)
    field, angle = pull_of_atoms(random, 40, 24, noise), random.uniform(-math.pi, math.pi)
    down, right = rotated(field, Rotation(-angle, transposed=False))
    found = least_curl((right, down) if transposed else (down, right))
    assert found is not None
    assert found.transposed == transposed
    assert difference(found.angle, angle) < math.radians(2 if noise else 1)


def test_a_field_without_axes_of_one_length_is_turned_too() -> None:
    y, x = np.mgrid[:40, :60]
    down, right = np.gradient(np.exp(-((y - 20.0) ** 2) / 30 - ((0.5 * x - 14) ** 2) / 30), 1, 0.5)
    seen = rotated((down, right), Rotation(-0.7, transposed=False))
    found = least_curl(seen, steps=(1.0, 0.5))
    assert found is not None
    assert difference(found.angle, 0.7) < 0.02


@pytest.mark.parametrize("n", [12, 48])
@pytest.mark.parametrize("seed", range(10))
def test_noise_has_no_direction(n: int, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(2, n, n))
    assert least_curl((noise[0], noise[1])) is None


def test_one_row_has_no_curl() -> None:
    row = np.random.default_rng(0).normal(size=(2, 1, 50))
    assert least_curl((row[0], row[1])) is None
    assert least_curl((np.zeros((9, 9)), np.zeros((9, 9)))) is None


@pytest.mark.parametrize(("kind", "bend"), [("plane", 0.0), ("parabola", 0.3)])
def test_the_tilt_of_the_scan_comes_off(kind: Any, bend: float) -> None:
    random = np.random.default_rng(4)
    y, x = np.meshgrid(np.linspace(-1, 1, 30), np.linspace(-1, 1, 50), indexing="ij")
    field = random.normal(0, 0.01, (2, 30, 50))
    tilt = 5 + 2 * y - 3 * x + bend * (y * y - 2 * y * x + x * x)
    down, right = without_descan((field[0] + tilt, field[1] - 2 * tilt), kind)
    assert max(np.abs(down - field[0]).max(), np.abs(right - field[1]).max()) < 5e-3
    assert abs(down.mean()) < 1e-12


def test_patterns_without_counts_do_not_spoil_the_fit() -> None:
    tilt = np.add.outer(np.arange(10.0), np.arange(12.0))
    tilt[3, 4] = np.nan
    down, right = without_descan((tilt, 2 * tilt), "plane")
    assert np.isnan(down[3, 4])
    assert np.nanmax(np.abs(right)) < 1e-12
    untouched = without_descan((tilt, tilt), "none")
    assert untouched[0] is tilt
    single = without_descan((np.ones((1, 1)), np.ones((1, 1))), "parabola")
    assert abs(single[0].item()) < 1e-12
