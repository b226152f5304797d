"""What latents say of known variables."""

import numpy as np
import pytest
import xarray as xr

from invae.analysis.confusion import Known
from invae.analysis.ground_truth import angle_scores, folded_resultant, known_numbers, linear_scores


@pytest.fixture(params=[0, 5])
def rng(request):
    return np.random.default_rng(request.param)


def test_an_offset_of_the_angle_does_not_matter(rng):
    true = rng.uniform(-np.pi, np.pi, 500)
    assert folded_resultant(true + 2.0, true) == pytest.approx(1)
    assert folded_resultant(rng.uniform(-np.pi, np.pi, 500), true) < 0.15


def test_half_turns_are_forgiven_to_what_has_twofold_symmetry(rng):
    true = rng.uniform(-np.pi, np.pi, 400)
    found = true + np.pi * rng.integers(0, 2, 400)
    known = Known("suit", np.zeros(400, int), ("diamonds",), (2,))
    scores = angle_scores(found, true, known=known, label=np.zeros(400, int))
    assert float(scores["angle_raw"][0]) < 0.2
    assert float(scores["angle_symmetric"][0]) == pytest.approx(1)


def test_every_found_class_may_have_its_own_offset(rng):
    true, label = rng.uniform(-np.pi, np.pi, 400), rng.integers(0, 2, 400)
    scores = angle_scores(true + np.pi * label, true, known=None, label=label)
    assert float(scores["angle_symmetric"][0]) < 0.2
    assert float(scores["angle_by_class"][0]) == pytest.approx(1)
    assert scores["known"].to_numpy().tolist() == ["all"]


def test_a_variable_that_is_a_mixture_of_latents_is_read(rng):
    space = rng.standard_normal((300, 3))
    target = space @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(300)
    known = {"shear": target, "other": rng.standard_normal(300), "angle": target}
    scores = linear_scores({"latents": space}, known, label=np.zeros(300))
    assert scores["variable"].to_numpy().tolist() == ["shear", "other"]
    assert float(scores["r2"].sel(variable="shear")[0]) > 0.98
    assert float(scores["r2"].sel(variable="other")[0]) < 0.05


def test_a_sign_that_differs_between_classes_is_read_inside_them(rng):
    label = rng.integers(0, 2, 400)
    space = rng.standard_normal((400, 1))
    target = {"shear": space[:, 0] * (1 - 2 * label)}
    scores = linear_scores({"latents": space}, target, label=label)
    assert float(scores["r2"][0, 0]) < 0.1
    assert float(scores["r2_by_class"][0, 0]) > 0.99


def test_few_sites_give_no_answer():
    scores = linear_scores({"latents": np.ones((5, 1))}, {"x": np.arange(5.0)}, label=np.zeros(5))
    assert np.isnan(scores["r2"]).all()


def test_known_numbers_are_those_that_vary():
    coords = {
        "truth_shear": ("site", np.arange(3.0)),
        "truth_shift_y": ("site", np.zeros(3)),
        "truth_suit": ("site", np.arange(3)),
        "angle": ("site", np.arange(3.0)),
    }
    assert list(known_numbers(xr.Dataset(coords=coords))) == ["shear"]
