"""Named signals: models of several are compositions of the parts, trained by the same loop."""

import numpy as np
import pytest
import torch

from invae.config import ModelConfig, TrainingConfig
from invae.config.objective import ObjectiveConfig
from invae.errors import ConfigError, InputError
from invae.models.batch import Annotations, Geometry, Patches
from invae.models.build import build
from invae.models.encoding import encode_batch
from invae.models.evaluation import evaluate
from invae.models.fields import Code, WholeField
from invae.models.generators import PixelGenerator
from invae.models.inference import OnePass
from invae.models.latents import NormalPrior
from invae.models.likelihoods import Gaussian
from invae.models.networks.decoders import DenseDecoder
from invae.models.networks.encoders import ContentHead, ConvEncoder, DenseEncoder
from invae.models.objective import Objective
from invae.models.signals import IMAGE, SignalParts, Signals
from invae.models.vae import VAE
from invae.training.batches import Batches, HintedBatches
from invae.training.fit import Fit, Plan
from invae.training.learner import VAELearner
from invae.training.model_folder import load_weights, stored_weights
from invae.training.signal_sources import ArraySource, SignalArray
from invae.training.standardisation import set_scale

SPECTRUM = "spectrum"
SQUARE, ENERGIES = Geometry(1, 12, 12), Geometry(1, 1, 20)
CPU = torch.device("cpu")
N = 120


def seen_image() -> SignalParts:
    """An image from which two content variables are inferred."""
    encoder = ConvEncoder(SQUARE, channels=(8, 8), n_vectors=0)
    head = ContentHead(encoder.n_features, 2)
    return SignalParts(SQUARE, recogniser=OnePass(encoder, {"content": head}))


def explained_spectrum() -> PixelGenerator:
    """Spectra drawn from the content."""
    decoder = DenseDecoder(ENERGIES, n_code=2, hidden=(32,))
    return PixelGenerator(WholeField(decoder, Code(2)), Gaussian(1, sd=None))


def image_to_spectrum(*, seed: int = 0) -> VAE:
    """Sees the image, explains the spectrum."""
    torch.manual_seed(seed)
    spectrum = SignalParts(ENERGIES, generator=explained_spectrum())
    return VAE(
        {IMAGE: seen_image(), SPECTRUM: spectrum},
        priors={"content": NormalPrior()},
        poses=(),
        drawn={"content": 2},
    )


def pairs(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Images of a spot of some width and height (site, 1, 12, 12), and spectra with a peak at the width (site, 1, 1, 20)."""
    rng = np.random.default_rng(0)
    width, height = rng.uniform(1, 4, n)[:, None], rng.uniform(0.5, 1.5, n)[:, None]
    y, x = np.mgrid[:12, :12].reshape(2, -1) - 5.5
    energy = np.linspace(0, 5, 20)
    image = height * np.exp(-(y**2 + x**2) / (2 * width**2))
    spectrum = 30 + 10 * height * np.exp(-((energy - width) ** 2))
    noise = 0.02 * rng.normal(size=image.shape)
    return (image + noise).reshape(-1, 1, 12, 12), spectrum.reshape(-1, 1, 1, 20)


def source() -> ArraySource:
    image, spectrum = pairs()
    return ArraySource.of_signals({IMAGE: SignalArray(image), SPECTRUM: SignalArray(spectrum)})


def fitted(model: VAE, *, epochs: int = 25) -> Fit[Signals]:
    """The model after some epochs of the one training loop."""
    sites = np.arange(N)
    set_scale(model, source(), sites)
    training = TrainingConfig(epochs=epochs, batch_size=20, learning_rate=1e-2)
    batches = Batches(source(), sites[:100], 20, CPU)
    fit = Fit(
        VAELearner(model, Objective(config=ObjectiveConfig())),
        HintedBatches(batches, []),
        Batches(source(), sites[100:], 20, CPU),
        plan=Plan.of(training, n_steps=len(batches)),
        seed=0,
    )
    list(fit.epochs())
    return fit


def batch(n: int = 6) -> Signals:
    return source().take(np.arange(n))


def test_an_image_to_spectrum_model_is_a_composition_and_the_one_loop_trains_it():
    model = image_to_spectrum()
    assert (model.seen, model.explained) == ((IMAGE,), (SPECTRUM,))
    fit = fitted(model)
    elbo = [epoch.held_out["elbo"] for epoch in fit.history]
    assert max(elbo) > elbo[0] + 10
    image, spectrum = pairs()
    seen_alone = Signals({IMAGE: Patches(torch.from_numpy(image[100:]).float())})
    with torch.no_grad():
        latents = model.eval().infer(seen_alone).latents
        drawn = model.decode(latents, signal=SPECTRUM).mean.numpy()
    unexplained = ((drawn - spectrum[100:]) ** 2).mean() / spectrum[100:].var(0).mean()
    assert drawn.shape == (20, 1, 1, 20)
    assert unexplained < 0.2


def test_the_evidence_is_the_sum_over_the_explained_signals_that_are_there():
    torch.manual_seed(0)
    image = build(ModelConfig(family="VAE"), SQUARE, seed=0)
    joint = VAE(
        {IMAGE: image.main, SPECTRUM: SignalParts(ENERGIES, generator=explained_spectrum())},
        priors=image.priors,
        poses=(),
        drawn=image.drawn,
    )
    both, latents = batch(), joint.infer(batch()).latents
    alone = [Signals({name: both.patches[name]}) for name in (IMAGE, SPECTRUM)]
    parts = [joint.evidence(latents, one).log_likelihood for one in alone]
    whole = joint.evidence(latents, both).log_likelihood
    torch.testing.assert_close(whole, parts[0] + parts[1])
    assert torch.equal(parts[0], image.evidence(latents, alone[0]).log_likelihood)


def test_an_angle_inferred_exactly_from_the_image_goes_with_a_spectrum():
    """The image's own likelihood has the posterior of the angle; the spectrum shares the content."""
    image = build(ModelConfig(family="rVAE"), SQUARE, seed=0)
    joint = VAE(
        {IMAGE: image.main, SPECTRUM: SignalParts(ENERGIES, generator=explained_spectrum())},
        priors=image.priors,
        poses=image.poses,
        drawn=image.drawn,
    )
    fit = fitted(joint, epochs=2)
    assert set(fit.history[-1].training) >= {"kl_angle", "kl_content"}
    answers = encode_batch(joint, batch())
    errors = {f"{name}.reconstruction_error" for name in (IMAGE, SPECTRUM)}
    assert errors | {"angle", "content", "elbo"} <= set(answers)


def test_a_site_without_a_spectrum_is_masked_and_counts_for_nothing():
    model, both = image_to_spectrum(), batch()
    there = torch.ones(6, 1, 1, 20, dtype=torch.bool)
    there[2] = False
    masked = Signals({**both.patches, SPECTRUM: Patches(both[SPECTRUM].values, there)})
    latents = model.infer(both).latents
    whole, part = (model.evidence(latents, one).log_likelihood for one in (both, masked))
    assert part[2] == 0
    torch.testing.assert_close(part[[0, 1, 3, 4, 5]], whole[[0, 1, 3, 4, 5]])


def test_latents_of_one_signal_carry_its_name():
    torch.manual_seed(0)
    encoder = DenseEncoder(ENERGIES, hidden=(16,), n_vectors=0)
    spectrum = SignalParts(
        ENERGIES,
        recogniser=OnePass(encoder, {"content": ContentHead(encoder.n_features, 2)}),
        generator=explained_spectrum(),
        private={"content": f"{SPECTRUM}.content"},
    )
    image = build(ModelConfig(family="VAE"), SQUARE, seed=0)
    private = SignalParts(
        SQUARE,
        recogniser=image.main.recogniser,
        generator=image.main.generator,
        private={"content": f"{IMAGE}.content"},
    )
    names = [f"{name}.content" for name in (IMAGE, SPECTRUM)]
    dual = VAE(
        {IMAGE: private, SPECTRUM: spectrum},
        priors=dict.fromkeys(names, NormalPrior()),
        poses=(),
        drawn=dict.fromkeys(names, 2),
    )
    noise = dual.noise(6, torch.Generator().manual_seed(0))
    evaluation = evaluate(dual, batch(), noise)
    assert set(evaluation.posterior) == set(names)
    assert evaluation.terms.elbo.isfinite().all()
    half = dual.infer(Signals({SPECTRUM: batch().patches[SPECTRUM]}))
    assert set(half.latents) == {f"{SPECTRUM}.content"}


def test_a_latent_is_not_inferred_twice():
    image = seen_image()
    encoder = DenseEncoder(ENERGIES, hidden=(16,), n_vectors=0)
    spectrum = SignalParts(
        ENERGIES,
        recogniser=OnePass(encoder, {"content": ContentHead(encoder.n_features, 2)}),
        generator=explained_spectrum(),
    )
    model = VAE(
        {IMAGE: image, SPECTRUM: spectrum},
        priors={"content": NormalPrior()},
        poses=(),
        drawn={"content": 2},
    )
    with pytest.raises(ConfigError, match=r"content .* from spectrum .* spectrum\.content"):
        model.infer(batch())


def test_a_model_without_a_seen_or_an_explained_signal_is_refused():
    spectrum = SignalParts(ENERGIES, generator=explained_spectrum())
    for signals, verb in (({SPECTRUM: spectrum}, "sees"), ({IMAGE: seen_image()}, "explains")):
        with pytest.raises(ConfigError, match=verb):
            VAE(signals, priors={}, poses=(), drawn={})


def test_a_batch_without_what_the_model_needs_is_refused():
    model, both = image_to_spectrum(), batch()
    image, spectrum = (Signals({name: both.patches[name]}) for name in (IMAGE, SPECTRUM))
    with pytest.raises(InputError, match="sees image; the batch has spectrum"):
        model.infer(spectrum)
    with pytest.raises(InputError, match="explains spectrum; the batch has image"):
        model.evidence(model.infer(image).latents, image)


def test_a_batch_is_taken_apart_site_by_site_with_its_annotations():
    both = batch().annotated(Annotations(labels=torch.arange(6)))
    part = both.take(slice(2, 4))
    assert len(part) == 2
    labels = part[SPECTRUM].known.labels
    assert labels is not None
    assert labels.tolist() == [2, 3]
    assert torch.equal(part[IMAGE].values, both.patches[IMAGE].values[2:4])
    assert part.to("meta")[IMAGE].values.is_meta


def test_weights_of_further_signals_keep_their_prefix_in_a_folder():
    model, other = image_to_spectrum(seed=0), image_to_spectrum(seed=1)
    stored = stored_weights(model)
    assert any(name.startswith("recogniser.") for name in stored)
    assert any(name.startswith(f"signals.{SPECTRUM}.generator.") for name in stored)
    load_weights(other, stored)
    assert all(
        torch.equal(a, b) for a, b in zip(other.parameters(), model.parameters(), strict=True)
    )
