"""The bright-field disc: where it is, how wide and how round, and that there is none where there is none."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from invae.scans import disc

Draw = Callable[..., np.ndarray]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("n", "radius", "counts"), [(64, 18.0, 1e3), (96, 30.0, 1e3), (64, 5.0, 1e2)]
)
def test_a_disc_is_found_to_a_tenth_of_a_pixel(
    n: int, radius: float, counts: float, seed: int, draw_disc: Draw
) -> None:
    random = np.random.default_rng(seed)
    y, x = n / 2 + random.uniform(-4, 4, 2)
    ratio, angle = random.uniform(1.04, 1.12), random.uniform(-1.5, 1.5)
    pattern = draw_disc((n, n), (y, x), radius, ratio=ratio, angle=angle, counts=counts)
    found = disc.fit(random.poisson(pattern, (256, n, n)).mean(axis=0), n_patterns=256)
    assert found is not None
    assert math.hypot(found.centre[0] - y, found.centre[1] - x) < 0.1
    assert abs(found.radius - radius) < 0.1
    assert abs(found.ellipse_ratio - ratio) < 0.02
    assert abs((found.ellipse_angle - angle + math.pi / 2) % math.pi - math.pi / 2) < 0.2


def test_the_detector_need_not_be_square(draw_disc: Draw) -> None:
    found = disc.fit(draw_disc((48, 80), (20.3, 50.8), 14.0))
    assert found is not None
    np.testing.assert_allclose((*found.centre, found.radius), (20.3, 50.8, 14.0), atol=0.05)


def test_a_disc_that_runs_off_the_detector_is_found(draw_disc: Draw) -> None:
    found = disc.fit(draw_disc((64, 64), (14.0, 30.0), 20.0))
    assert found is not None
    np.testing.assert_allclose((*found.centre, found.radius), (14.0, 30.0, 20.0), atol=0.3)


def test_the_real_disc_is_where_its_calibration_says(shared_data) -> None:
    with np.load(shared_data / "4dstem/graphene_vacancy.npz") as recording:
        mean = recording["counts"].mean(axis=(0, 1))
        step = float(np.diff(recording["k_x"])[0])
        zero = -recording["k_y"][0] / step
    found = disc.fit(mean, n_patterns=1024)
    assert found is not None
    np.testing.assert_allclose(found.centre, (zero, zero), atol=0.02)
    assert abs(found.radius * step - 31) < 0.4  # mrad, the semi-angle of the simulation


@pytest.mark.parametrize("seed", range(3))
def test_there_is_no_disc_in_noise_nothing_or_a_ramp(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert disc.fit(np.zeros((64, 64))) is None
    assert disc.fit(np.full((64, 64), 7.0)) is None
    assert disc.fit(random.poisson(0.5, (256, 64, 64)).mean(axis=0), n_patterns=256) is None
    assert disc.fit(np.add.outer(np.arange(64.0), np.arange(64.0))) is None
    assert disc.fit(np.ones((2, 2))) is None
