"""Folds: every site is held out once, whole specimens or blocks together."""

import numpy as np
import pytest

from invae.training.folds import folds_of
from invae.training.split import Places


def covered_once(folds, n: int) -> bool:
    held = np.sort(np.concatenate([split.held_out for split in folds.splits]))
    return np.array_equal(held, np.arange(n))


def test_no_specimen_is_on_both_sides():
    specimen = np.repeat(np.arange(7), [5, 9, 4, 4, 8, 3, 7])
    folds = folds_of(40, n_folds=4, seed=0, specimen=specimen)
    assert folds.by == "specimen"
    assert len(folds.splits) == 4
    assert covered_once(folds, 40)
    for split in folds.splits:
        assert set(specimen[split.training]).isdisjoint(specimen[split.held_out])
        assert len(split.training) + len(split.held_out) == 40


def test_there_are_no_more_folds_than_specimens():
    assert len(folds_of(20, n_folds=5, seed=0, specimen=np.arange(20) // 10).splits) == 2


def test_patches_of_a_field_are_held_out_by_blocks_that_do_not_overlap():
    y, x = (v.ravel().astype(float) for v in np.indices((30, 30)) * 4)
    places = Places(np.zeros(900, int), y, x, window=8.0)
    folds = folds_of(900, n_folds=4, seed=1, places=places)
    assert folds.by == "block"
    assert not folds.leaks
    assert covered_once(folds, 900)
    for split in folds.splits:
        apart = np.maximum(
            np.abs(y[split.training][:, None] - y[split.held_out]),
            np.abs(x[split.training][:, None] - x[split.held_out]),
        )
        assert apart.min() >= 8


@pytest.mark.parametrize(("shape", "n_folds"), [((24, 24), 4), ((40, 3), 8)])
def test_a_field_too_small_for_many_blocks_is_held_out_by_a_few_large_ones(shape, n_folds):
    """Two squares of 7 px in the middle of 24 px would leave a tenth of the sites for training."""
    n = shape[0] * shape[1]
    y, x = (v.ravel().astype(float) for v in np.indices(shape))
    window = 7.0 if min(shape) > 7 else 3.0
    places = Places(np.zeros(n, int), y, x, window=window)
    folds = folds_of(n, n_folds=8, seed=0, places=places)
    assert folds.by == "block"
    assert len(folds.splits) == n_folds
    assert covered_once(folds, n)
    for split in folds.splits:
        assert len(split.training) >= 0.3 * n
        apart = np.maximum(
            np.abs(y[split.training][:, None] - y[split.held_out]),
            np.abs(x[split.training][:, None] - x[split.held_out]),
        )
        assert apart.min() >= window


def test_single_sites_are_said_to_leak():
    folds = folds_of(11, n_folds=3, seed=0, specimen=np.zeros(11))
    assert folds.leaks
    assert covered_once(folds, 11)


def test_folds_follow_from_the_seed():
    one, same, other = (folds_of(50, n_folds=5, seed=s).splits[0].held_out for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
