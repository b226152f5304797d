"""What a model is made of: poses, encoder, decoder, likelihood; a family names a composition."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.schema import Config

Family = Literal["AE", "VAE", "rVAE", "tVAE", "rtVAE"]
PoseInference = Literal["amortised", "exact"]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class RotationConfig(Config):
    """Turn about the patch centre."""

    kind: Literal["rotation"] = "rotation"
    prior_sd: Annotated[float, Field(gt=0)] | None = None
    """Sd of the prior on the angle [rad]; uniform over the circle when empty."""
    n_angles: Annotated[int, Field(ge=16, le=1024, multiple_of=16)] = 64
    """Directions of the polar grid on which the angle is inferred exactly."""
    disc: Literal["inscribed", "circumscribed"] = "inscribed"
    """Part of the patch that turns: the disc inside it, or the one around it with its outside masked."""


class TranslationConfig(Config):
    """Shift of the pattern inside the patch."""

    kind: Literal["translation"] = "translation"
    prior_sd: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Sd of the prior on each component, as a fraction of half the patch's longer side."""


class DenseEncoder(Config):
    """Fully connected layers on all pixels."""

    kind: Literal["dense"] = "dense"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""


class ConvEncoder(Config):
    """Convolutions on the image."""

    kind: Literal["conv"] = "conv"
    channels: Widths = (16, 32, 64)
    """Channels of the convolutional layers; each halves the image."""


class PolarEncoder(Config):
    """Circular convolutions on the polar image, pooled over the angle: the content cannot see a turn."""

    kind: Literal["polar"] = "polar"
    channels: Widths = (32, 64, 64)
    """Channels of the circular convolutions; the first two halve the number of angles."""


class SpatialDecoder(Config):
    """A network from coordinates and content to intensity."""

    kind: Literal["spatial"] = "spatial"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""


class PolarDecoder(Config):
    """Radial functions times angular harmonics; the fast choice with exact rotation."""

    kind: Literal["polar"] = "polar"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""
    harmonics: Annotated[int, Field(ge=1, le=128)] = 12
    """Highest angular frequency [1/turn]."""


class DenseDecoder(Config):
    """Fully connected layers to all pixels; for families without pose."""

    kind: Literal["dense"] = "dense"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""


class GaussianNoise(Config):
    """Normal noise, the same for all pixels of a channel."""

    kind: Literal["gaussian"] = "gaussian"
    sd: Annotated[float, Field(gt=0)] | None = None
    """Sd of the noise, in units of the channel's own spread; learned when empty."""


class BernoulliNoise(Config):
    """Pixels in [0, 1]; anything else is refused."""

    kind: Literal["bernoulli"] = "bernoulli"


EncoderConfig = Annotated[DenseEncoder | ConvEncoder | PolarEncoder, Field(discriminator="kind")]
DecoderConfig = Annotated[SpatialDecoder | PolarDecoder | DenseDecoder, Field(discriminator="kind")]
NoiseConfig = Annotated[GaussianNoise | BernoulliNoise, Field(discriminator="kind")]


class ModelConfig(Config):
    """One model; what is empty is chosen by the family (see `invae.models.families`)."""

    family: Family = "rtVAE"
    """VAE: no pose; rVAE: rotation; tVAE: shift; rtVAE: both; AE: deterministic code."""
    latent_dim: Annotated[int, Field(ge=1, le=64)] = 2
    """Number of content dimensions."""
    pose_inference: PoseInference = "exact"
    """How the angle is inferred: by an encoder (amortised) or on a grid of angles (exact)."""
    rotation: RotationConfig = RotationConfig()
    translation: TranslationConfig = TranslationConfig()
    encoder: EncoderConfig | None = None
    decoder: DecoderConfig | None = None
    likelihood: NoiseConfig = GaussianNoise()
    beta: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the KL divergence of the content."""
