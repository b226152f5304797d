"""The estimator with classes, conditions, targets and every pose: what goes in, what comes out, what is refused."""

import numpy as np
import pytest
import xarray as xr

from invae import InvariantVAE
from invae.errors import ConfigError, InputError
from invae.estimators.inputs import condition_columns

QUICK = {"epochs": 2, "batch_size": 16}
SMALL = {
    "encoder": {"kind": "polar", "channels": [8, 8]},
    "decoder": {"kind": "polar", "hidden": [32]},
}
PLAIN = {
    "encoder": {"kind": "conv", "channels": [8, 8]},
    "decoder": {"kind": "dense", "hidden": [32]},
}
N = 40


def quick(family: str, **options: object) -> InvariantVAE:
    return InvariantVAE(family, training=QUICK, device="cpu", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 12, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def classes(noise) -> InvariantVAE:
    return quick("jrVAE", n_classes=3, **SMALL).fit(noise)


def test_classes_are_told_with_their_probabilities(classes, noise):
    latents = classes.encode(noise)
    assert latents["class"].dims == ("site",)
    assert latents["class_probability"].dims == ("site", "class")
    np.testing.assert_allclose(latents["class_probability"].sum("class"), 1, rtol=1e-5)
    np.testing.assert_array_equal(latents["class"], latents["class_probability"].argmax("class"))


def test_two_discrete_latents_have_names_of_their_own(noise):
    vae = quick("jVAE", n_classes=(3, 2), **PLAIN).fit(noise)
    latents = vae.encode(noise)
    assert latents["class_probability"].shape == (N, 3)
    assert latents["class_2_probability"].shape == (N, 2)
    assert vae.traversal(2).sizes["class"] == 6


def test_a_traversal_has_a_manifold_for_every_class(classes):
    manifold = classes.traversal(3)
    assert manifold.dims == ("class", "latent_1", "latent_2", "channel", "y", "x")
    assert manifold.shape == (3, 3, 3, 1, 12, 12)
    apart = [float(np.abs(manifold[0] - manifold[k]).max()) for k in (1, 2)]
    assert min(apart) > 1e-4


def test_decoding_asks_for_a_class_or_one_for_all(classes):
    content = np.zeros((3, 2))
    each = classes.decode(content, class_=np.arange(3))
    for state in range(3):
        alone = classes.decode(content[:1], class_=state)
        np.testing.assert_allclose(each[state], alone[0], atol=1e-5)


@pytest.mark.parametrize("class_", [3, -1, 0.5])
def test_a_class_that_is_not_there_is_refused(classes, class_):
    with pytest.raises(InputError, match="whole numbers from 0 to 2"):
        classes.decode(np.zeros((1, 2)), class_=class_)


def test_saving_keeps_the_classes(classes, noise, tmp_path):
    classes.save(tmp_path)
    loaded = InvariantVAE.load(tmp_path, device="cpu")
    xr.testing.assert_identical(loaded.encode(noise), classes.encode(noise))
    xr.testing.assert_identical(loaded.traversal(2), classes.traversal(2))
    assert loaded.config.n_classes == (3,)


def test_the_number_of_classes_comes_from_the_labels(noise):
    labels = np.where(np.arange(N) % 4, -1, np.arange(N) // 4 % 5)
    vae = quick("ssVAE", **PLAIN).fit(noise, y=labels)
    assert vae.encode(noise).sizes["class"] == 5


def test_a_target_comes_back_in_its_own_units(noise):
    temperature = 300 + 50 * noise.mean((1, 2)) / noise.mean((1, 2)).std()
    known = np.where(np.arange(N) % 2, np.nan, temperature)
    vae = quick("ssregVAE", **PLAIN).fit(noise, y=known)
    latents = vae.encode(noise)
    assert latents["target"].shape == latents["target_sd"].shape == (N, 1)
    assert np.abs(latents["target"] - 300).max() < 300
    assert (latents["target_sd"] > 1).all()
    assert (
        np.abs(
            vae.decode(np.zeros((1, 2)), target=np.array([[400.0]])) - vae.decode(np.zeros((1, 2)))
        ).max()
        > 0
    )


def test_whole_numbers_as_condition_are_one_column_each(noise):
    suit = np.arange(N) % 3
    vae = quick("crVAE", **SMALL).fit(noise, condition=suit)
    assert vae.trained.config.n_conditions == 3
    first = vae.encode(noise[:3], condition=np.array([0, 0, 1]))
    assert first.sizes["site"] == 3
    images = vae.decode(np.zeros((2, 2)), condition=np.array([0, 2]))
    assert float(np.abs(images[0] - images[1]).max()) > 1e-4
    columns = condition_columns(np.array([2, 0]), 0)
    assert columns.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_condition_of_values_is_taken_as_it_is(noise):
    dose = np.linspace(1000, 2000, N)
    vae = quick("cVAE", **PLAIN).fit(noise, condition=dose)
    assert vae.trained.config.n_conditions == 1
    images = vae.decode(np.zeros((2, 2)), condition=np.array([[1000.0], [2000.0]]))
    assert float(np.abs(images[0] - images[1]).max()) > 1e-4


def test_every_pose_is_decoded(noise):
    vae = quick("affineVAE", **{**SMALL, "decoder": {"kind": "spatial", "hidden": [32]}}).fit(noise)
    content = np.zeros((1, 2))
    upright = vae.decode(content)
    asked = {"angle": [0.5], "shift": [[2.0, 0.0]], "scale": [1.3], "shear": [0.3]}
    for name, value in asked.items():
        posed = vae.decode(content, **{name: np.array(value)})  # type: ignore[arg-type]
        assert float(np.abs(posed - upright).max()) > 1e-4, name
    latents = vae.encode(noise)
    assert {"angle", "shift", "scale", "shear", "scale_sd", "shear_sd"} <= set(latents.data_vars)
    assert (latents["scale"] > 0).all()


def test_spectra_are_rows():
    place = np.random.default_rng(0).uniform(-3, 3, 60)
    signals = np.exp(-((np.linspace(-10, 10, 48) - place[:, None]) ** 2) / 2)
    vae = quick("tVAE").fit(signals)
    latents = vae.encode(signals)
    assert latents["shift"].shape == (60, 2)
    assert (latents["shift"][:, 0] == 0).all()
    assert vae.decode(np.zeros((1, 2))).shape == (1, 1, 1, 48)


@pytest.mark.parametrize(
    ("family", "given", "complaint"),
    [
        ("rVAE", {"y": np.zeros(N, int)}, "family rVAE learns from no labels; leave y out"),
        ("rVAE", {"condition": np.zeros(N)}, "family rVAE takes no condition; leave it out"),
        ("ssVAE", {"y": np.zeros(N - 1, int)}, "39 labels for 40 patches"),
        ("ssVAE", {"y": np.full(N, -2)}, "labels are whole numbers from 0"),
        ("crVAE", {"condition": np.zeros((N - 1, 2))}, "39 condition for 40 patches"),
        ("crVAE", {"condition": np.full(N, np.nan)}, "40 conditions are NaN or infinite"),
        ("crVAE", {"condition": np.arange(N) - 1}, "condition -1 is no class"),
        ("ssregVAE", {"y": np.full(N, np.inf)}, "40 target values are infinite"),
    ],
)
def test_what_does_not_go_with_a_family_is_refused(noise, family, given, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        quick(family).fit(noise, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "needs"),
    [("jrVAE", "n_classes"), ("ssVAE", "n_classes"), ("crVAE", "n_conditions"), ("ssregVAE", "n_targets")],
)  # fmt: skip
def test_what_a_family_needs_is_named(noise, family, needs):
    with pytest.raises(ConfigError, match=f"{family} needs {needs}; give it, or the values with"):
        quick(family).fit(noise)


def test_a_model_with_a_condition_needs_it_for_encoding_too(noise):
    vae = quick("cVAE", **PLAIN).fit(noise, condition=np.zeros(N) + np.arange(N) / N)
    with pytest.raises(InputError, match="takes 1 conditions with every patch, 0 were given"):
        vae.encode(noise)


def test_latents_of_other_families_are_refused(noise):
    vae = quick("VAE", **PLAIN).fit(noise)
    for name, value in {
        "scale": [1.0], "shear": [0.0], "target": [[0.0]], "condition": [[0.0]],
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=f"family VAE has no {name}; leave it out"):
            vae.decode(np.zeros((1, 2)), **{name: np.array(value)})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="family VAE has no stretch; leave it out"):
        vae.decode(np.zeros((1, 2)), own_poses={"stretch": np.zeros(1)})
