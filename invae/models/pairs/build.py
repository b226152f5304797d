"""Building a model of pairs: which signal says what about which latent variable, and which is explained by it.

| family | image says | spectrum says | image is made of | spectrum is made of |
|---|---|---|---|---|
| im2spec | content | – | – | content |
| spec2im | image.content | content | content, image.content, angle | – |
| separated, linked | image.content | spectrum.content | image.content, angle | spectrum.content |
| dual | content, image.content | content | content, image.content, angle | content |
| dual-poe | content | content | content, angle | content |

The angle of the image is inferred exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from invae.config import model as parts
from invae.config.pairs import PairFamily, PairsModelConfig
from invae.errors import ConfigError
from invae.models.batch import Geometry
from invae.models.fields import WholeField
from invae.models.generators import DiscGenerator
from invae.models.geometry.circle import CirclePrior
from invae.models.geometry.polar import PolarGrid
from invae.models.inference import OnePass
from invae.models.latents import Latents, NormalPrior, Prior
from invae.models.likelihoods import noise_of
from invae.models.networks.decoders import DenseDecoder, PolarDecoder
from invae.models.networks.encoders import CodeHead, ContentHead, DenseEncoder
from invae.models.orientation import Dipole
from invae.models.pairs.pair_model import PairModel
from invae.models.pairs.ring_encoder import VIEW, Branch, ImageRecogniser, RingEncoder
from invae.models.pairs.spectrum_generator import SpectrumGenerator
from invae.models.pairs.spectrum_noise import SpectrumNoise, spectrum_noise_of
from invae.models.signals import IMAGE, SignalParts

SPECTRUM = "spectrum"
CONTENT, PRIVATE = "content", "private"
COIN = "coin"
"""Name of the random number that chooses whose shared latent variables explain the image (dual)."""


@dataclass(frozen=True)
class Composition:
    """What the parts of a family say and are made of, by the names inside the parts of a signal."""

    image_says: tuple[str, ...] = ()
    spectrum_says: tuple[str, ...] = ()
    image_of: tuple[str, ...] = ()
    spectrum_of: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    """Signals whose content is their own: it has the signal's name in the model."""


APART = Composition((CONTENT,), (CONTENT,), (CONTENT,), (CONTENT,), own=(IMAGE, SPECTRUM))
COMPOSITIONS: Mapping[PairFamily, Composition] = {
    "im2spec": Composition(image_says=(CONTENT,), spectrum_of=(CONTENT,)),
    "spec2im": Composition((PRIVATE,), (CONTENT,), image_of=(CONTENT, PRIVATE)),
    "separated": APART,
    "linked": APART,
    "dual": Composition((CONTENT, PRIVATE), (CONTENT,), (CONTENT, PRIVATE), (CONTENT,)),
    "dual-poe": Composition((CONTENT,), (CONTENT,), (CONTENT,), (CONTENT,)),
}


class JoinedCode:
    """Some latent variables side by side, as a decoder takes them."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.names, self._size = tuple(sizes), sum(sizes.values())

    @property
    def size(self) -> int:
        """Numbers in the code."""
        return self._size

    def __call__(self, latents: Latents) -> Float[Tensor, "batch code"]:
        return torch.cat([latents[name] for name in self.names], dim=-1)


def build_pairs(
    config: PairsModelConfig, geometries: Mapping[str, Geometry], *, seed: int
) -> PairModel:
    """A model with fresh weights; the same seed gives the same weights.

    Args:
        config: Of the model.
        geometries: Of the signals `image` and `spectrum`; a spectrum has one row.
        seed: Of the weights.

    Raises:
        ConfigError: A signal is missing, or a spectrum has more than one row.
    """
    missing = [name for name in (IMAGE, SPECTRUM) if name not in geometries]
    if missing:
        raise ConfigError(
            f"{config.family} needs pairs of image and spectrum; {missing[0]} is missing"
        )
    if geometries[SPECTRUM].height != 1:
        raise ConfigError(f"a spectrum has one row, not {geometries[SPECTRUM].height}")
    composition = COMPOSITIONS[config.family]
    sizes = {CONTENT: config.latent_dim, PRIVATE: config.private_dim}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        signals = {
            IMAGE: _image_parts(config, composition, geometries[IMAGE], sizes),
            SPECTRUM: _spectrum_parts(config, composition, geometries[SPECTRUM], sizes),
        }
        model = PairModel(
            signals,
            priors=_priors(signals),
            drawn=_drawn(composition, signals, sizes),
            family=config.family,
            n_shared=config.latent_dim,
        )
    return model


def _image_parts(
    config: PairsModelConfig,
    composition: Composition,
    geometry: Geometry,
    sizes: Mapping[str, int],
) -> SignalParts:
    recogniser = generator = None
    if composition.image_says:
        recogniser = _image_recogniser(config, composition, geometry, sizes)
    if composition.image_of:
        generator = _image_generator(config, composition, geometry, sizes)
    private = {PRIVATE: f"{IMAGE}.content"}
    if IMAGE in composition.own:
        private = {CONTENT: f"{IMAGE}.content"}
    return SignalParts(geometry, recogniser=recogniser, generator=generator, private=private)


def _image_recogniser(
    config: PairsModelConfig,
    composition: Composition,
    geometry: Geometry,
    sizes: Mapping[str, int],
) -> ImageRecogniser:
    """What explains the image must tell it from its mirror image; what explains the spectrum alone need not."""
    mirrors = config.image.invariance == "rotation-mirror"
    blind = {CONTENT} if mirrors and IMAGE not in composition.own else set[str]()
    if composition.image_of == (CONTENT,):
        blind = set[str]()
    branches = {name: Branch(name, name in blind) for name in composition.image_says}
    return ImageRecogniser(
        {name: RingEncoder(geometry, config.image) for name in branches},
        {name: _head(config, sizes[name]) for name in branches},
        branches,
    )


def _head(config: PairsModelConfig, size: int) -> nn.Module:
    return CodeHead(128, size) if config.beta == 0 else ContentHead(128, size)


def _image_generator(
    config: PairsModelConfig,
    composition: Composition,
    geometry: Geometry,
    sizes: Mapping[str, int],
) -> DiscGenerator:
    grid = PolarGrid(geometry, n_angles=64)
    code = JoinedCode({name: sizes[name] for name in composition.image_of})
    decoder = PolarDecoder(
        grid,
        n_code=code.size,
        n_channels=geometry.n_channels,
        hidden=config.image_hidden,
        harmonics=16,
    )
    noise = noise_of(parts.GaussianNoise(), n_channels=geometry.n_channels)
    return DiscGenerator(
        WholeField(decoder, code),
        noise,
        grid=grid,
        prior=CirclePrior(None),
        gauge=Dipole(),
        geometry=geometry,
    )


def _spectrum_parts(
    config: PairsModelConfig,
    composition: Composition,
    geometry: Geometry,
    sizes: Mapping[str, int],
) -> SignalParts:
    recogniser = generator = None
    if composition.spectrum_says:
        encoder = DenseEncoder(geometry, hidden=config.spectrum_hidden, n_vectors=0)
        # Of spec2im only the image is uncertain: what the spectrum says is a code.
        certain = config.family == "spec2im" or config.beta == 0
        head = CodeHead if certain else ContentHead
        recogniser = OnePass(encoder, {CONTENT: head(encoder.n_features, sizes[CONTENT])})
    if composition.spectrum_of:
        noise = spectrum_noise_of(config.likelihood, n_channels=geometry.n_channels)
        code = JoinedCode({name: sizes[name] for name in composition.spectrum_of})
        wide = Geometry(noise.n_numbers * geometry.n_channels, 1, geometry.width)
        decoder = DenseDecoder(wide, n_code=code.size, hidden=config.hidden)
        _begin_with_equal_spread(decoder, noise)
        generator = SpectrumGenerator(decoder, code, noise)
    private = {CONTENT: f"{SPECTRUM}.content"} if SPECTRUM in composition.own else {}
    return SignalParts(geometry, recogniser=recogniser, generator=generator, private=private)


@torch.no_grad()
def _begin_with_equal_spread(decoder: DenseDecoder, noise: SpectrumNoise) -> None:
    last = decoder.layers.layers[-1]
    assert isinstance(last, nn.Linear)
    for weights in (last.weight, last.bias):
        by_number = weights.view(noise.n_numbers, -1)
        by_number[list(noise.spreads)] = 0.0


def _priors(signals: Mapping[str, SignalParts]) -> dict[str, Prior]:
    names = {
        "content",
        *(outside for parts in signals.values() for outside in parts.private.values()),
    }
    return {**{name: NormalPrior() for name in names}, "angle": CirclePrior(None)}


def _drawn(
    composition: Composition, signals: Mapping[str, SignalParts], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Sizes of all random numbers of a step: of the latent variables, the view and the coin."""
    says = {IMAGE: composition.image_says, SPECTRUM: composition.spectrum_says}
    drawn = {
        signals[signal].private.get(name, name): sizes[name]
        for signal, names in says.items()
        for name in names
    }
    return {**drawn, VIEW: 2, COIN: 1}
