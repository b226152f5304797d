"""Standard deviations of the latents of 4D-STEM: as large as the difference of two draws of the electrons."""

import numpy as np
import pytest

from invae import InvariantVAE
from invae.config import ComputeConfig, PatternsConfig
from invae.descriptors.describe import describe
from invae.embedding.counting_noise import CountingNoise
from invae.storage import store
from invae.storage.provenance import Receipt
from tests.invae.recorded_scan import lobed, write_scan

CENTRE, RADIUS, SIDE = (11.3, 12.1), 8.0, 24
RECEIPT = Receipt("describe", "k" * 32, "scan", (), {}, {}, "hash", 0, "code")


@pytest.fixture(scope="module")
def draws(tmp_path_factory):
    """Descriptors of three draws of one scan, whose strength varies smoothly."""
    y, x = np.indices((SIDE, SIDE)) / SIDE
    shapes = lobed(2 * np.pi * (y + x), 0.2 + 0.8 * y, centre=CENTRE, radius=RADIUS)
    config = PatternsConfig.model_validate(
        {"transform": "pearson", "window": 12, "alike": {"n_probes": 16, "surroundings": 1}}
    )
    paths = []
    for seed in range(3):
        folder = tmp_path_factory.mktemp(f"draw{seed}")
        counts = np.random.default_rng(seed).poisson(0.5 * shapes).astype(np.uint16)
        recording = write_scan(
            folder / "scan" / "recording.zarr", counts, centre=CENTRE, radius=RADIUS
        )
        target, compute = folder / "descriptors.zarr", ComputeConfig(workers=1)
        describe(recording, target, config=config, receipt=RECEIPT, compute=compute)
        paths.append(target)
    return paths


@pytest.fixture(scope="module")
def vae(draws) -> InvariantVAE:
    training = {"epochs": 25, "angle_start": "free"}
    return InvariantVAE("rVAE", rotation={"zero": "dipole"}, training=training).fit(draws[0])


def test_two_draws_differ_by_the_stated_standard_deviation(draws, vae):
    _, first, second = (vae.encode(path) for path in draws)
    sd = np.hypot(first["content_sd"], second["content_sd"])
    used = first["content"].std("site") > 0.3
    z = ((first["content"] - second["content"]) / sd).to_numpy()[:, used.to_numpy()]
    assert 0.6 < np.sqrt((z**2).mean()) < 1.3
    turned = np.angle(np.exp(1j * (first["angle"] - second["angle"])))
    sds = [np.sqrt(-2 * np.log(one["angle_resultant"])) for one in (first, second)]
    assert 0.6 < np.sqrt(((turned / np.hypot(*sds)) ** 2).mean()) < 1.3


def test_the_posterior_of_one_patch_alone_states_less(draws, vae):
    with_noise = vae.encode(draws[1])
    patches = store.open_store(draws[1]).load()
    alone = vae.encode(patches["patch"].to_numpy(), valid=patches["valid"].to_numpy())
    np.testing.assert_allclose(with_noise["content"], alone["content"], atol=1e-5)
    assert (with_noise["content_sd"] >= alone["content_sd"] - 1e-6).all()
    assert with_noise["content_sd"].mean() > 1.1 * alone["content_sd"].mean()


def test_a_smaller_variance_than_the_posterior_changes_nothing():
    places = np.random.default_rng(0).normal(size=(60, 2))
    noise = CountingNoise(places, np.full((60, 2), 1e-9), np.full(60, 1e-9), np.ones(2))
    values = {
        "content": places.astype(np.float32),
        "content_sd": np.full((60, 2), 0.1, np.float32),
        "angle_resultant": np.full(60, 0.9, np.float32),
    }
    found = noise.applied(values)
    np.testing.assert_array_equal(found["content_sd"], values["content_sd"])
    np.testing.assert_array_equal(found["angle_resultant"], values["angle_resultant"])


def test_a_larger_variance_replaces_the_posterior():
    places = np.random.default_rng(0).normal(size=(60, 2))
    noise = CountingNoise(places, np.full((60, 2), 0.25), None, np.ones(2))
    values = {"content": places, "content_sd": np.full((60, 2), 0.1, np.float32)}
    np.testing.assert_allclose(noise.applied(values)["content_sd"], 0.5)
