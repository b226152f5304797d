"""Walls whose place is known, turned images, islands of noise, and the ends at masks."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from invae.config.describe import WallConfig
from invae.descriptors.domains.stripes import find_stripes, line_gain
from invae.descriptors.domains.walls import (
    canny_edges,
    find_walls,
    rasterize,
    smoothed,
    without_faint_domains,
)
from tests.invae.descriptors.conftest import disc, texture

SHAPE = (80, 96)
EVERYWHERE = np.ones(SHAPE, bool)
CONFIG = WallConfig()


def straight(angle: float, through: tuple[float, float] = (40.3, 47.6)) -> np.ndarray:
    y, x = np.indices(SHAPE)
    across = np.cos(angle) * (y - through[0]) + np.sin(angle) * (x - through[1])
    return np.tanh(across / 1.5)


@pytest.mark.parametrize("angle", [0, 0.3, np.pi / 4, np.pi / 2, 2.0])
def test_a_straight_wall_is_found_to_a_twentieth_of_a_pixel(angle: float) -> None:
    walls = find_walls(straight(angle), EVERYWHERE, config=CONFIG)
    assert len(walls) == 1
    y, x = walls[0].points.T
    away = np.cos(angle) * (y - 40.3) + np.sin(angle) * (x - 47.6)
    inner = (y > 4) & (y < SHAPE[0] - 5) & (x > 4) & (x < SHAPE[1] - 5)  # borders bend the Gaussian
    assert np.abs(away[inner]).max() < 0.05


def test_a_disc_is_one_closed_wall_of_its_circumference() -> None:
    walls = find_walls(disc(SHAPE, (38.4, 50.7), 20), EVERYWHERE, config=CONFIG)
    assert len(walls) == 1
    assert walls[0].closed
    assert walls[0].length == pytest.approx(2 * np.pi * 20, rel=0.02)
    radii = np.linalg.norm(walls[0].points - [38.4, 50.7], axis=1)
    np.testing.assert_allclose(radii, 20, atol=0.2)


def test_noise_at_snr_3_moves_a_wall_by_less_than_a_pixel_and_makes_no_other() -> None:
    noise = np.random.default_rng(5).normal(scale=1 / 3, size=SHAPE)
    walls = find_walls(straight(0.3) + noise, EVERYWHERE, config=CONFIG)
    assert len(walls) == 1
    y, x = walls[0].points.T
    away = np.cos(0.3) * (y - 40.3) + np.sin(0.3) * (x - 47.6)
    assert np.sqrt(np.mean(away**2)) < 0.6


def test_noise_in_a_stripe_without_signal_makes_no_wall() -> None:
    polarization = np.ones(SHAPE)
    polarization[:, 30:44] = 0
    noise = np.random.default_rng(6).normal(scale=0.1, size=SHAPE)
    assert find_walls(polarization + noise, EVERYWHERE, config=CONFIG) == []


def test_a_faint_island_takes_the_sign_around_it_and_a_domain_does_not() -> None:
    field = -np.ones(SHAPE)
    field[10:14, 10:14], field[40:50, 40:50] = 0.1, 0.8
    cleaned = without_faint_domains(field, min_contrast=0.25)
    assert (cleaned[10:14, 10:14] < 0).all()
    assert (cleaned[40:50, 40:50] > 0).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_walls_of_a_turned_frame_are_the_turned_walls(turns: int) -> None:
    polarization = texture(SHAPE, seed=7, size=8)
    valid = texture(SHAPE, seed=8, size=8) < 1.5
    turned = np.rot90(polarization, turns), np.rot90(valid, turns)
    here = rasterize(find_walls(polarization, valid, config=CONFIG), SHAPE)
    there = rasterize(find_walls(*turned, config=CONFIG), turned[0].shape)
    back = np.rot90(there, -turns)
    assert here.sum() > 100
    for one, other in ((here, back), (back, here)):
        assert np.asarray(ndi.distance_transform_edt(~other))[one].max() <= 1.5


def test_walls_end_at_masks_and_do_not_run_along_them() -> None:
    polarization = straight(0.0)
    valid = EVERYWHERE.copy()
    valid[:, 40:60] = False
    polarization[~valid] = -50
    walls = find_walls(polarization, valid, config=CONFIG)
    assert len(walls) == 2
    for wall in walls:
        y, x = wall.points.T
        assert ((x <= 40) | (x >= 59)).all()
        assert np.abs(y - 40.3).max() < 0.2


def test_smoothing_over_valid_pixels_keeps_a_constant() -> None:
    values = np.full(SHAPE, 3.0)
    valid = texture(SHAPE, seed=9, size=2) < 0.5
    values[~valid] = np.nan
    field = smoothed(values, valid, sd=1.5)
    np.testing.assert_allclose(field[np.isfinite(field)], 3, rtol=1e-5)
    assert np.isnan(field[~valid]).all()


def test_the_skeleton_is_one_pixel_wide_and_on_the_wall() -> None:
    skeleton = rasterize(find_walls(straight(0.3), EVERYWHERE, config=CONFIG), SHAPE)
    y, x = np.nonzero(skeleton)
    assert np.abs(np.cos(0.3) * (y - 40.3) + np.sin(0.3) * (x - 47.6)).max() < 1
    assert len(y) == SHAPE[1]  # one pixel in each column


def test_canny_finds_the_wall_once_and_no_wrap_of_the_phase() -> None:
    noise = np.random.default_rng(10).normal(scale=0.1, size=(2, *SHAPE))
    cosine = np.clip(np.sign(straight(0.3)) + noise[0], -1, 1)
    edges = canny_edges(cosine, EVERYWHERE, sigma=2.0)
    y, x = np.nonzero(edges)
    away = np.abs(np.cos(0.3) * (y - 40.3) + np.sin(0.3) * (x - 47.6))
    assert len(away) > 80
    assert (away < 2).mean() > 0.98
    assert not canny_edges(np.clip(1 - np.abs(noise[1]), -1, 1), EVERYWHERE, sigma=2.0).any()


def stripes(angle: float, *, low: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices((128, 128))
    across = (np.cos(angle) * y + np.sin(angle) * x) % 40 - 20
    inside = np.abs(across) < 3
    return ndi.gaussian_filter(np.where(inside, low, 1.0), 1.2), inside


@pytest.mark.parametrize("angle", [0.5, np.pi / 4, 2.2])
@pytest.mark.parametrize("sign", [1, -1])
def test_stripes_of_low_amplitude_are_found_along_their_middle(angle: float, sign: int) -> None:
    polarization, inside = stripes(angle)
    polarization = sign * polarization + np.random.default_rng(1).normal(
        scale=0.1, size=polarization.shape
    )
    nowhere, everywhere = np.zeros_like(inside), np.ones_like(inside)
    found = find_stripes(polarization, everywhere, nowhere, scan_lines="rows", config=CONFIG)
    assert inside[found].mean() > 0.95
    middle = np.asarray(ndi.distance_transform_edt(inside)) >= 2.5
    reached = np.asarray(ndi.distance_transform_edt(~found)) <= 3
    assert reached[middle].mean() > 0.9


def test_a_180_degree_wall_dust_and_a_line_that_jumped_are_no_stripes() -> None:
    polarization = straight(0.3)
    polarization[60:65, 20:25] = 30.0
    polarization[:20] *= 0.6
    polarization[33] *= 0.5
    wall = rasterize(find_walls(polarization, EVERYWHERE, config=CONFIG), SHAPE)
    found = find_stripes(polarization, EVERYWHERE, wall, scan_lines="rows", config=CONFIG)
    assert found.sum() == 0


def test_the_gain_of_a_line_is_relative_to_the_lines_around_it() -> None:
    size = np.ones((60, 40))
    size[30] = 0.5
    gain = line_gain(size, np.ones((60, 40), bool), scan_lines="rows")
    assert gain[30, 0] == pytest.approx(0.5)
    assert gain[29, 0] == 1
    turned = line_gain(size.T, np.ones((40, 60), bool), scan_lines="columns")
    np.testing.assert_array_equal(turned, gain.T)
