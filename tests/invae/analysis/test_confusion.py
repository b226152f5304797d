"""Found classes beside known ones."""

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.analysis.confusion import accuracy, compare, cross_table, known_classes, matched

SUITS = ("clubs", "spades", "diamonds", "hearts")


def sites_of(label, *, symmetry=(1, 1, 2, 1)):
    attrs = dims.flags(SUITS, "suit") | {"symmetry": list(symmetry)}
    return xr.Dataset(coords={"truth_suit": ("site", label, attrs)})


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_order_of_found_classes_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, 200)
    renamed = rng.permutation(4)[label]
    known = known_classes(sites_of(label))
    assert known is not None
    scores = compare({"class": renamed}, known)
    assert float(scores["accuracy"][0]) == 1
    assert float(scores["adjusted_rand"][0]) == 1
    match = scores["match"][0].to_numpy()
    np.testing.assert_array_equal(match[renamed], label)


def test_merged_classes_lose_one_of_the_two():
    label = np.repeat(np.arange(4), 50)
    found = np.minimum(label, 2)
    table = cross_table(found, label, n_found=3, n_known=4)
    assert accuracy(table) == 0.75
    assert sorted(matched(table)) in ([0, 1, 2], [0, 1, 3])


def test_a_class_split_in_two_counts_half():
    label = np.repeat(np.arange(2), 50)
    found = np.where(label == 1, 1 + np.arange(100) % 2, 0)
    table = cross_table(found, label, n_found=3, n_known=2)
    assert accuracy(table) == 0.75
    assert (matched(table) == -1).sum() == 1


def test_sites_of_unknown_class_do_not_count():
    found, label = np.array([0, 0, 1, 1]), np.array([0, -1, 1, -1])
    table = cross_table(found, label, n_found=2, n_known=2)
    assert table.sum() == 2
    assert accuracy(table) == 1


def test_labellings_with_other_numbers_of_classes_stand_side_by_side():
    label = np.repeat(np.arange(4), 30)
    known = known_classes(sites_of(label))
    assert known is not None
    scores = compare({"class": label, "one": 0 * label}, known)
    assert scores["count"].dims == ("labelling", "found", "known")
    assert (scores["count"].sel(labelling="one")[1:] == -1).all()
    assert float(scores["accuracy"].sel(labelling="one")) == 0.25
    assert scores["known"].to_numpy().tolist() == list(SUITS)


def test_symmetries_come_with_the_names():
    known = known_classes(sites_of(np.zeros(3, int)))
    assert known is not None
    assert known.symmetry == (1, 1, 2, 1)
    assert known.name == "suit"
    assert known_classes(xr.Dataset(coords={"truth_angle": ("site", np.zeros(3))})) is None
