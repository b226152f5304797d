"""Features without a model: they forget what the model infers, and tell kinds apart; neighbours vote."""

import numpy as np
import pytest

from invae.verdict.neighbours import Invariance, agreement, centre_of_mass, features, votes

TURN = Invariance(turn=True, shift=True)


def bars(n: int, *, noise: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Straight bars and crosses (site, 1, 28, 28) at any angle and near the centre, and the kind of each."""
    rng = np.random.default_rng(seed)
    y, x = (np.indices((28, 28)) - 13.5).astype(float)
    images, kinds = [], rng.integers(0, 2, n)
    for kind in kinds:
        angle, (dy, dx) = rng.uniform(0, np.pi), rng.uniform(-2, 2, 2)
        u = np.cos(angle) * (y - dy) + np.sin(angle) * (x - dx)
        v = np.cos(angle) * (x - dx) - np.sin(angle) * (y - dy)
        image = np.exp(-((u / 6) ** 2) - (v / 1.5) ** 2)
        if kind:
            image += np.exp(-((v / 6) ** 2) - (u / 1.5) ** 2)
        images.append(image + noise * rng.normal(size=image.shape))
    return np.array(images)[:, None].astype(np.float32), kinds


def test_the_centre_of_mass_is_that_of_the_object_bright_or_dark():
    image = np.zeros((1, 20, 20))
    image[0, 4:7, 11:14] = 1
    for values in (image, 3 - image):
        np.testing.assert_allclose(centre_of_mass(values), [[5, 12]], atol=1e-6)


def test_of_a_flat_patch_it_is_the_middle():
    np.testing.assert_allclose(centre_of_mass(np.ones((1, 5, 8))), [[2, 3.5]])


def test_features_forget_a_turn_and_a_shift():
    images, _ = bars(4, noise=0)
    turned = np.roll(np.rot90(images, axes=(2, 3)), (2, -1), (2, 3))
    own, other = features(images, None, TURN), features(turned.copy(), None, TURN)
    assert np.linalg.norm(own - other) < 0.05 * np.linalg.norm(own)


def test_features_without_invariance_see_the_turn():
    images, _ = bars(1, noise=0)
    still = Invariance(turn=False, shift=False)
    turned = np.rot90(images, axes=(2, 3)).copy()
    own, other = features(images, None, still), features(turned, None, still)
    assert np.linalg.norm(own - other) > 0.3 * np.linalg.norm(own)


def test_masked_pixels_do_not_count():
    images, _ = bars(3)
    valid = np.ones(images.shape, bool)
    valid[:, :, :3] = False
    spoiled = np.where(valid, images, 1e6)
    np.testing.assert_allclose(
        features(images, valid, TURN), features(spoiled, valid, TURN), atol=1e-6
    )


def test_of_spectra_a_shift_along_the_axis_is_forgotten():
    row = np.random.default_rng(0).normal(size=(3, 1, 1, 40))
    moved = np.roll(row, 7, axis=3)
    shifted, still = Invariance(turn=False, shift=True), Invariance(turn=False, shift=False)
    np.testing.assert_allclose(features(row, None, shifted), features(moved, None, shifted))
    assert np.abs(features(row, None, still) - features(moved, None, still)).max() > 0.1


def test_neighbours_agree_on_the_kinds_and_not_on_random_classes():
    images, kinds = bars(300)
    described = features(images, None, TURN)
    right = agreement(described, kinds)
    wrong = agreement(described, np.random.default_rng(1).integers(0, 2, 300))
    assert right is not None
    assert right > 0.85
    assert wrong is not None
    assert abs(wrong) < 0.15


@pytest.mark.parametrize("label", [np.zeros(100, int), np.arange(20) % 2])
def test_one_class_or_few_sites_have_no_agreement(label):
    assert agreement(np.random.default_rng(0).normal(size=(len(label), 5)), label) is None


def test_the_vote_of_neighbours_is_the_share_of_their_classes():
    rng = np.random.default_rng(0)
    patterns = np.concatenate([rng.normal(0, 1, (40, 2)), rng.normal(20, 1, (40, 2))])
    label = np.repeat([0, 2], 40)
    label[0] = 2  # in the wrong class: its neighbours outvote it
    vote = votes(patterns, label, n_classes=3)
    assert vote.shape == (80, 3)
    np.testing.assert_allclose(vote.sum(1), 1)
    assert vote[0, 0] == 1
    assert vote[50, 2] == 1


def test_a_site_has_no_vote_on_itself_even_among_equal_ones():
    vote = votes(np.zeros((20, 2)), np.repeat([0, 1], [1, 19]), n_classes=2)
    assert vote[0, 0] == 0
