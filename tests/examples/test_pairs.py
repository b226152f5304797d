"""The figures of image and spectrum, with models that have hardly learned."""

import numpy as np
import pytest

from examples import pairs
from invae.report import style


@pytest.fixture(scope="module")
def clusters():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "N_CLUSTERS", 24)
        patch.setattr(pairs, "N_UNSEEN", 16)
        patch.setattr(pairs, "TRAINING", {"epochs": 1})
        yield pairs.learn_clusters(2)


@pytest.mark.parametrize("draw", [pairs.both_spaces, pairs.distributions, pairs.translations])
def test_a_figure_has_plain_numbers_at_its_axes(clusters, draw):
    with style.applied(40):
        figure = draw(clusters)
        figure.draw_without_rendering()
    labels = [label for axis in figure.axes for label in (*axis.get_xticklabels(), *axis.get_yticklabels())]  # fmt: skip
    assert labels
    assert not any("$" in label.get_text() for label in labels)


def test_partners_are_judged_against_chance(clusters):
    several = np.flatnonzero(clusters.unseen.number > 1)
    axis = style.new_figure(2.0).subplots()
    pairs.found_partners(axis, clusters, several)
    (chance,) = [line for line in axis.get_lines() if line.get_label() == "by chance"]
    expected = [k / len(several) for k in pairs.WITHIN]
    np.testing.assert_allclose(np.asarray(chance.get_ydata()), expected)


def test_a_plane_keeps_the_two_largest_directions():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 4)) * [0.1, 3.0, 0.1, 1.0]
    plane = pairs.in_plane(values, values)
    np.testing.assert_allclose(np.abs(plane[:, 0]).std(), np.abs(values[:, 1]).std(), rtol=0.05)
    assert plane.std(0)[0] > plane.std(0)[1] > 0.8
