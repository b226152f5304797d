"""Shared latent spaces of images and spectra: partners are found, translations have the right peak."""

import numpy as np
import pytest
import xarray as xr

from invae import DualVAE
from invae.errors import ConfigError, InputError
from invae.regression import scores
from tests.invae.estimators.pair_data import ENERGIES, spots

FAMILIES = ("dual", "dual-poe", "separated", "linked")


@pytest.fixture(scope="module")
def pairs():
    return spots(120, seed=0)


@pytest.fixture(scope="module")
def unseen():
    return spots(60, seed=1)


@pytest.fixture(scope="module", params=FAMILIES)
def fitted(request, pairs):
    return DualVAE(request.param, latent_dim=4, private_dim=4, training={"epochs": 24}).fit(pairs)


def test_latent_variables_have_one_name_in_every_family(fitted, unseen):
    said = fitted.encode(images=unseen["image"], spectra=unseen["spectrum"])
    assert {"content_image", "content_image_sd", "content_spectrum", "content_spectrum_sd"} <= set(
        said
    )
    assert said["content_image"].shape == (60, 4)
    assert ("private" in said) == (fitted.config.family == "dual")
    assert ("content" in said) == (fitted.config.family == "dual-poe")


def test_partners_are_found_more_often_than_by_chance(fitted, unseen):
    distance = fitted.match(images=unseen["image"], spectra=unseen["spectrum"]).to_numpy()
    chance = 10 / 60
    assert (
        scores.recall(distance, within=10)
        > (2 if fitted.config.family == "separated" else 2.5) * chance
    )


def test_spectra_of_images_have_their_peak(fitted, unseen):
    said = fitted.translate(unseen["image"], to="spectrum")
    peak, truth = (scores.peak_position(v, ENERGIES) for v in (said.to_numpy(), unseen["clean"]))
    assert np.corrcoef(peak, truth)[0, 1] > 0.6
    assert said.dims == ("site", "energy")
    assert scores.r2(said.to_numpy(), unseen["clean"]) > 0
    xr.testing.assert_allclose(fitted.predict(unseen["image"])["mean"], said)


def test_images_of_spectra_have_the_shape_of_patches(fitted, unseen):
    said = fitted.translate(unseen["spectrum"], to="image")
    assert said.shape == (60, 1, 20, 20)
    assert np.isfinite(said).all()


def test_a_saved_model_says_the_same(fitted, unseen, tmp_path):
    fitted.save(tmp_path / "model")
    again = DualVAE.load(tmp_path / "model")
    for one, other in (
        (
            again.match(images=unseen["image"], spectra=unseen["spectrum"]),
            fitted.match(images=unseen["image"], spectra=unseen["spectrum"]),
        ),
        (
            again.translate(unseen["image"], to="spectrum"),
            fitted.translate(unseen["image"], to="spectrum"),
        ),
    ):
        xr.testing.assert_identical(one, other)


def test_other_families_and_empty_calls_are_refused(pairs):
    with pytest.raises(ConfigError, match="twin"):
        DualVAE("twin")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="fit"):
        DualVAE().encode(images=pairs["image"])
