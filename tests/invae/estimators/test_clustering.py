"""Classes of images without labels, by the public interface."""

import numpy as np
import pytest
import xarray as xr

import invae
from benchmarks.scores import accuracy
from invae import Clustering, InvariantVAE
from invae.config.synthetic import CardsConfig
from invae.errors import InputError
from invae.synthetic import cards
from invae.training.neighbour_classes import Search

QUICK = Search(
    n_heads=6, n_kept=2, width=64, first_steps=100, last_steps=300, n_rounds=2, label_steps=200
)
ONE_EPOCH = {"epochs": 1}


def drawn(seed: int, *, n_per_suit: int = 150) -> tuple[np.ndarray, np.ndarray]:
    suits = ("spades", "diamonds", "hearts")
    config = CardsConfig(n_per_suit=n_per_suit, size=24, angle=180, shear=5, shift=0.1, suits=suits)
    cards_drawn = cards.draw(config, seed=seed)
    return cards_drawn["image"].to_numpy(), cards_drawn["suit"].to_numpy().astype(int)


@pytest.fixture(scope="module")
def fitted() -> Clustering:
    training = {"epochs": 15, "batch_size": 64, "angle_start": "free"}
    return Clustering(3, seed=1, training=training, search=QUICK).fit(drawn(0)[0])


def test_suits_are_found_in_cards_that_were_not_seen(fitted):
    images, suit = drawn(7, n_per_suit=50)
    classes = fitted.predict(images)
    assert accuracy(classes["class"].to_numpy(), suit) > 0.9


def test_the_answer_is_labelled(fitted):
    classes = fitted.predict(drawn(7, n_per_suit=4)[0])
    assert classes["class"].dims == ("site",)
    assert classes["class_probability"].dims == ("site", "class")
    np.testing.assert_array_equal(
        classes["class_probability"].argmax("class"), classes["class"].to_numpy()
    )


def test_a_fitted_model_gives_the_poses(fitted):
    images, suit = drawn(0)
    classes = invae.cluster(images, 3, model=fitted.model, search=QUICK)
    assert accuracy(classes["class"].to_numpy(), suit) > 0.9


def test_channels_come_last_in_plain_arrays_and_by_name_in_labelled_ones():
    images = drawn(0, n_per_suit=8)[0]
    stack = np.stack([images, -images], axis=-1)
    labelled = xr.DataArray(stack, dims=("site", "y", "x", "channel"))
    clustering = Clustering(2, training=ONE_EPOCH, search=QUICK).fit(stack)
    xr.testing.assert_equal(
        clustering.predict(stack),
        clustering.predict(labelled.transpose("channel", "site", "y", "x")),
    )


def test_what_cannot_be_clustered_is_refused():
    images = drawn(0, n_per_suit=4)[0]
    with pytest.raises(InputError, match="call fit first"):
        Clustering().predict(images)
    with pytest.raises(InputError, match="images have shape"):
        Clustering().fit(images[0])
    with pytest.raises(InputError, match=r"12 images .* 10 classes"):
        Clustering(10).fit(images)
    with pytest.raises(InputError, match="has seen no data"):
        Clustering(model=InvariantVAE())
    with pytest.raises(InputError, match="needs no training"):
        Clustering(model=InvariantVAE(), training=ONE_EPOCH)
