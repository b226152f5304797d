"""How a model with classes begins: from groups that a model without has told apart."""

from functools import partial

import numpy as np
import pytest
import torch

from invae import InvariantVAE
from invae.config import ModelConfig, TrainingConfig
from invae.config.synthetic import CardsConfig
from invae.errors import ConfigError
from invae.models.batch import Geometry
from invae.models.build import build
from invae.synthetic import cards
from invae.training import initialisation, vae_training
from invae.training.annotations import SiteAnnotations
from invae.training.batches import Batches
from invae.training.history import Epoch
from invae.training.initialisation import (
    Groups,
    explained_share,
    hinted_epochs,
    inherited_weights,
    split_epochs,
    without_classes,
)
from invae.training.model_folder import Trained
from invae.training.neighbour_classes import Search, neighbour_classes
from invae.training.signal_sources import ArraySource
from invae.training.split import split_sites
from invae.training.train import train_on

JOINT = ModelConfig.model_validate({"family": "jrVAE", "n_classes": 3})


class Killed(Exception):
    """What ends a training in these tests."""


@pytest.fixture(scope="module")
def drawn():
    suits = ("spades", "diamonds", "hearts")
    config = CardsConfig(n_per_suit=150, angle=180, shear=5, shift=0.0, size=32, suits=suits)
    return cards.draw(config, seed=3)


def fitted(images: np.ndarray, known: SiteAnnotations = SiteAnnotations(), **options) -> Trained:  # noqa: B008
    config = TrainingConfig(epochs=14, batch_size=32)
    return train_on(
        ArraySource(images[:, None], known=known),
        split_sites(len(images), share=0.1, seed=0),
        model=options.pop("model", JOINT),
        training=config.model_copy(update=options.pop("training", {})),
        seed=options.pop("seed", 0),
        device=torch.device("cpu"),
        channels=("0",),
        **options,
    )


def agreement(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of patches in the class that most of their suit is in, each class for one suit."""
    counts = np.zeros((3, 3))
    np.add.at(counts, (found, truth), 1)
    return counts.max(0).sum() / len(truth) if len(set(counts.argmax(0))) == 3 else 0.0


def said(trained: Trained, images: np.ndarray) -> np.ndarray:
    from invae.embedding.embed import encode_batches

    return encode_batches(trained.model, batches_of(images))["class"]


def batches_of(images: np.ndarray) -> Batches:
    source = ArraySource(images[:, None])
    return Batches(source, np.arange(len(images)), 100, torch.device("cpu"))


def test_suits_at_any_angle_become_one_class_each(drawn):
    images, truth = drawn["image"].to_numpy(), drawn["suit"].to_numpy() - 1
    assert agreement(said(fitted(images), images), truth) > 0.97


def test_labels_say_which_class_is_which(drawn):
    images, truth = drawn["image"].to_numpy(), drawn["suit"].to_numpy() - 1
    labels = np.full(len(truth), -1)
    for suit, name in enumerate((2, 0, 1)):
        labels[np.flatnonzero(truth == suit)[:4]] = name
    found = said(fitted(images, SiteAnnotations(labels=labels)), images)
    assert (found == np.array([2, 0, 1])[truth]).mean() > 0.95


@pytest.mark.parametrize("killed_after", [2, 9])
def test_killed_before_or_after_the_groups_it_goes_on_to_the_same_values(
    drawn, tmp_path, killed_after
):
    images, told = drawn["image"].to_numpy()[::3], []
    always = {"checkpoint_seconds": 0.0, "epochs": 12}

    def kill(done: int, total: int) -> None:
        told.append(total)
        if done == killed_after:
            raise Killed

    whole = fitted(images, training=always)
    with pytest.raises(Killed):
        fitted(images, training=always, checkpoints=tmp_path, progress=kill)
    again = fitted(images, training=always, checkpoints=tmp_path)
    weights = [trained.model.state_dict() for trained in (whole, again)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert whole.history == again.history
    assert set(told) == {12}


def test_a_model_without_poses_may_begin_from_groups_that_do_not_depend_on_them(drawn, monkeypatch):
    images, truth, hints = drawn["image"].to_numpy(), drawn["suit"].to_numpy() - 1, []
    own = vae_training.groups_of

    def noted(*inputs, **options) -> Groups:
        groups = own(*inputs, **options)
        hints.append(groups.hint)
        return groups

    monkeypatch.setattr(vae_training, "groups_of", noted)
    plain = ModelConfig.model_validate({"family": "jVAE", "n_classes": 3})
    fitted(images, model=plain, training={"start_poses": ("rotation",)})
    seen = hints[0].max(1) > hints[0].min(1)
    assert agreement(hints[0][seen].argmax(1), truth[seen]) > 0.97


def test_other_poses_bring_their_own_networks():
    config = ModelConfig.model_validate(
        {"family": "jVAE", "n_classes": 3, "decoder": {"kind": "dense"}}
    )
    plain = without_classes(config, poses=("rotation", "shift"))
    assert (plain.poses, plain.decoder) == (("rotation", "shift"), None)
    build(plain, Geometry(1, 16, 16), seed=0)
    assert without_classes(config).decoder == config.decoder


def test_the_epochs_are_shared_and_each_model_gets_some():
    for n_epochs in (1, 2, 3, 60):
        first, second = split_epochs(TrainingConfig(), n_epochs)
        assert first >= 1
        assert second >= 1
        assert 0 <= hinted_epochs(n_epochs, share=0.9) <= n_epochs
        assert n_epochs == 1 or first + second == n_epochs


def test_what_both_models_have_is_handed_on():
    geometry = Geometry(1, 16, 16)
    first = build(without_classes(JOINT), geometry, seed=1)
    made = build(JOINT, geometry, seed=2)
    given = inherited_weights(made, first)
    own, before = made.state_dict(), first.state_dict()
    same = [name for name in given if not torch.equal(given[name], own[name])]
    assert any("encoder" in name for name in same)
    assert torch.equal(
        given["signals.image.recogniser.encoder.last.weight"],
        before["signals.image.recogniser.encoder.last.weight"],
    )
    assert {name: value.shape for name, value in given.items()} == {
        name: value.shape for name, value in own.items()
    }


def test_fresh_weights_may_be_asked_for(drawn):
    epochs: list[Epoch] = []
    options = {"epochs": 2, "class_start": "fresh"}
    fitted(drawn["image"].to_numpy()[::5], training=options, on_epoch=epochs.append)
    assert [epoch.epoch for epoch in epochs] == [0, 1]


def test_classes_may_begin_from_neighbours(drawn, monkeypatch):
    quick = Search(n_heads=6, n_kept=2, width=64, first_steps=100, last_steps=300, n_rounds=1)
    monkeypatch.setattr(
        initialisation, "neighbour_classes", partial(neighbour_classes, search=quick)
    )
    images, truth = drawn["image"].to_numpy(), drawn["suit"].to_numpy() - 1
    trained = fitted(images, training={"class_start": "neighbours"})
    assert agreement(said(trained, images), truth) > 0.97


def test_groups_of_harmonics_need_the_exact_angle(drawn):
    options = {"epochs": 2, "class_start": "harmonics"}
    with pytest.raises(ConfigError, match="pose_inference: exact"):
        InvariantVAE("jVAE", n_classes=3, training=options).fit(drawn["image"].to_numpy()[::5])


def test_classes_under_strong_noise_begin_from_harmonics(drawn):
    images, truth = drawn["image"].to_numpy(), drawn["suit"].to_numpy() - 1
    noisy = images + np.random.default_rng(0).normal(0, 0.8, images.shape).astype(np.float32)
    assert agreement(said(fitted(noisy), noisy), truth) > 0.85


def test_the_explained_share_is_that_of_the_variance(drawn):
    images = drawn["image"].to_numpy()[::3]
    plain = JOINT.model_copy(update={"family": "rVAE", "n_classes": ()})
    model = fitted(images, model=plain).model
    noise = np.random.default_rng(1).normal(0, 1, images.shape).astype(np.float32)
    assert 0.3 < explained_share(model, batches_of(images)) < 1
    assert explained_share(model, batches_of(noise)) < 0.1
