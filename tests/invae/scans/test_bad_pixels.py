"""Faulty pixels: the hot and the dead are found, the disc's edge and diffraction spots are not faults."""

from collections.abc import Callable

import numpy as np
import pytest

from invae.scans import bad_pixels

Draw = Callable[..., np.ndarray]


@pytest.mark.parametrize("seed", range(5))
def test_hot_and_dead_pixels_are_found_and_nothing_else(seed: int, draw_disc: Draw) -> None:
    random = np.random.default_rng(seed)
    centre = tuple(32 + random.uniform(-3, 3, 2))
    expected = draw_disc((64, 64), centre, 18.0, counts=2000)
    patterns = random.poisson(expected, (256, 64, 64)).astype("u2")
    truth = np.zeros((2, 64, 64), bool)
    truth[0].flat[random.choice(64 * 64, 6, replace=False)] = True
    y, x = np.rint(np.array(centre)[:, None] + random.uniform(-11, 11, (2, 4))).astype(int)
    truth[1][y, x] = True
    truth[1] &= ~truth[0]
    patterns[:, truth[0]], patterns[:, truth[1]] = 40, 0
    hot, dead = bad_pixels.find(patterns)
    np.testing.assert_array_equal(hot, truth[0])
    np.testing.assert_array_equal(dead, truth[1])


@pytest.mark.parametrize("counts", [30, 300, 30_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_sound_detector_has_none(seed: int, counts: int, draw_disc: Draw) -> None:
    random = np.random.default_rng(seed)
    expected = draw_disc((96, 80), (45.2, 38.7), 25.0, counts=counts, around=0.001)
    for pattern in (random.poisson(expected, (256, 96, 80)), np.repeat(expected[None], 20, 0)):
        hot, dead = bad_pixels.find(pattern)
        assert not hot.any()
        assert not dead.any()


def test_diffraction_spots_are_no_faults() -> None:
    y, x = np.mgrid[:64, :64]
    spots = sum(
        np.exp(-((y - 32 - 9.3 * i) ** 2 + (x - 32 - 8.7 * j) ** 2) / (2 * 0.8**2))
        for i in range(-3, 4)
        for j in range(-3, 4)
    )
    patterns = np.random.default_rng(0).poisson(50 * spots, (256, 64, 64))
    hot, dead = bad_pixels.find(patterns)
    assert not (hot | dead).any()


def test_one_cosmic_ray_makes_no_pixel_hot(draw_disc: Draw) -> None:
    patterns = np.random.default_rng(1).poisson(draw_disc((64, 64), (31, 33), 18.0), (256, 64, 64))
    patterns[77, 5, 5] = 60_000
    assert not bad_pixels.find(patterns)[0].any()


def test_a_dead_line_is_found(draw_disc: Draw) -> None:
    patterns = np.random.default_rng(1).poisson(draw_disc((64, 64), (31, 33), 18.0), (256, 64, 64))
    patterns[:, 30] = 0
    dead = bad_pixels.find(patterns)[1]
    assert dead[30, 18:48].all()
    assert not np.delete(dead, 30, axis=0).any()


def test_a_few_patterns_tell_nothing() -> None:
    patterns = np.zeros((7, 16, 16))
    patterns[:, 3, 3] = 1000
    assert not bad_pixels.find(patterns)[0].any()


def test_a_faulty_pixel_is_filled_from_its_neighbours() -> None:
    mean, valid = np.add.outer(np.arange(8.0), np.zeros(8)), np.ones((8, 8), bool)
    valid[3, 4:6] = False
    np.testing.assert_array_equal(bad_pixels.filled(np.where(valid, mean, 1e6), valid), mean)
