"""Patches: between the pixels, at the borders, turned."""

import numpy as np
import pytest

from invae.descriptors.patches import cut, offsets, valid_share
from tests.invae.descriptors.conftest import texture

SHAPE = (70, 90)
EVERYWHERE = np.ones(SHAPE, bool)


def test_an_even_patch_around_a_pixel_corner_holds_the_pixels_themselves() -> None:
    values = texture(SHAPE, seed=1)
    patch, valid = cut(values, EVERYWHERE, np.array([[30.5, 40.5]]), window=32)
    np.testing.assert_allclose(patch[0], values[15:47, 25:57], atol=1e-6)
    assert valid.all()


def test_an_odd_patch_around_a_pixel_has_it_in_its_middle() -> None:
    values = texture(SHAPE, seed=1)
    patch, _ = cut(values, EVERYWHERE, np.array([[30.0, 40.0]]), window=9)
    np.testing.assert_allclose(patch[0], values[26:35, 36:45], atol=1e-6)
    assert offsets(9)[4] == 0
    assert offsets(8).sum() == 0


def test_between_the_pixels_a_smooth_field_is_followed() -> None:
    y, x = np.indices(SHAPE)
    values = np.sin(0.3 * y) * np.cos(0.25 * x)
    patch, _ = cut(values, EVERYWHERE, np.array([[33.21, 44.84]]), window=16)
    rows, columns = 33.21 + offsets(16), 44.84 + offsets(16)
    exact = np.sin(0.3 * rows)[:, None] * np.cos(0.25 * columns)
    np.testing.assert_allclose(patch[0], exact, atol=1e-3)


@pytest.mark.parametrize("window", [15, 16])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_patch_of_a_turned_frame_is_the_patch_turned(window: int, turns: int) -> None:
    values, valid = texture(SHAPE, seed=2), texture(SHAPE, seed=3, size=6) < 1
    site = np.array([[31.37, 52.81], [12.2, 70.0]])
    turned_site = site.copy()
    height, width = SHAPE
    for _ in range(turns):  # np.rot90 takes (y, x) to (last x − x, y)
        turned_site = np.stack([width - 1 - turned_site[:, 1], turned_site[:, 0]], axis=1)
        height, width = width, height
    here = cut(values, valid, site, window=window)
    there = cut(np.rot90(values, turns), np.rot90(valid, turns), turned_site, window=window)
    np.testing.assert_allclose(there[0], np.rot90(here[0], turns, axes=(1, 2)), atol=1e-5)
    np.testing.assert_array_equal(there[1], np.rot90(here[1], turns, axes=(1, 2)))


def test_pixels_outside_or_masked_are_invalid_and_zero() -> None:
    values, valid = texture(SHAPE, seed=4), EVERYWHERE.copy()
    valid[10:12] = False
    values[10:12] = np.nan
    patch, believed = cut(values, valid, np.array([[5.5, 40.5]]), window=16)
    assert not believed[0, :2].any()  # rows −2 and −1
    assert not believed[0, 12:14].any()  # rows 10 and 11
    assert believed[0, 2:12].all()
    assert believed[0, 14:].all()
    assert np.isfinite(patch).all()
    assert (patch[~believed] == 0).all()


def test_the_valid_share_counts_what_is_inside_and_unmasked() -> None:
    valid = EVERYWHERE.copy()
    valid[:, :45] = False
    sites = np.array([[34.5, 44.5], [34.5, 80.5], [-0.5, 80.5], [34.5, 10.5], [500.0, 500.0]])
    np.testing.assert_allclose(valid_share(valid, sites, window=16), [0.5, 1, 0.5, 0, 0])
