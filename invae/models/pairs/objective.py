"""What a model of pairs minimises: terms by name, one list per family.

The log-likelihoods of the two signals are balanced: an image of 1,800 pixels would outvote a spectrum of 128 channels, so that of
the image counts as if it had as many values as the spectrum. KL divergences rise to their weight over the first third of the training.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from invae.config.pairs import PairFamily, PairsModelConfig
from invae.models.inference import Inference, Noise
from invae.models.latents import Latents, Normal, NormalPrior
from invae.models.loss import Loss, Tally
from invae.models.pairs.build import COIN, SPECTRUM
from invae.models.pairs.pair_model import PairModel, product
from invae.models.signals import IMAGE, Signals

WARM_UP = 0.3
"""Share of the training over which the KL divergences get their weight."""
SAME = 0.15
"""Distance of two spectra per channel, in units of their spread, at which they cannot be told apart."""
OWN_IMAGE, OWN_SPECTRUM = f"{IMAGE}.content", f"{SPECTRUM}.content"

PerSite = Float[Tensor, " batch"]


@dataclass(frozen=True)
class PairView:
    """A model on a batch, as the terms see it; every part is computed once, when it is asked for."""

    model: PairModel
    batch: Signals
    noise: Noise | None

    @cached_property
    def inferences(self) -> Mapping[str, Inference]:
        """What every signal says for itself."""
        return self.model.inferences(self.batch, self.noise)

    def drawn(self, signal: str, latent: str) -> Tensor:
        """Values of a latent variable as a signal says it."""
        return self.inferences[signal].latents[latent]

    def posterior(self, signal: str, latent: str) -> Normal:
        """What a signal says of a latent variable."""
        posterior = self.inferences[signal].posterior[latent]
        assert isinstance(posterior, Normal)
        return posterior

    def kl(self, signal: str, latent: str) -> PerSite:
        """Divergence of a posterior from its prior [nats]."""
        return self.inferences[signal].posterior[latent].kl(self.model.priors[latent])

    def image(self, latents: Latents) -> PerSite:
        """Minus the balanced log-likelihood of the image, the best angles and all others together."""
        patches = self.batch[IMAGE]
        evidence = self.model.parts(IMAGE).evidence(latents, patches)
        angle = sum(q.kl(self.model.priors[n]) for n, q in evidence.posterior.items())
        geometries = self.model.geometries
        balance = min(1.0, geometries[SPECTRUM].n_values / geometries[IMAGE].n_values)
        return balance * (angle - evidence.log_likelihood)

    def spectrum(self, latents: Latents) -> PerSite:
        """The training loss of the spectrum."""
        return self.model.spectrum_loss(latents, self.batch, signal=SPECTRUM)

    def log_likelihood(self, latents: Latents) -> PerSite:
        """Log density of the spectrum, in the data's own units [nats]."""
        return self.model.parts(SPECTRUM).evidence(latents, self.batch[SPECTRUM]).log_likelihood

    @cached_property
    def spectra(self) -> Float[Tensor, "batch value"]:
        """The spectra in units of their spread."""
        return self.model.parts(SPECTRUM).standardise(self.batch[SPECTRUM]).values.flatten(1)


@dataclass(frozen=True)
class Part:
    """A term of the loss and its weight."""

    value: PerSite
    weight: float = 1.0


Terms = Iterator[tuple[str, Part]]


def im2spec(view: PairView, config: PairsModelConfig, warm: float) -> Terms:
    """Log p(s|z) − β·KL, z from the image."""
    yield "spectrum", Part(view.spectrum({"content": view.drawn(IMAGE, "content")}))
    yield "kl_content", Part(view.kl(IMAGE, "content"), config.beta * warm)


def spec2im(view: PairView, config: PairsModelConfig, warm: float) -> Terms:
    """Log p(x|c, w) − β·KL of w; c is the code of the spectrum, w what the image has beyond it."""
    latents = {
        "content": view.drawn(SPECTRUM, "content"),
        OWN_IMAGE: view.drawn(IMAGE, OWN_IMAGE),
    }
    yield "image", Part(view.image(latents))
    yield f"kl_{OWN_IMAGE}", Part(view.kl(IMAGE, OWN_IMAGE), config.beta * warm)


def separated(view: PairView, config: PairsModelConfig, warm: float) -> Terms:
    """Two autoencoders."""
    yield "image", Part(view.image({OWN_IMAGE: view.drawn(IMAGE, OWN_IMAGE)}))
    yield "spectrum", Part(view.spectrum({OWN_SPECTRUM: view.drawn(SPECTRUM, OWN_SPECTRUM)}))
    yield f"kl_{OWN_IMAGE}", Part(view.kl(IMAGE, OWN_IMAGE), config.beta * warm)
    yield f"kl_{OWN_SPECTRUM}", Part(view.kl(SPECTRUM, OWN_SPECTRUM), config.beta * warm)


def linked(view: PairView, config: PairsModelConfig, warm: float) -> Terms:
    """Two autoencoders and the mean absolute difference of their linked latent variables."""
    yield from separated(view, config, warm)
    mapped = view.model.link(view.drawn(SPECTRUM, OWN_SPECTRUM))
    difference = (view.drawn(IMAGE, OWN_IMAGE) - mapped).abs().mean(-1)
    yield "link", Part(difference, config.link)


def dual(view: PairView, config: PairsModelConfig, warm: float) -> Terms:
    """Log p(s|z_x) + log p(s|z_s) + log p(x|z, w) − β·ΣKL − agreement − contrast; z by coin from z_x or z_s."""
    of_image, of_spectrum = view.drawn(IMAGE, "content"), view.drawn(SPECTRUM, "content")
    if view.noise is None:
        shared = of_image
    else:
        shared = torch.where(view.noise[COIN] > 0, of_image, of_spectrum)
    latents = {"content": shared, OWN_IMAGE: view.drawn(IMAGE, OWN_IMAGE)}
    yield "image", Part(view.image(latents))
    yield "spectrum_from_image", Part(view.spectrum({"content": of_image}))
    yield "spectrum", Part(view.spectrum({"content": of_spectrum}))
    for name, signal, latent in (
        ("kl_content_image", IMAGE, "content"),
        ("kl_content", SPECTRUM, "content"),
        (f"kl_{OWN_IMAGE}", IMAGE, OWN_IMAGE),
    ):
        yield name, Part(view.kl(signal, latent), config.beta * warm)
    one, other = (view.posterior(signal, "content") for signal in (IMAGE, SPECTRUM))
    yield "agreement", Part(divergence(one, other) + divergence(other, one), config.agreement)
    yield "contrast", Part(contrast(view, one, other), config.contrast)


def dual_poe(view: PairView, config: PairsModelConfig, warm: float) -> Terms:
    """The ELBO of both signals together and of each alone, with one content.

    Source: Wu & Goodman 2018, arXiv:1802.05335, eq. 5.
    """
    one, other = (view.posterior(signal, "content") for signal in (IMAGE, SPECTRUM))
    noise = None if view.noise is None else view.noise["content"]
    both = product(one, other)
    drawn = {"content": both.draw(noise)}
    prior = NormalPrior()
    yield "image", Part(view.image(drawn))
    yield "spectrum", Part(view.spectrum(drawn))
    yield "kl_content", Part(both.kl(prior), config.beta * warm)
    yield "image_alone", Part(view.image({"content": view.drawn(IMAGE, "content")}))
    yield "spectrum_alone", Part(view.spectrum({"content": view.drawn(SPECTRUM, "content")}))
    yield "spectrum_from_image", Part(view.spectrum({"content": view.drawn(IMAGE, "content")}))
    kl_alone = view.kl(IMAGE, "content") + view.kl(SPECTRUM, "content")
    yield "kl_content_alone", Part(kl_alone, config.beta * warm)


FAMILIES: Mapping[PairFamily, Callable[[PairView, PairsModelConfig, float], Terms]] = {
    "im2spec": im2spec,
    "spec2im": spec2im,
    "separated": separated,
    "linked": linked,
    "dual": dual,
    "dual-poe": dual_poe,
}


def pair_loss(
    model: PairModel,
    config: PairsModelConfig,
    batch: Signals,
    noise: Noise | None,
    *,
    progress: float,
) -> Loss:
    """The loss on a batch after a share of the training, 0–1."""
    warm = min(1.0, progress / WARM_UP)
    parts = dict(FAMILIES[config.family](PairView(model, batch, noise), config, warm))
    each = _weighted(parts)
    terms = {name: Tally.of(part.value) for name, part in parts.items()}
    return Loss(each.mean(), {**terms, "score": Tally.of(-each)})


def _weighted(parts: Mapping[str, Part]) -> PerSite:
    return torch.stack([p.weight * p.value for p in parts.values() if p.weight]).sum(0)


def held_out_terms(model: PairModel, config: PairsModelConfig, batch: Signals) -> dict[str, Tally]:
    """Terms at the posterior means, and `score`, by which epochs are compared: higher is better.

    Of im2spec it is the log density of the spectrum from the image; of the others minus the loss.
    """
    view = PairView(model, batch, None)
    parts = dict(FAMILIES[config.family](view, config, 1.0))
    if config.family == "im2spec":
        score = view.log_likelihood({"content": view.drawn(IMAGE, "content")})
    else:
        score = -_weighted(parts)
    return {
        **{name: Tally.of(part.value) for name, part in parts.items()},
        "score": Tally.of(score),
    }


def divergence(one: Normal, other: Normal) -> PerSite:
    """KL divergence of one Normal posterior from another [nats]."""
    scaled = (2 * (one.log_sd - other.log_sd)).exp()
    offset = ((one.mean - other.mean) * (-other.log_sd).exp()) ** 2
    return (other.log_sd - one.log_sd + 0.5 * (scaled + offset - 1)).sum(-1)


def contrast(view: PairView, of_image: Normal, of_spectrum: Normal) -> PerSite:
    """Cross entropy of finding the partner among the sites of the batch, in both directions [nats].

    Sites whose spectra cannot be told apart share the right answer: calling them wrong would push equal structures apart.
    Source: van den Oord, Li & Vinyals 2018, arXiv:1807.03748.
    """
    model = view.model
    one, other = (
        functional.normalize(model.project(q.mean), dim=-1) for q in (of_image, of_spectrum)
    )
    logits = model.log_scale.exp() * one @ other.mT
    distance = torch.cdist(view.spectra, view.spectra) ** 2 / view.spectra.shape[1]
    right = torch.softmax(-distance / (2 * SAME**2) * view.spectra.shape[1] ** 0.5, dim=-1)
    forward = -(right * functional.log_softmax(logits, dim=-1)).sum(-1)
    backward = -(right * functional.log_softmax(logits.mT, dim=-1)).sum(-1)
    return 0.5 * (forward + backward)
