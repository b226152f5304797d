"""Classes from neighbours: the loss on known numbers, neighbours at all angles, and kinds that are known."""

import math

import numpy as np
import pytest
import torch

from benchmarks.scores import accuracy
from invae.errors import InputError
from invae.models.networks.class_heads import ClassHeads
from invae.training.neighbour_classes import Search, neighbour_classes
from invae.training.neighbour_learner import entropy_of_mean, log_agreement
from invae.training.patch_features import PatchFeatures, nearest
from invae.training.views import random_view, turned

QUICK = Search(
    n_heads=4, n_kept=2, width=32, first_steps=100, last_steps=200, n_rounds=2, label_steps=100
)
SIZE = 12


def kinds(n_sites: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy bars, discs and corners (site, channel, y, x), and the kind of each."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    shapes = np.stack([np.abs(y) < 1.5, y**2 + x**2 < 12, (y > 1) & (x > 1)]).astype(np.float32)
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n_sites)
    patches = shapes[kind] + 0.3 * rng.standard_normal((n_sites, SIZE, SIZE))
    return patches[:, None].astype(np.float32), kind


def test_kinds_are_found_also_in_patches_that_were_not_seen():
    seen, _ = kinds(150, seed=0)
    unseen, kind = kinds(60, seed=1)
    classes = neighbour_classes(seen, n_classes=3, seed=0, turns=False, search=QUICK)
    probability = classes.probability(unseen)
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    assert accuracy(probability.argmax(1), kind) > 0.95


def test_the_seed_decides_everything():
    seen, _ = kinds(60, seed=0)
    one, again, other = (
        neighbour_classes(seen, n_classes=3, seed=seed, search=QUICK) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one.probability(seen), again.probability(seen))
    assert one.loss != other.loss


def test_unknown_pixels_have_the_mean():
    patches, _ = kinds(40, seed=0)
    features = PatchFeatures.fitted(patches, seed=0)
    patches[0] = np.nan
    np.testing.assert_allclose(features.of(features.filled(patches))[0], 0, atol=1e-5)


def test_a_patch_is_the_neighbour_of_its_turned_copy_only_if_angles_are_compared():
    patches, _ = kinds(30, seed=2)
    upright = torch.from_numpy(patches)
    both = torch.cat([upright, torch.rot90(upright, dims=(2, 3))])
    copies = torch.arange(60).roll(30)
    quarters = [k * math.pi / 2 for k in range(4)]
    for angles, is_found in ((quarters, True), ([0.0], False)):
        first = nearest(both, n_neighbours=1, angles=angles, seed=0)[:, 0]
        assert bool((first == copies).float().mean() > 0.9) == is_found


def test_a_quarter_turn_is_rot90():
    patches = torch.from_numpy(kinds(5, seed=0)[0])
    expected = torch.rot90(patches, dims=(2, 3))
    torch.testing.assert_close(turned(patches, math.pi / 2), expected, atol=1e-5, rtol=0)


def test_a_random_view_differs_a_little():
    patches = torch.from_numpy(kinds(3, seed=0)[0])
    view = random_view(patches, generator=torch.Generator().manual_seed(0))
    difference = (view - patches).square().mean()
    assert 0 < difference < patches.var()


def test_agreement_and_entropy_of_known_probabilities():
    half = torch.tensor([[[0.5, 0.5]], [[1.0, 0.0]]])
    torch.testing.assert_close(log_agreement(half, half), torch.tensor([[math.log(0.5)], [0.0]]))
    entropy = entropy_of_mean(half)
    torch.testing.assert_close(entropy, torch.tensor([math.log(2), 0.0]), atol=1e-6, rtol=0)


def test_kept_networks_answer_as_before():
    heads, features = ClassHeads(5, 3, n_heads=4, width=8), torch.randn(7, 5)
    before = heads(features)
    heads.keep([2, 0])
    torch.testing.assert_close(heads(features), before[[2, 0]])


@pytest.mark.parametrize(("n_sites", "n_classes"), [(5, 3), (20, 1)])
def test_too_few_patches_or_classes_are_refused(n_sites: int, n_classes: int):
    with pytest.raises(InputError, match=f"{n_sites} patches .* {n_classes} classes"):
        neighbour_classes(kinds(n_sites, seed=0)[0], n_classes=n_classes, seed=0)
