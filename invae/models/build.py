"""Construction of a model from the plan of its latents.

| the plan has | encoder | pose | decoder |
|---|---|---|---|
| no pose | conv | – | dense |
| an angle, exact | polar | angle on the polar grid, shift moves its centre, other poses its points | polar |
| a shift alone, exact | pooled conv | all shifts of a canvas larger than the frame | dense |
| a pose otherwise | conv | all through the grid | spatial |
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from invae.config import model as parts
from invae.config.model import ModelConfig
from invae.errors import ConfigError
from invae.latent_table import LATENTS, row_of
from invae.models.batch import Geometry
from invae.models.canvas import Canvas, CanvasGenerator, Home, shift_margin
from invae.models.centring import CentreFinder
from invae.models.families import Plan, plan
from invae.models.fields import Field, PosedField, WholeField
from invae.models.foreign_objects import ForeignObjects
from invae.models.generators import DiscGenerator, EveryClass, Generator, PixelGenerator
from invae.models.geometry.circle import CirclePrior
from invae.models.geometry.polar import PolarGrid
from invae.models.geometry.pose import pixel_grid
from invae.models.inference import OnePass, Recogniser, TwoPass
from invae.models.latents import ClassPrior, NormalPrior
from invae.models.likelihoods import Noise, noise_of
from invae.models.networks.decoders import (
    ConvDecoder,
    DenseDecoder,
    FromGrid,
    OnGrid,
    PolarDecoder,
    SpatialDecoder,
)
from invae.models.networks.encoders import (
    AngleHead,
    ClassHead,
    CodeHead,
    ContentHead,
    ConvEncoder,
    DenseEncoder,
    Encoder,
    PolarEncoder,
    PooledConvEncoder,
    ScalarHead,
    ShiftHead,
    TargetHead,
)
from invae.models.orientation import Dipole, Landmarks
from invae.models.pose_search.gauss_newton import GaussNewton
from invae.models.pose_search.posed_image import Frame, PlacedGenerator
from invae.models.pose_search.proposals import WIDTH, Proposer
from invae.models.pose_search.search import Search
from invae.models.signals import IMAGE, SignalParts
from invae.models.vae import VAE


def build(config: ModelConfig, geometry: Geometry, *, seed: int) -> VAE:
    """A model with fresh weights; the same seed gives the same weights, whatever random numbers were drawn before.

    Raises:
        ConfigError: The requested parts do not fit each other.
    """
    made = plan(config, geometry)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match made.exact:
            case "angle":
                recogniser, generator = _turning_disc(made)
            case "shift":
                recogniser, generator = _moving_canvas(made)
            case _ if made.searched:
                recogniser, generator = _placed(made)
            case _:
                recogniser, generator = _pixels(made)
        search = _search(made) if made.searched else None
    if made.classes is not None and made.enumerated:
        generator = EveryClass(generator, prior=made.classes, others=made.priors)
    image = SignalParts(
        geometry,
        recogniser=recogniser,
        generator=generator,
        search=search,
        foreign=ForeignObjects(geometry) if config.masks_foreign else None,
    )
    return VAE(
        {IMAGE: image},
        priors=made.priors,
        poses=made.poses,
        drawn=made.encoded,
        n_targets=config.n_targets,
        n_conditions=config.n_conditions,
    )


def _turning_disc(made: Plan) -> tuple[Recogniser, Generator]:
    """Rotation is inferred exactly on the polar grid; a shift moves the grid's centre."""
    config = made.config
    grid = _polar_grid(made, circumscribed=config.rotation.disc == "circumscribed")
    generator = DiscGenerator(
        _disc_field(made, grid),
        _noise(made),
        grid=grid,
        prior=CirclePrior(config.rotation.prior_sd),
        gauge=Dipole() if config.rotation.zero == "dipole" else Landmarks(made.code),
        geometry=made.geometry,
    )
    chosen = config.encoder or parts.PolarEncoder()
    if "shift" in made.poses and isinstance(chosen, parts.PolarEncoder):
        localiser = CentreFinder(made.geometry, prior_sd=config.translation.prior_sd)
        described = [name for name in made.encoded if name != "shift"]
        return TwoPass(localiser, _one_pass(made, chosen, described, grid)), generator
    return _one_pass(made, chosen, list(made.encoded), grid), generator


def _moving_canvas(made: Plan) -> tuple[Recogniser, Generator]:
    """Shift is inferred exactly on a canvas larger than the frame, without rotation."""
    config, prior_sd = made.config, made.config.translation.prior_sd
    canvas = Canvas(
        made.geometry,
        margin=shift_margin(made.geometry, prior_sd=prior_sd),
        finer=config.translation.finer,
    )
    grid = _polar_grid(made, circumscribed=True)
    generator = CanvasGenerator(
        WholeField(_canvas_decoder(made, canvas), made.code),
        _noise(made),
        home=Home(made.code, canvas, prior_sd=prior_sd),
        canvas=canvas,
        prior=NormalPrior(prior_sd),
    )
    encoder = config.encoder or parts.ConvEncoder(channels=(16, 32, 64), pooled=True)
    return _one_pass(made, encoder, list(made.encoded), grid), generator


def _canvas_decoder(made: Plan, canvas: Canvas) -> nn.Module:
    """A decoder from a code to an image on a canvas."""
    match made.config.decoder or parts.DenseDecoder():
        case parts.SpatialDecoder() | parts.PolarDecoder():
            grid = _polar_grid(made, circumscribed=True)
            return OnGrid(_coordinate_decoder(made, grid), canvas)
        case parts.CanvasDecoder(layers=chosen) | chosen:
            return _image_decoder(made, chosen, canvas.geometry)


def _pixels(made: Plan) -> tuple[Recogniser, Generator]:
    """All latents come from encoders; poses act on the grid of the decoder."""
    grid = _polar_grid(made, circumscribed=True)
    encoder = made.config.encoder or parts.ConvEncoder()
    recogniser = _one_pass(made, encoder, list(made.encoded), grid)
    noise = _noise(made)
    if not made.poses:
        decoder = _image_decoder(made, made.config.decoder or parts.DenseDecoder(), made.geometry)
        return recogniser, PixelGenerator(WholeField(decoder, made.code), noise)
    field = PosedField(
        _coordinate_decoder(made, grid),
        made.code,
        poses=made.maps,
        grid=pixel_grid(made.geometry).unflatten(0, (made.geometry.height, -1)),
    )
    return recogniser, PixelGenerator(field, noise)


def _placed(made: Plan) -> tuple[OnePass, PlacedGenerator]:
    """All latents but the poses come from the upright patch; an image is decoded once and posed."""
    # Without poses in the training nothing is learned about the surroundings of the frame.
    margin = _pose_margin(made) if made.config.search.training else (0, 0)
    canvas = Canvas(made.geometry, margin=margin)
    generator = PlacedGenerator(
        _canvas_decoder(made, canvas),
        made.code,
        _noise(made),
        poses=made.maps,
        frame=Frame(made.geometry),
    )
    encoder = made.config.encoder or parts.ConvEncoder()
    latents = [name for name in made.encoded if name != "search"]
    grid = _polar_grid(made, circumscribed=True)
    return _one_pass(made, encoder, latents, grid), generator


def _search(made: Plan) -> Search:
    """The pose search of a plan."""
    config, priors = made.config.search, made.priors
    others = [name for name in made.poses if name != "angle"]
    vectors = [name for name in others if row_of(name).reads_vector]
    proposer = Proposer(
        PolarGrid(made.geometry, n_angles=config.n_angles, circumscribed=False),
        n_channels=made.geometry.n_channels,
        heads={name: _head(made, name, WIDTH, vectors=vectors) for name in others},
        vectors=vectors,
        turns="angle" in made.poses,
    )
    poses = {
        name: prior for name in made.poses if not isinstance(prior := priors[name], ClassPrior)
    }
    return Search(proposer, GaussNewton(poses, Frame(made.geometry)), priors=priors, config=config)


def _polar_grid(made: Plan, *, circumscribed: bool) -> PolarGrid:
    n_angles = made.config.rotation.n_angles
    return PolarGrid(made.geometry, n_angles=n_angles, circumscribed=circumscribed)


def _one_pass(
    made: Plan, encoder: parts.EncoderConfig, latents: Sequence[str], grid: PolarGrid
) -> OnePass:
    """An encoder with one head per latent; every position and direction has its own vector."""
    vectors = [name for name in latents if row_of(name).reads_vector]
    chosen = _encoder(encoder, made.geometry, grid, n_vectors=len(vectors))
    n_features = chosen.n_features + made.config.n_conditions
    return OnePass(
        chosen, {name: _head(made, name, n_features, vectors=vectors) for name in latents}
    )


def _head(made: Plan, latent: str, n_features: int, *, vectors: Sequence[str]) -> nn.Module:
    config = made.config
    match row_of(latent).head:
        case "position":
            prior_sd = made.normal_sd(latent)
            return ShiftHead(n_features, vector=vectors.index(latent), prior_sd=prior_sd)
        case "direction":
            return AngleHead(n_features, vector=vectors.index(latent))
        case "number":
            return ScalarHead(n_features, prior_sd=made.normal_sd(latent))
        case "class" if made.classes is not None:
            return ClassHead(n_features, prior=made.classes, temperature=config.temperature)
        case "target":
            return TargetHead(n_features, config.n_targets)
        case _ if made.family.deterministic:
            return CodeHead(n_features, config.latent_dim)
        case _:
            return ContentHead(n_features, config.latent_dim)


def _encoder(
    config: parts.EncoderConfig, geometry: Geometry, grid: PolarGrid, *, n_vectors: int
) -> Encoder:
    match config:
        case parts.DenseEncoder():
            return DenseEncoder(geometry, hidden=config.hidden, n_vectors=n_vectors)
        case parts.ConvEncoder() if config.pooled and n_vectors:
            raise ConfigError(
                "a pooled encoder cannot tell where a pattern is and how it lies; leave `pooled` out"
            )
        case parts.ConvEncoder() if config.pooled:
            return PooledConvEncoder(geometry, channels=config.channels)
        case parts.ConvEncoder():
            return ConvEncoder(geometry, channels=config.channels, n_vectors=n_vectors)
        case parts.PolarEncoder():
            return PolarEncoder(
                grid,
                n_channels=geometry.n_channels,
                channels=config.channels,
                n_vectors=n_vectors,
            )


def _disc_field(made: Plan, grid: PolarGrid) -> Field:
    """Latents to a field on the polar grid; poses other than rotation and shift act on its points."""
    bending = {name: pose for name, pose in made.maps.items() if not row_of(name).reads_vector}
    if bending:
        decoder = _coordinate_decoder(made, grid)
        return PosedField(decoder, made.code, poses=bending, grid=grid.coords)
    match made.config.decoder or parts.PolarDecoder():
        case parts.PolarDecoder() as chosen:
            decoder = _polar_decoder(made, chosen, grid)
            return WholeField(decoder, made.code, n_frequencies=decoder.n_frequencies)
        case parts.SpatialDecoder() as chosen:
            return WholeField(OnGrid(_spatial_decoder(made, chosen), grid), made.code)
        case chosen:
            raise ConfigError(
                f"a {chosen.kind} decoder cannot be turned ({made.config.family}, "
                "pose_inference='exact'); choose decoder 'polar' or 'spatial'"
            )


def _coordinate_decoder(made: Plan, grid: PolarGrid) -> nn.Module:
    """A decoder from a code and coordinates to the field there."""
    exact = made.exact is not None
    match made.config.decoder or (parts.PolarDecoder() if exact else parts.SpatialDecoder()):
        case parts.PolarDecoder() as chosen:
            return FromGrid(_polar_decoder(made, chosen, grid), grid)
        case parts.SpatialDecoder() as chosen:
            return _spatial_decoder(made, chosen)
        case parts.CanvasDecoder() as chosen:
            canvas = Canvas(made.geometry, margin=_pose_margin(made))
            return FromGrid(_image_decoder(made, chosen.layers, canvas.geometry), canvas)
        case chosen:
            raise ConfigError(
                f"a {chosen.kind} decoder cannot be moved ({made.config.family}); "
                f"choose decoder 'spatial', 'polar' or 'canvas' with its layers"
            )


def _pose_margin(made: Plan) -> list[int]:
    """Margin around the frame that poses within two sds of their priors bring into it, at most half a frame [pixel]."""
    config, sides = made.config, (made.geometry.height, made.geometry.width)
    margins = shift_margin(made.geometry, prior_sd=config.translation.prior_sd)
    extent = 1.0
    for name in (row.name for row in LATENTS.values() if row.name in made.poses):
        extent = row_of(name).placed.widened(extent, made.prior_sd(name))
    return [
        0 if n == 1 else min(m * ("shift" in made.poses) + math.ceil((extent - 1) * n / 2), n // 2)
        for n, m in zip(sides, margins, strict=True)
    ]


def _image_decoder(made: Plan, chosen: parts.DecoderConfig, geometry: Geometry) -> nn.Module:
    """A decoder from a code to an image."""
    match chosen:
        case parts.DenseDecoder():
            skip = chosen.skip or made.family.skip
            return DenseDecoder(geometry, n_code=made.code.size, hidden=chosen.hidden, skip=skip)
        case parts.ConvDecoder() if made.family.skip:
            raise ConfigError(
                f"a conv decoder has no skip paths ({made.config.family}); choose decoder 'dense'"
            )
        case parts.ConvDecoder():
            return ConvDecoder(geometry, n_code=made.code.size, channels=chosen.channels)
        case _:
            raise ConfigError(
                f"{made.config.family} has no pose for a {chosen.kind} decoder; "
                "choose decoder 'dense' or 'conv'"
            )


def _spatial_decoder(made: Plan, chosen: parts.SpatialDecoder) -> SpatialDecoder:
    n_channels = made.geometry.n_channels
    return SpatialDecoder(
        n_code=made.code.size,
        n_channels=n_channels,
        hidden=chosen.hidden,
        skip=chosen.skip or made.family.skip,
    )


def _polar_decoder(made: Plan, chosen: parts.PolarDecoder, grid: PolarGrid) -> PolarDecoder:
    return PolarDecoder(
        grid,
        n_code=made.code.size,
        n_channels=made.geometry.n_channels,
        hidden=chosen.hidden,
        harmonics=chosen.harmonics,
        skip=chosen.skip or made.family.skip,
    )


def _noise(made: Plan) -> Noise:
    return noise_of(made.config.likelihood, n_channels=made.geometry.n_channels)
