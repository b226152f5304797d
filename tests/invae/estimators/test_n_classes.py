"""How many classes there are."""

import numpy as np
import pytest

from invae import InvariantVAE
from invae.config.synthetic import CardsConfig, Suit
from invae.errors import InputError
from invae.estimators.n_classes import guide
from invae.synthetic import cards


def drawn(suits: tuple[Suit, ...], *, seed: int) -> np.ndarray:
    config = CardsConfig(n_per_suit=120, size=24, angle=180, shear=5, shift=0, suits=suits)
    return cards.draw(config, seed=seed)["image"].to_numpy()


@pytest.mark.parametrize(
    "suits", [("diamonds", "hearts"), ("spades", "diamonds", "hearts")], ids=["two", "three"]
)
def test_the_guide_counts_the_suits(suits):
    images = drawn(suits, seed=len(suits))
    training = {"epochs": 20, "batch_size": 32}
    plain = InvariantVAE("rVAE", latent_dim=4, seed=1, training=training).fit(images)
    found = guide(plain, images, most=6)
    assert found.attrs["recommended"] == len(suits)
    assert float(found["stability"].sel(n_classes=len(suits))) > 0.95
    assert found["overlap"].dims == ("n_classes",)


def test_too_few_patches_are_refused():
    images = drawn(("hearts",), seed=0)[:30]
    plain = InvariantVAE("VAE", training={"epochs": 1}).fit(images)
    with pytest.raises(InputError, match="30 patches are too few for classes"):
        guide(plain, images)
