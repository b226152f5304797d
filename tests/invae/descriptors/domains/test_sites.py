"""Sites along walls and on grids."""

import numpy as np
import pytest

from invae.config.describe import SiteConfig
from invae.descriptors.domains.sites import along_contour, candidates
from invae.descriptors.domains.walls import Contour
from invae.descriptors.sites import evenly, grid_sites, per_frame


def ring(radius: float, *, start: float = 0.0, n_points: int = 400) -> Contour:
    angle = start + np.linspace(0, 2 * np.pi, n_points)
    points = np.stack([40 + radius * np.sin(angle), 50 + 1.2 * radius * np.cos(angle)], axis=1)
    points[-1] = points[0]
    return Contour(points)


def test_sites_lie_on_the_wall_at_equal_distances() -> None:
    wall = Contour(np.array([[0.0, 0.0], [0.0, 30.0], [40.0, 30.0]]))
    sites = along_contour(wall, spacing=6)
    assert len(sites) == 11
    along = np.where(sites[:, 0] == 0, sites[:, 1], 30 + sites[:, 0])
    np.testing.assert_allclose(np.diff(along), 70 / 11)
    assert along[0] == pytest.approx(35 / 11)


def test_a_wall_followed_the_other_way_has_the_same_sites() -> None:
    wall = Contour(np.cumsum(np.random.default_rng(1).random((50, 2)), axis=0))
    back = Contour(wall.points[::-1])
    np.testing.assert_allclose(along_contour(wall, spacing=3), along_contour(back, spacing=3)[::-1])


def test_where_a_closed_line_begins_does_not_matter() -> None:
    one = along_contour(ring(15), spacing=6)
    other = along_contour(ring(15, start=1.0), spacing=6)
    distances = np.linalg.norm(one[:, None] - other, axis=2).min(axis=1)
    assert distances.max() < 0.5 or np.allclose(one, 2 * np.array([40, 50]) - other, atol=0.5)


def test_a_short_wall_has_one_site_in_its_middle() -> None:
    wall = Contour(np.array([[2.0, 2.0], [2.0, 6.0]]))
    np.testing.assert_allclose(along_contour(wall, spacing=6), [[2, 4]])


@pytest.mark.parametrize("shape", [(64, 64), (50, 81)])
def test_a_grid_is_centred_and_inside(shape: tuple[int, int]) -> None:
    sites = grid_sites(shape, spacing=7)
    np.testing.assert_allclose(sites.mean(axis=0), (np.array(shape) - 1) / 2)
    assert (sites >= 0).all()
    assert (sites <= np.array(shape) - 1).all()
    assert len(sites) == ((shape[0] - 1) // 7 + 1) * ((shape[1] - 1) // 7 + 1)


def test_a_frame_without_walls_has_no_wall_sites_but_a_grid() -> None:
    assert len(candidates([], (64, 64), config=SiteConfig())) == 0
    assert len(candidates([], (64, 64), config=SiteConfig(kind="grid", spacing=8))) == 64


def test_fewer_sites_are_spread_over_all() -> None:
    kept = evenly(1000, most=10)
    assert len(kept) == 10
    np.testing.assert_array_equal(np.diff(kept), 100)
    np.testing.assert_array_equal(evenly(5, most=10), np.arange(5))


def test_a_long_recording_gets_fewer_sites_in_each_frame() -> None:
    config = SiteConfig(max_per_frame=300, max_sites=50_000)
    assert per_frame(3, config=config) == 300
    assert per_frame(10_000, config=config) == 5
    assert per_frame(100_000, config=config) == 1
