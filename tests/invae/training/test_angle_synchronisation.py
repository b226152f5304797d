"""How far patches of one class are turned from each other."""

import math

import numpy as np
import pytest
import torch

from invae.config import ModelConfig
from invae.config.synthetic import CardsConfig
from invae.models.batch import Geometry, Patches
from invae.models.build import build
from invae.models.signals import Signals
from invae.synthetic import cards
from invae.training.angle_synchronisation import angles_of, compare, harmonics, synchronise


def resultant(difference: np.ndarray) -> float:
    """Length of the mean direction of angles."""
    return float(abs(np.exp(1j * difference).mean()))


@pytest.fixture(scope="module", params=[1, 2])
def drawn(request):
    config = CardsConfig(n_per_suit=60, angle=180, shear=20, shift=0.0, noise=0.1)
    return cards.draw(config, seed=request.param)


@pytest.fixture(scope="module")
def rows(drawn):
    images = torch.from_numpy(drawn["image"].to_numpy()).float().unsqueeze(1)
    model = build(ModelConfig(family="rVAE"), Geometry(1, *images.shape[-2:]), seed=0)
    return harmonics(model, Signals.of_image(Patches(images)), None)


def test_sheared_suits_are_turned_onto_each_other_without_a_model(drawn, rows):
    """Clubs are nearly threefold: against a blurred mean half of them would lie 120 degrees off."""
    suit = drawn["suit"].to_numpy()
    offset = angles_of(rows) - drawn["angle"].to_numpy()
    for number, fold in enumerate(drawn["symmetry"].to_numpy()):
        assert resultant(fold * offset[suit == number]) > (0.98 if fold == 1 else 0.85)


def test_a_single_patch_is_upright(rows):
    assert angles_of(rows[:1]) == pytest.approx(0, abs=1e-6)


def test_a_turned_patch_is_told_from_the_other_by_its_turn(rows):
    step = 2 * math.pi / 16
    frequency = torch.arange(rows.shape[-1])
    moved = rows * torch.exp(-1j * frequency * step)
    likeness, turn = compare(moved[:5], rows[:5], n_angles=128)
    torch.testing.assert_close(likeness.diagonal(), torch.ones(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(turn.diagonal(), torch.full((5,), step), atol=1e-6, rtol=0)


def test_angles_that_agree_are_found_whatever_their_origin():
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, 50)
    found = synchronise(np.ones((50, 50)), angle[:, None] - angle)
    assert resultant(found - angle) > 1 - 1e-4


def test_pairs_that_match_worse_are_outvoted():
    rng = np.random.default_rng(1)
    angle = rng.uniform(-np.pi, np.pi, 60)
    turn = angle[:, None] - angle
    wrong = np.triu(rng.random((60, 60)) < 0.3, 1)
    turn = turn + 2 * np.pi / 3 * (wrong.astype(float) - wrong.T)
    likeness = 0.9 - 0.1 * (wrong | wrong.T)
    assert resultant(synchronise(likeness, turn) - angle) > 0.99
