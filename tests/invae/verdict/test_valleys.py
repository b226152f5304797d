"""Valleys on clouds of known shape."""

import numpy as np
import pytest

from invae.verdict.valleys import deepest_inside, joined, shallowest, shallowest_between, valley


def clouds(*centres: float, n: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Round clouds of sd 1 in four dimensions, along the first axis, and the cloud of every site."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n * len(centres), 4))
    label = np.repeat(np.arange(len(centres)), n)
    points[:, 0] += np.array(centres)[label]
    order = rng.permutation(len(label))
    return points[order], label[order]


def test_two_clouds_have_an_empty_valley_between_them():
    points, label = clouds(0, 10)
    assert valley(points, label, 0, 1) > 0.95


def test_one_cloud_cut_in_two_has_none():
    points, _ = clouds(0, n=400)
    assert valley(points, (points[:, 0] > 0).astype(int), 0, 1) < 0.3


def test_one_cloud_in_random_halves_has_none():
    points, _ = clouds(0, n=400)
    label = np.random.default_rng(5).integers(0, 2, len(points))
    assert valley(points, label, 0, 1) < 0.5


@pytest.mark.parametrize("n", [3, 7])
def test_a_group_of_few_sites_tells_nothing(n):
    points, label = clouds(0, 10, n=n)
    assert valley(points, label, 0, 1) == 0


def test_equal_patterns_tell_nothing():
    assert valley(np.zeros((60, 3)), np.arange(60) % 2, 0, 1) == 0


def test_the_shallowest_valley_names_its_two_groups():
    points, label = clouds(0, 12, 14)
    depth, pair = shallowest_between(points, label)
    assert pair == (1, 2)
    assert depth < 0.8
    assert shallowest_between(points, np.zeros(len(points), int)) == (1.0, None)


def test_the_shallowest_valley_is_none_where_a_group_is_empty_or_tiny():
    points, label = clouds(0, 12, 24)
    assert shallowest(points, label, 3) > 0.9
    assert shallowest(points, label, 4) == 0
    assert shallowest(points, np.where(np.arange(len(label)) < 5, 3, label), 4) == 0


def test_a_group_of_two_clouds_has_a_valley_inside_and_others_have_none():
    points, label = clouds(0, 10, 20)
    depth, group = deepest_inside(points, np.minimum(label, 1))
    assert group == 1
    assert depth > 0.8
    depth, _ = deepest_inside(points, label)
    assert depth < 0.8


def test_outliers_are_no_second_part():
    points, label = clouds(0, n=300)
    points[:6, 1] += 40
    depth, _ = deepest_inside(points, label)
    assert depth < 0.8


def test_pieces_of_one_cloud_are_joined_and_clouds_are_left_apart():
    points, cloud = clouds(0, 10, 20, 30, n=200)
    pieces = 2 * cloud + (points[:, 1] > 0)
    kinds = joined(points, pieces)
    assert sorted(kinds) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert sorted(joined(points, cloud)) == [[0], [1], [2], [3]]


def test_a_few_sites_between_two_clouds_do_not_chain_them():
    points, label = clouds(0, 10, n=200)
    between = np.random.default_rng(1).normal(size=(20, 4))
    between[:, 0] = np.linspace(1.5, 8.5, 20)
    kinds = joined(np.concatenate([points, between]), np.concatenate([label, np.full(20, 2)]))
    assert len(kinds) == 2
    assert not any({0, 1} <= {*kind} for kind in kinds)


def test_two_groups_are_left_even_of_one_cloud():
    points, _ = clouds(0, n=600)
    label = np.digitize(points[:, 0], [-1, 0, 1])
    assert len(joined(points, label)) == 2
