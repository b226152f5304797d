"""Families: each is one choice of parts.

| family | encoder | pose | decoder |
|---|---|---|---|
| AE, VAE | conv | – | dense |
| tVAE | conv | shift | spatial |
| rVAE, rtVAE, exact | polar | rotation exact, shift moves the polar centre | polar |
| rVAE, rtVAE, amortised | conv | both through the grid | spatial |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from invae.config import model as parts
from invae.config.model import ModelConfig
from invae.errors import ConfigError
from invae.models.circle import CirclePrior
from invae.models.decoders import DenseDecoder, FromGrid, OnGrid, PolarDecoder, SpatialDecoder
from invae.models.encoders import (
    AngleHead,
    CodeHead,
    ContentHead,
    ConvEncoder,
    DenseEncoder,
    Encoder,
    PolarEncoder,
    ShiftHead,
)
from invae.models.generators import DenseGenerator, DiscGenerator, Generator, PosedGenerator
from invae.models.latents import NormalPrior, Prior
from invae.models.likelihoods import Bernoulli, Gaussian, Noise
from invae.models.patches import Geometry
from invae.models.polar import PolarGrid
from invae.models.pose import Pose, Rotation, Translation
from invae.models.recognisers import OnePass, TwoPass
from invae.models.vae import VAE


@dataclass(frozen=True)
class Family:
    """What a family's name says."""

    rotation: bool = False
    shift: bool = False
    deterministic: bool = False


FAMILIES: dict[parts.Family, Family] = {
    "AE": Family(deterministic=True),
    "VAE": Family(),
    "rVAE": Family(rotation=True),
    "tVAE": Family(shift=True),
    "rtVAE": Family(rotation=True, shift=True),
}


def build(config: ModelConfig, geometry: Geometry, *, seed: int) -> VAE:
    """A model with fresh weights; the same seed gives the same weights, whatever was drawn before.

    Raises:
        ConfigError: If the parts asked for do not fit each other.
    """
    family = FAMILIES[config.family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if family.rotation and config.pose_inference == "exact":
            return _turning_disc(config, family, geometry)
        return _pixels(config, family, geometry)


def _turning_disc(config: ModelConfig, family: Family, geometry: Geometry) -> VAE:
    """Rotation inferred exactly on the polar grid; shift, if any, moves the grid's centre."""
    grid = PolarGrid(
        geometry,
        n_angles=config.rotation.n_angles,
        circumscribed=config.rotation.disc == "circumscribed",
    )
    generator = DiscGenerator(
        _disc_decoder(config, grid, geometry),
        _noise(config, geometry),
        grid=grid,
        prior=CirclePrior(config.rotation.prior_sd),
        geometry=geometry,
    )
    chosen = config.encoder or parts.PolarEncoder()
    if family.shift and isinstance(chosen, parts.PolarEncoder):
        recogniser: OnePass | TwoPass = TwoPass(
            _one_pass(chosen, ["shift"], config, geometry, grid),
            _one_pass(chosen, ["content"], config, geometry, grid),
        )
    else:
        latents = ["shift", "content"] if family.shift else ["content"]
        recogniser = _one_pass(chosen, latents, config, geometry, grid)
    drawn = {"shift": 2} if family.shift else {}
    return _assemble(recogniser, generator, drawn, config, geometry)


def _pixels(config: ModelConfig, family: Family, geometry: Geometry) -> VAE:
    """All latents from encoders; the poses pull the decoder's grid back."""
    drawn = {"shift": 2} if family.shift else {}
    if family.rotation:
        drawn["angle"] = 1
    grid = PolarGrid(geometry, n_angles=config.rotation.n_angles, circumscribed=True)
    encoder = config.encoder or parts.ConvEncoder()
    recogniser = _one_pass(encoder, [*drawn, "content"], config, geometry, grid)
    noise = _noise(config, geometry)
    if not drawn:
        decoder = _image_decoder(config, geometry)
        return _assemble(recogniser, DenseGenerator(decoder, noise), drawn, config, geometry)
    poses: dict[str, Pose] = {"shift": Translation()} if family.shift else {}
    if family.rotation:
        poses["angle"] = Rotation()
    painter = _coordinate_decoder(config, grid, geometry)
    generator = PosedGenerator(painter, noise, poses=poses, geometry=geometry)
    return _assemble(recogniser, generator, drawn, config, geometry)


def _assemble(
    recogniser: OnePass | TwoPass,
    generator: Generator,
    drawn_poses: Mapping[str, int],
    config: ModelConfig,
    geometry: Geometry,
) -> VAE:
    priors: dict[str, Prior] = {
        "content": NormalPrior(),
        "shift": NormalPrior(config.translation.prior_sd),
        "angle": CirclePrior(config.rotation.prior_sd),
    }
    family = FAMILIES[config.family]
    poses = {"shift": family.shift, "angle": family.rotation}
    return VAE(
        recogniser,
        generator,
        priors=priors,
        poses=[name for name, present in poses.items() if present],
        drawn={**drawn_poses, "content": config.latent_dim},
        geometry=geometry,
    )


def _one_pass(
    encoder: parts.EncoderConfig,
    latents: Sequence[str],
    config: ModelConfig,
    geometry: Geometry,
    grid: PolarGrid,
) -> OnePass:
    """An encoder with one head for each latent; every pose reads a vector of its own."""
    poses = [name for name in latents if name != "content"]
    made = _encoder(encoder, geometry, grid, n_vectors=len(poses))
    heads: dict[str, nn.Module] = {}
    for name in latents:
        if name == "shift":
            prior_sd = config.translation.prior_sd
            heads[name] = ShiftHead(made.n_features, vector=poses.index(name), prior_sd=prior_sd)
        elif name == "angle":
            heads[name] = AngleHead(made.n_features, vector=poses.index(name))
        elif FAMILIES[config.family].deterministic:
            heads[name] = CodeHead(made.n_features, config.latent_dim)
        else:
            heads[name] = ContentHead(made.n_features, config.latent_dim)
    return OnePass(made, heads)


def _encoder(
    config: parts.EncoderConfig, geometry: Geometry, grid: PolarGrid, *, n_vectors: int
) -> Encoder:
    match config:
        case parts.DenseEncoder():
            return DenseEncoder(geometry, hidden=config.hidden, n_vectors=n_vectors)
        case parts.ConvEncoder():
            return ConvEncoder(geometry, channels=config.channels, n_vectors=n_vectors)
        case parts.PolarEncoder():
            return PolarEncoder(
                grid,
                n_channels=geometry.n_channels,
                channels=config.channels,
                n_vectors=n_vectors,
            )


def _disc_decoder(config: ModelConfig, grid: PolarGrid, geometry: Geometry) -> nn.Module:
    """Content to a field on the polar grid."""
    match config.decoder or parts.PolarDecoder():
        case parts.PolarDecoder() as chosen:
            return _polar_decoder(chosen, config, grid, geometry)
        case parts.SpatialDecoder() as chosen:
            return OnGrid(_spatial_decoder(chosen, config, geometry), grid)
        case parts.DenseDecoder():
            raise ConfigError(
                f"a dense decoder cannot be turned ({config.family}, pose_inference='exact'); "
                "choose decoder 'polar' or 'spatial'"
            )


def _coordinate_decoder(config: ModelConfig, grid: PolarGrid, geometry: Geometry) -> nn.Module:
    """Content and coordinates to the field there."""
    match config.decoder or parts.SpatialDecoder():
        case parts.PolarDecoder() as chosen:
            return FromGrid(_polar_decoder(chosen, config, grid, geometry), grid)
        case parts.SpatialDecoder() as chosen:
            return _spatial_decoder(chosen, config, geometry)
        case parts.DenseDecoder():
            raise ConfigError(
                f"a dense decoder cannot be moved ({config.family}); "
                "choose decoder 'spatial' or 'polar'"
            )


def _image_decoder(config: ModelConfig, geometry: Geometry) -> nn.Module:
    """Content to an image."""
    match config.decoder or parts.DenseDecoder():
        case parts.DenseDecoder() as chosen:
            return DenseDecoder(geometry, latent_dim=config.latent_dim, hidden=chosen.hidden)
        case chosen:
            raise ConfigError(
                f"{config.family} has no pose for a {chosen.kind} decoder; choose decoder 'dense'"
            )


def _spatial_decoder(
    chosen: parts.SpatialDecoder, config: ModelConfig, geometry: Geometry
) -> SpatialDecoder:
    return SpatialDecoder(
        latent_dim=config.latent_dim, n_channels=geometry.n_channels, hidden=chosen.hidden
    )


def _polar_decoder(
    chosen: parts.PolarDecoder, config: ModelConfig, grid: PolarGrid, geometry: Geometry
) -> PolarDecoder:
    return PolarDecoder(
        grid,
        latent_dim=config.latent_dim,
        n_channels=geometry.n_channels,
        hidden=chosen.hidden,
        harmonics=chosen.harmonics,
    )


def _noise(config: ModelConfig, geometry: Geometry) -> Noise:
    match config.likelihood:
        case parts.GaussianNoise() as chosen:
            return Gaussian(geometry.n_channels, sd=chosen.sd)
        case parts.BernoulliNoise():
            return Bernoulli(geometry.n_channels)
