"""Classes from the parts of an over-complete mixture."""

import numpy as np
import pytest

from invae.errors import InputError
from invae.training.mixture_merging import merge, parts_of


def moons(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three bent clouds of very different size and length, and which is which."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    along = rng.uniform(-1.3, 1.3, n) * np.array([1.0, 0.6, 0.3])[truth]
    radius = 4.0 - 1.5 * truth
    cloud = np.stack((radius * np.sin(along), radius * np.cos(along)), axis=1)
    return cloud + rng.normal(scale=0.15, size=(n, 2)), truth


@pytest.mark.parametrize("seed", range(4))
def test_bent_clouds_become_one_class_each(seed):
    cloud, truth = moons(1500, seed=seed)
    merged = merge(parts_of(cloud, seed=seed), 3)
    found = merged.probability.argmax(1)
    assert {tuple(np.unique(truth[found == k])) for k in range(3)} == {(0,), (1,), (2,)}
    np.testing.assert_allclose(merged.probability.sum(1), 1)


def test_the_overlap_says_how_many_there_are():
    """The merge that would join two of the clouds overlaps far less than those before it."""
    cloud, _ = moons(1500, seed=1)
    overlap = merge(parts_of(cloud, seed=1), 2).overlap
    assert overlap[-1] < 0.1 * overlap[-2]


def test_a_label_names_its_class():
    cloud, truth = moons(1500, seed=2)
    labels = np.full(len(truth), -1)
    for k, name in enumerate([2, 0, 1]):
        labels[np.flatnonzero(truth == k)[:3]] = name
    found = merge(parts_of(cloud, seed=2), 3, labels=labels).probability.argmax(1)
    assert (found == np.array([2, 0, 1])[truth]).mean() > 0.999


def test_a_few_sites_far_away_are_no_class():
    cloud, truth = moons(1500, seed=3)
    cloud[:6] = 40 + np.arange(6)[:, None]
    found = merge(parts_of(cloud, seed=3), 3).probability[6:].argmax(1)
    assert {tuple(np.unique(truth[6:][found == k])) for k in range(3)} == {(0,), (1,), (2,)}


@pytest.mark.parametrize("labels", [None, np.repeat([0, 3], 30)])
def test_fewer_parts_than_classes_leave_classes_empty(labels):
    cloud = np.concatenate([np.random.default_rng(0).normal(size=(30, 2)) + k for k in (0, 20)])
    probability = merge(parts_of(cloud, seed=0), 4, labels=labels).probability
    assert probability.shape == (60, 4)
    np.testing.assert_allclose(probability.sum(1), 1)
    if labels is not None:
        assert (probability.argmax(1) == labels).all()


def test_too_few_sites_are_refused():
    with pytest.raises(InputError, match="30 patches are too few for classes; 50 are needed"):
        parts_of(np.zeros((30, 2)), seed=0)
