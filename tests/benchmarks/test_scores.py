"""Scores on latents whose quality is known."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks import scores

TURN = 2 * np.pi


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_names_of_classes_do_not_matter(rng):
    truth = rng.integers(0, 4, 400)
    found = np.array([2, 0, 3, 1])[truth]
    assert scores.accuracy(found, truth) == 1
    assert scores.rand_index(found, truth) == 1
    np.testing.assert_array_equal(scores.matched(found, truth), truth)


def test_two_merged_classes_cost_one_of_them():
    truth = np.repeat(np.arange(4), 100)
    assert scores.accuracy(np.minimum(truth, 2), truth) == 0.75


def test_a_split_class_costs_its_smaller_part():
    truth = np.repeat(np.arange(4), 100)
    found = truth.copy()
    found[:30] = 4
    assert scores.accuracy(found, truth) == pytest.approx(1 - 30 / 400)
    assert (scores.matched(found, truth)[:30] == -1).all()


def test_classes_by_chance_have_no_rand_index(rng):
    truth = rng.integers(0, 4, 4000)
    assert abs(scores.rand_index(rng.integers(0, 4, 4000), truth)) < 0.01


def test_the_confusion_counts_every_frame(rng):
    found, truth = rng.integers(0, 6, 500), rng.integers(0, 4, 500)
    counts = scores.confusion(found, truth)
    assert counts.shape == (6, 4)
    np.testing.assert_array_equal(counts.sum(0), np.bincount(truth))


def test_an_offset_of_a_class_costs_no_resultant(rng):
    classes, truth = rng.integers(0, 4, 800), rng.uniform(-np.pi, np.pi, 800)
    angle = truth + np.array([0.3, -2, 1, 3])[classes] + TURN * rng.integers(-1, 2, 800)
    np.testing.assert_allclose(scores.resultants(angle, truth, classes), 1)


def test_a_half_turn_is_forgiven_where_the_object_has_it(rng):
    classes, truth = np.repeat([0, 1], 2000), rng.uniform(-np.pi, np.pi, 4000)
    angle = truth + np.pi * rng.integers(0, 2, 4000)
    assert scores.resultants(angle, truth, classes).max() < 0.1
    once, twice = scores.resultants(angle, truth, classes, symmetry={0: 1, 1: 2})
    assert once < 0.1
    assert twice == pytest.approx(1)


def test_the_resultant_of_a_spread_is_that_of_the_normal(rng):
    truth = rng.uniform(-np.pi, np.pi, 20_000)
    angle = truth + rng.normal(0, 0.5, len(truth))
    found = scores.resultants(angle, truth, np.zeros(len(truth), int))
    np.testing.assert_allclose(found, np.exp(-0.125), atol=0.01)


def test_a_class_of_few_frames_has_no_resultant():
    truth = np.zeros(20)
    found = scores.resultants(truth, truth, np.repeat([0, 1], [17, 3]))
    assert found[0] == 1
    assert np.isnan(found[1])


def test_circular_correlation_is_the_sum_over_all_pairs(rng):
    first, second = rng.uniform(-np.pi, np.pi, (2, 60))
    first = first + second
    low, high = np.triu_indices(60, 1)
    a, b = np.sin(first[low] - first[high]), np.sin(second[low] - second[high])
    expected = (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())
    assert scores.circular_correlation(first, second) == pytest.approx(expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_equal_angles_correlate_whatever_the_offset_and_a_mirror_turns_the_sign(rng, sign):
    truth = rng.uniform(-np.pi, np.pi, 500)
    assert scores.circular_correlation(sign * truth + 2, truth) == pytest.approx(sign)


def test_unrelated_angles_do_not_correlate(rng):
    assert abs(scores.circular_correlation(*rng.uniform(-np.pi, np.pi, (2, 20_000)))) < 0.03


def test_classes_have_origins_of_their_own(rng):
    classes, truth = rng.integers(0, 10, 1000), rng.uniform(-np.pi, np.pi, 1000)
    angle = truth + rng.uniform(-np.pi, np.pi, 10)[classes]
    assert scores.class_correlation(angle, truth, classes) == pytest.approx(1)
    assert scores.circular_correlation(angle, truth) < 0.7


def test_a_factor_that_each_class_codes_in_its_own_way_is_read(rng):
    classes, content = rng.integers(0, 3, 900), rng.normal(size=(900, 2))
    slope = np.array([[1.0, 0], [-2, 0], [0, 3]])[classes]
    factor = (slope * content).sum(1) + classes
    one_hot = np.eye(3)[classes]
    assert scores.linear_r2(scores.features(content, probability=one_hot), factor) > 0.999
    assert scores.linear_r2(scores.features(content), factor) < 0.6


def test_the_centre_of_a_class_turns_with_it(rng):
    angle, truth = rng.uniform(-np.pi, np.pi, 600), rng.normal(size=(600, 2))
    arm = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    found = truth + 3 * arm
    content = np.zeros((600, 1))
    turning = scores.features(content, shift=found, angle=angle)
    assert scores.linear_r2(turning, truth[:, 0]) > 0.999
    assert scores.linear_r2(scores.features(content, shift=found), truth[:, 0]) < 0.5


def test_r2_is_judged_on_frames_that_were_not_fitted(rng):
    assert scores.linear_r2(rng.normal(size=(60, 25)), rng.normal(size=60)) < 0


def test_a_constant_does_not_correlate(rng):
    assert scores.pearson(np.ones(10), rng.normal(size=10)) == 0
    assert scores.pearson(np.arange(10), 2 * np.arange(10) + 1) == pytest.approx(1)


def test_auc_is_the_share_of_ordered_pairs(rng):
    score, positive = rng.normal(size=300).round(1), rng.random(300) < 0.2
    higher = (score[positive][:, None] > score[~positive]).mean()
    equal = (score[positive][:, None] == score[~positive]).mean()
    assert scores.auc(score, positive) == pytest.approx(higher + equal / 2)
    assert scores.auc(score, positive) == pytest.approx(roc_auc_score(positive, score))


def test_without_both_kinds_there_is_no_auc():
    assert np.isnan(scores.auc(np.arange(4.0), np.zeros(4, bool)))


def test_entropy_is_zero_for_the_certain_and_log_n_for_the_clueless():
    np.testing.assert_allclose(
        scores.entropy(np.array([[1.0, 0, 0, 0], [0.25] * 4])), [0, np.log(4)], atol=1e-9
    )


def test_the_gap_is_closed_from_the_plain_loss_to_the_best():
    assert scores.gap_closed(plain=684.4, reached=608.6, best=590) == pytest.approx(0.803, abs=1e-3)
    assert scores.gap_closed(plain=684.4, reached=590, best=590) == 1
