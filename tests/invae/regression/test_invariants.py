"""Invariant features, the Gaussian process on them, baselines and scores."""

import numpy as np
import pytest

from invae.errors import InputError
from invae.regression import scores
from invae.regression.baselines import BASELINES, predict_held_out
from invae.regression.empty_patches import empty_is_nothing, empty_patches
from invae.regression.gaussian_process import GaussianProcess
from invae.regression.invariants import harmonics, power_spectrum, ring_amplitudes
from invae.training.split import Split


def blobs(n: int, *, seed: int, size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Images of a central spot and one beside it, and spectra with a peak that moves with their distance."""
    rng = np.random.default_rng(seed)
    apart, angle = rng.uniform(3, 9, n), rng.uniform(0, 2 * np.pi, n)
    y, x = np.indices((size, size)) - (size - 1) / 2
    offset = (apart * np.sin(angle), apart * np.cos(angle))
    first = np.exp(-(y**2 + x**2) / 8)
    second = np.exp(
        -((y - offset[0][:, None, None]) ** 2 + (x - offset[1][:, None, None]) ** 2) / 8
    )
    energy = np.linspace(0, 1, 32)
    spectra = np.exp(-((energy - apart[:, None] / 12) ** 2) / 0.01)
    return (first + second)[:, None].astype(np.float32), spectra


@pytest.fixture(scope="module")
def pairs():
    return blobs(120, seed=0)


@pytest.mark.parametrize(
    "features", [lambda p: power_spectrum(harmonics(p).values), ring_amplitudes]
)
def test_features_do_not_change_with_quarter_turns_and_mirror_images(features):
    image = np.random.default_rng(0).normal(size=(3, 2, 20, 20)).astype(np.float32)
    upright = features(image)
    for other in (np.rot90(image, axes=(2, 3)), image[..., ::-1], image[..., ::-1, :]):
        np.testing.assert_allclose(features(other.copy()), upright, rtol=2e-3, atol=2e-4)


def test_products_of_shells_tell_how_rings_lie_to_each_other_and_amplitudes_do_not():
    y, x = np.indices((32, 32)) - 15.5
    ring = np.hypot(y, x)
    angle = np.arctan2(-y, x)
    inner, outer = (ring < 6) * np.cos(angle), ((ring > 8) & (ring < 14))
    same, opposite = inner + outer * np.cos(angle), inner - outer * np.cos(angle)
    both = np.stack((same, opposite))[:, None].astype(np.float32)
    amplitude = ring_amplitudes(both)
    np.testing.assert_allclose(amplitude[0], amplitude[1], atol=0.05 * amplitude.max())
    products = power_spectrum(harmonics(both).values)
    assert np.abs(products[0] - products[1]).max() > 0.5 * np.abs(products).max()


def test_a_gaussian_process_predicts_unseen_images_at_other_angles(pairs):
    patches, spectra = pairs
    process = GaussianProcess.fit(patches, spectra)
    other, truth = blobs(60, seed=1)
    said = process.predict(other)
    assert scores.r2(said.mean, truth) > 0.95
    turned = process.predict(np.rot90(other, axes=(2, 3)).copy())
    np.testing.assert_allclose(turned.mean, said.mean, atol=0.02)


def test_a_process_is_less_sure_far_from_what_it_has_seen(pairs):
    patches, spectra = pairs
    process = GaussianProcess.fit(patches, spectra)
    strange = np.random.default_rng(2).normal(size=patches[:10].shape).astype(np.float32)
    near, far = (process.predict(p).sd_model.mean() for p in (patches[:10], strange))
    assert far > 3 * near


def test_left_out_predictions_are_worse_than_those_of_seen_pairs(pairs):
    patches, spectra = pairs
    noisy = spectra + 0.1 * np.random.default_rng(3).normal(size=spectra.shape)
    process = GaussianProcess.fit(patches, noisy)
    seen = ((process.predict(patches).mean - noisy) ** 2).mean()
    assert ((process.left_out() - noisy) ** 2).mean() > seen


def test_a_process_comes_back_from_its_arrays(pairs):
    patches, spectra = pairs
    process = GaussianProcess.fit(patches, spectra)
    again = GaussianProcess(process.state)
    np.testing.assert_array_equal(again.predict(patches).mean, process.predict(patches).mean)


def test_an_empty_patch_has_an_empty_spectrum_if_spectra_are_not_negative(pairs):
    patches, spectra = pairs
    nothing = np.zeros_like(patches[:1])
    strong = GaussianProcess.fit(patches, spectra).predict(nothing).mean
    assert np.abs(strong).max() < 0.05
    signed = GaussianProcess.fit(patches, spectra - spectra.mean()).predict(nothing).mean
    assert np.abs(signed).max() > 0.2


def test_dark_places_with_a_spectrum_are_not_taken_for_empty():
    """A film: the darkest patches have most of the mean spectrum, since they are no vacuum."""
    rng = np.random.default_rng(0)
    thickness = rng.uniform(1.0, 1.3, 80)
    film = thickness[:, None, None, None] + 0.01 * rng.normal(size=(80, 1, 8, 8))
    spectra = thickness[:, None] * np.linspace(2, 1, 12)
    assert not empty_is_nothing(film, spectra)
    particles = np.linspace(0, 1, 80)
    assert empty_is_nothing(
        film * 0.01 + particles[:, None, None, None], particles[:, None] * np.linspace(2, 1, 12)
    )
    thicker = film[thickness > 1.2]
    process = GaussianProcess.fit(thicker, spectra[thickness > 1.2])
    predicted = process.predict(film[thickness < 1.1]).mean
    np.testing.assert_allclose(predicted, spectra[thickness < 1.1], rtol=0.25)


def test_empty_patches_have_the_level_and_the_noise_of_the_background():
    rng = np.random.default_rng(0)
    patches = 5 + 0.1 * rng.normal(size=(40, 1, 24, 24))
    patches[:, :, 8:16, 8:16] += 2
    empty = empty_patches(patches.astype(np.float32), 30, seed=0)
    assert empty.mean() == pytest.approx(5, abs=0.3)
    assert empty.std() == pytest.approx(0.1, rel=0.2)


def test_three_pairs_are_too_few(pairs):
    with pytest.raises(InputError, match="3 pairs"):
        GaussianProcess.fit(pairs[0][:3], pairs[1][:3])


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_predicts_sites_that_it_has_not_seen(pairs, name):
    patches, spectra = pairs
    halves = np.arange(120) % 2 == 0
    one, other = np.flatnonzero(halves), np.flatnonzero(~halves)
    predicted = predict_held_out(
        BASELINES[name], patches, spectra, [Split(one, other), Split(other, one)]
    )
    assert predicted.shape == spectra.shape
    score = scores.r2(predicted, spectra)
    assert score > 0.8 if "invariant" in name or name == "process" else score > -0.1


def test_scores_have_their_known_values():
    rng = np.random.default_rng(0)
    spectra = rng.normal(size=(50, 8))
    assert scores.r2(spectra, spectra) == 1
    assert scores.r2(np.broadcast_to(spectra.mean(0), spectra.shape), spectra) == pytest.approx(0)
    assert scores.coverage(spectra - 1, spectra + 1, spectra) == 1
    # CRPS of a standard Normal at its mean: (sqrt(2) - 1) / sqrt(pi)
    zero = np.zeros((1, 1))
    assert scores.crps(zero, zero + 1, zero) == pytest.approx((2**0.5 - 1) / np.pi**0.5)
    samples = list(rng.normal(size=(4000, 1, 1)))
    assert scores.crps_of_samples(samples, zero) == pytest.approx(
        scores.crps(zero, zero + 1, zero), abs=0.02
    )


def test_a_peak_is_found_between_channels():
    axis = np.linspace(0, 1, 101)
    spectra = np.exp(-((axis - 0.4234) ** 2) / 0.002)[None]
    assert scores.peak_position(spectra, axis)[0] == pytest.approx(0.4234, abs=2e-4)


def test_recall_counts_partners_among_the_nearest():
    distance = np.array([[0.0, 1, 2], [0.5, 1, 2], [0, 1, 2]])
    assert scores.recall(distance, within=1) == pytest.approx(1 / 3)
    assert scores.recall(distance, within=2) == pytest.approx(2 / 3)
