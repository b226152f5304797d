"""The level between two domains: walls stay in their place whatever background is added."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from invae.config.describe import WallConfig
from invae.descriptors.domains.mid_level import mid_level, noise_of
from invae.descriptors.domains.walls import (
    Contour,
    find_walls,
    smoothed,
    smoothing_of,
    where_probable,
)
from tests.invae.descriptors.conftest import texture

SHAPE = (96, 96)
EVERYWHERE = np.ones(SHAPE, bool)


def bar(low: float, high: float) -> np.ndarray:
    """Straight walls at x = 30 and x = 60, blurred by a tip."""
    x = np.indices(SHAPE)[1]
    return ndi.gaussian_filter(np.where((x > 30) & (x <= 60), high, low).astype(float), 2.0)


def positions(polarization: np.ndarray, config: WallConfig) -> np.ndarray:
    """Distance of the walls from their true place, away from the border."""
    walls = find_walls(polarization, EVERYWHERE, config=config)
    assert len(walls) == 2
    points = np.concatenate([wall.points for wall in walls])
    points = points[(points[:, 0] > 8) & (points[:, 0] < 87)]
    return np.minimum(np.abs(points[:, 1] - 30.5), np.abs(points[:, 1] - 60.5))


@pytest.mark.parametrize(("low", "high"), [(-0.75, 1.25), (-1.2, 0.8), (-1.0, 1.0)])
def test_a_background_moves_no_wall(low: float, high: float) -> None:
    assert positions(bar(low, high), WallConfig()).max() < 0.1


def test_the_zero_level_moves_with_the_background() -> None:
    moved = positions(bar(-0.75, 1.25), WallConfig(level="zero", smoothing=1.5))
    assert np.median(moved) > 0.5


def test_a_level_changes_along_a_frame() -> None:
    y = np.indices(SHAPE)[0]
    slope = 0.25 * (y / 48 - 1)
    known = smoothed(bar(-1, 1) + slope, EVERYWHERE, sd=1.0)
    level = mid_level(known, EVERYWHERE)
    assert level[90, 45] - level[5, 45] > 0.08
    assert abs(level[48, 45]) < 0.03


def test_one_domain_alone_has_the_level_zero() -> None:
    noise = np.random.default_rng(1).normal(scale=0.1, size=SHAPE)
    known = smoothed(1 + noise, EVERYWHERE, sd=1.0)
    assert (mid_level(known, EVERYWHERE) == 0).all()


def test_lamellae_of_the_other_sign_do_not_move_the_level() -> None:
    x = np.indices(SHAPE)[1]
    stripes = np.where(x % 20 < 8, -0.3, 1.0)
    assert (mid_level(smoothed(stripes, EVERYWHERE, sd=1.0), EVERYWHERE) == 0).all()


@pytest.mark.parametrize("noise", [0.05, 0.33, 0.8])
def test_noise_is_measured_beside_walls_and_slopes(noise: float) -> None:
    drawn = np.random.default_rng(2).normal(scale=noise, size=SHAPE)
    assert noise_of(bar(-1, 1) + drawn, EVERYWHERE) == pytest.approx(noise, rel=0.08)


def test_noisy_frames_are_smoothed_more_unless_the_smoothing_is_given() -> None:
    noise = np.random.default_rng(3).normal(size=SHAPE)
    frames = [bar(-1, 1) + sd * noise for sd in (0.1, 0.45, 0.8)]
    chosen = [smoothing_of(frame, EVERYWHERE, config=WallConfig()) for frame in frames]
    assert chosen[0] == 1.0
    assert 1.0 < chosen[1] < 1.5
    assert chosen[2] == 1.5
    assert smoothing_of(frames[2], EVERYWHERE, config=WallConfig(smoothing=0.7)) == 0.7


def test_contours_are_cut_where_a_wall_is_improbable() -> None:
    x = np.linspace(0, 90, 181)
    line = Contour(np.stack((np.full(181, 40.0), x), axis=1))
    probability = np.zeros(SHAPE)
    probability[38:43, :30] = 1
    probability[38:43, 50:52] = 1
    probability[38:43, 60:] = 1
    pieces = where_probable([line], probability, config=WallConfig())
    ends = sorted((piece.points[0, 1], piece.points[-1, 1]) for piece in pieces)
    np.testing.assert_allclose(ends, [(0, 29.5), (59.5, 90)], atol=0.6)


def test_a_closed_contour_is_cut_once_at_one_gap_and_stays_closed_without() -> None:
    angle = np.linspace(0, 2 * np.pi, 200)
    ring = Contour(48 + 20 * np.stack((np.sin(angle), np.cos(angle)), axis=1))
    ring.points[-1] = ring.points[0]
    everywhere = where_probable([ring], np.ones(SHAPE), config=WallConfig())
    assert len(everywhere) == 1
    assert everywhere[0].closed
    probability = np.ones(SHAPE)
    probability[:, :40] = 0
    cut = where_probable([ring], probability, config=WallConfig())
    assert len(cut) == 1
    assert cut[0].points[:, 1].min() > 38.9
    assert cut[0].length == pytest.approx(
        2 * np.pi * 20 * (1 - 2 * np.arccos(0.425) / (2 * np.pi)), rel=0.05
    )


def test_texture_gives_walls_at_every_level_of_background() -> None:
    polarization = np.tanh(3 * texture(SHAPE, seed=7, size=8))
    lengths = [
        sum(wall.length for wall in find_walls(polarization + b, EVERYWHERE, config=WallConfig()))
        for b in (0.0, 0.15)
    ]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.08)
