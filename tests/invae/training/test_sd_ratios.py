"""Stated standard deviations: they cover another draw of the noise after they were multiplied, and only then."""

from collections.abc import Mapping

import numpy as np
import pytest

from invae import InvariantVAE
from invae.config.synthetic import CardsConfig
from invae.synthetic import cards
from invae.training.sd_ratios import NORMAL, standard_differences, widened

NOISE = 0.3


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    config = CardsConfig(n_per_suit=100, angle=180, shift=0.1, size=24, suits=("spades", "hearts"))
    return cards.draw(config, seed=3)["image"].to_numpy()


def noisy(images: np.ndarray, *, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, NOISE, images.shape)
    return (images + noise).astype(np.float32)


def ratios_of(vae: InvariantVAE) -> Mapping[str, float] | None:
    assert vae.trained.symptoms is not None
    return vae.trained.symptoms.sd_ratio


def test_another_draw_of_the_noise_is_covered(clean):
    options = {"epochs": 14, "batch_size": 32}
    vae = InvariantVAE("rtVAE", latent_dim=2, training=options, seed=0).fit(noisy(clean, seed=0))
    ratios = ratios_of(vae)
    assert ratios is not None
    assert set(ratios) == {"content", "shift", "angle"}
    draws = [vae.encode(noisy(clean, seed=seed)) for seed in (0, 1)]
    one, other = ({str(n): v.to_numpy() for n, v in draw.items()} for draw in draws)
    for name, z in standard_differences(one, other).items():
        assert (np.abs(z) < NORMAL).mean() > 0.9, name
    assert "uncertainty" in {finding.name for finding in vae.verdict().findings}


def test_only_narrow_sds_are_multiplied():
    values = {
        "shift_sd": np.array([0.1, 0.2], np.float32),
        "content_sd": np.ones(2, np.float32),
        "angle_resultant": np.exp(-(np.array([0.1, 0.2]) ** 2) / 2).astype(np.float32),
    }
    wide = widened(values, {"shift": 2.0, "content": 0.5, "angle": 3.0})
    np.testing.assert_allclose(wide["shift_sd"], [0.2, 0.4])
    np.testing.assert_array_equal(wide["content_sd"], 1)
    np.testing.assert_allclose(np.sqrt(-2 * np.log(wide["angle_resultant"])), [0.3, 0.6], rtol=1e-3)
    assert widened(values, None) == values


def test_differences_are_in_units_of_both_sds():
    one = {"content": np.array([[1.0]]), "content_sd": np.array([[0.3]])}
    other = {"content": np.array([[0.0]]), "content_sd": np.array([[0.4]])}
    assert standard_differences(one, other)["content"] == pytest.approx(2)


def test_counts_have_no_ratio(clean):
    counts = np.random.default_rng(0).poisson(5 * clean[:120].clip(0)).astype(np.float32)
    likelihood = {"kind": "poisson"}
    vae = InvariantVAE("rVAE", likelihood=likelihood, training={"epochs": 2}).fit(counts)
    assert ratios_of(vae) is None
