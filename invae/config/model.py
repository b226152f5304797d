"""What a model is made of: poses, latents, encoder, decoder, likelihood; a family names a composition."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from invae.config.objective import ObjectiveConfig
from invae.config.schema import Config

Family = Literal[
    "AE", "VAE", "rVAE", "tVAE", "rtVAE", "scaleVAE", "shearVAE", "affineVAE", "AVAE",
    "skip-VAE", "skip-rVAE", "skip-tVAE", "skip-rtVAE",
    "cVAE", "crVAE", "ctVAE", "crtVAE",
    "jVAE", "jrVAE", "jtVAE", "jrtVAE",
    "ssVAE", "ssrVAE", "sstVAE", "ssrtVAE",
    "ssregVAE", "ssregrVAE", "ssregtVAE", "ssregrtVAE",
]  # fmt: skip
OTHER_NAMES = {
    "shift-VAE": "tVAE",
    "shiftVAE": "tVAE",
    "trVAE": "rtVAE",
    "jtrVAE": "jrtVAE",
    "sstrVAE": "ssrtVAE",
    "ctrVAE": "crtVAE",
}
"""Names in use elsewhere, and ours."""
ELSEWHERE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")
"""`module:NAME`, a family of your own."""
PoseName = Literal["rotation", "shift", "scale", "shear"]
PoseInference = Literal["amortised", "exact", "refined"]
ClassInference = Literal["exact", "gumbel"]
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
    zero: Literal["alike", "dipole"] = "alike"
    """Where the angle counts from when it is inferred exactly: alike patterns lie alike, as patches of objects want it; or the angle is the
    direction of the pattern's brighter side, as that of a centre of mass, as diffraction patterns want it."""


class TranslationConfig(Config):
    """Shift of the pattern inside the patch."""

    kind: Literal["translation"] = "translation"
    prior_sd: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Sd of the prior on each component, as a fraction of half the patch's longer side."""
    finer: Annotated[int, Field(ge=1, le=8)] = 2
    """Shifts tried for every pixel, along each axis, where the shift is inferred exactly."""


class ScalingConfig(Config):
    """Magnification about the pattern's centre."""

    kind: Literal["scaling"] = "scaling"
    prior_sd: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Sd of the prior on the logarithm of the magnification."""


class ShearingConfig(Config):
    """Shear along x, before the turn."""

    kind: Literal["shearing"] = "shearing"
    prior_sd: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Sd of the prior on the angle of shear [rad]."""


class SearchConfig(Config):
    """Refined inference of the pose: poses proposed by a look at all angles are tried in full, and the best improved."""

    n_angles: Annotated[int, Field(ge=8, le=360)] = 32
    """Angles among which a small network that turns with the patch proposes; it is trained along by what is found."""
    scanned: Annotated[int, Field(ge=1, le=16)] = 1
    """Proposed angles that are tried in full, for every patch its own; the other poses start from one proposal."""
    explored: Annotated[int, Field(ge=1, le=16)] = 3
    """The same while training, where chance decides which: the likelier, the more often."""
    restarts: Annotated[int, Field(ge=1, le=16)] = 1
    """The best of them, which are improved."""
    steps: Annotated[int, Field(ge=1, le=100)] = 1
    """Gauss-Newton steps on each of these; one that makes things worse is not taken."""
    training: bool = True
    """Search while training too; otherwise training patches are taken to be upright."""


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
    pooled: bool = False
    """Take mean and rms over the image at the end, so that the content hardly sees a shift; only two layers then halve it."""


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
    skip: bool = False
    """Let the code enter every layer, not the first alone."""


class PolarDecoder(Config):
    """Radial functions times angular harmonics; the fast choice with exact rotation."""

    kind: Literal["polar"] = "polar"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""
    skip: bool = False
    """Let the code enter every layer, not the first alone."""
    harmonics: Annotated[int, Field(ge=1, le=128)] = 12
    """Highest angular frequency [1/turn]."""


class DenseDecoder(Config):
    """Fully connected layers to all pixels; for families without pose, or with an exactly inferred shift."""

    kind: Literal["dense"] = "dense"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""
    skip: bool = False
    """Let the code enter every layer, not the first alone."""


class ConvDecoder(Config):
    """Convolutions that refine a few coarse pixels to an image."""

    kind: Literal["conv"] = "conv"
    channels: Widths = (64, 32, 16)
    """Channels of the convolutional layers; each doubles the image."""


class CanvasDecoder(Config):
    """An image decoded once, larger than the patch, and read wherever the poses ask."""

    kind: Literal["canvas"] = "canvas"
    layers: Annotated[DenseDecoder | ConvDecoder, Field(discriminator="kind")] = DenseDecoder()
    """What decodes the image."""


class GaussianNoise(Config):
    """Normal noise, the same for all pixels of a channel."""

    kind: Literal["gaussian"] = "gaussian"
    sd: Annotated[float, Field(gt=0)] | None = None
    """Sd of the noise, in units of the channel's own spread; learned when empty."""


class BernoulliNoise(Config):
    """Pixels in [0, 1]; anything else is refused."""

    kind: Literal["bernoulli"] = "bernoulli"


class ContinuousBernoulliNoise(Config):
    """Grey values in [0, 1] with a proper density; anything else is refused."""

    kind: Literal["continuous-bernoulli"] = "continuous-bernoulli"


class PoissonNoise(Config):
    """Counts of single electrons or photons; fractions and negative numbers are refused."""

    kind: Literal["poisson"] = "poisson"


EncoderConfig = Annotated[DenseEncoder | ConvEncoder | PolarEncoder, Field(discriminator="kind")]
DecoderConfig = Annotated[
    SpatialDecoder | PolarDecoder | DenseDecoder | ConvDecoder | CanvasDecoder,
    Field(discriminator="kind"),
]
NoiseConfig = Annotated[
    GaussianNoise | BernoulliNoise | ContinuousBernoulliNoise | PoissonNoise,
    Field(discriminator="kind"),
]


def _own_name(family: Any) -> Any:
    return OTHER_NAMES.get(family, family) if isinstance(family, str) else family


def _from_elsewhere(family: Any, handler: ValidatorFunctionWrapHandler) -> str:
    return family if isinstance(family, str) and ELSEWHERE.match(family) else handler(family)


def _as_str(family: str) -> str:
    return family


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, int) else value


class ModelConfig(Config):
    """One model; what is empty is chosen by the family (see `invae.models.families`)."""

    family: Annotated[
        Family,
        WrapValidator(_from_elsewhere),
        BeforeValidator(_own_name),
        PlainSerializer(_as_str, return_type=str),
    ] = "rtVAE"
    """Letters before VAE: r rotation, t shift, j classes, ss classes with some labels, ssreg a variable known for some, c condition."""
    poses: tuple[PoseName, ...] | None = None
    """Poses instead of the family's own."""
    latent_dim: Annotated[int, Field(ge=1, le=64)] = 2
    """Number of content dimensions."""
    n_classes: Annotated[
        tuple[Annotated[int, Field(ge=2, le=64)], ...], BeforeValidator(_as_tuple)
    ] = ()
    """Number of classes; several numbers for several discrete latents. For families j… and ss…"""
    class_inference: ClassInference = "exact"
    """Classes by enumerating all of them (exact), or drawn from an encoder (Gumbel-softmax)."""
    temperature: Annotated[float, Field(gt=0, le=5)] = 0.67
    """Of the Gumbel-softmax; lower draws are nearer to one class."""
    n_conditions: Annotated[int, Field(ge=0, le=64)] = 0
    """Numbers given with every patch to the encoder and decoder of a family c…"""
    n_targets: Annotated[int, Field(ge=0, le=16)] = 0
    """Continuous variables known for some patches, for families ssreg…"""
    pose_inference: PoseInference | None = None
    """amortised: by an encoder; exact: over all angles, or all shifts where nothing turns; refined: by a search for every patch."""
    rotation: RotationConfig = RotationConfig()
    translation: TranslationConfig = TranslationConfig()
    scaling: ScalingConfig = ScalingConfig()
    shearing: ShearingConfig = ShearingConfig()
    search: SearchConfig = SearchConfig()
    encoder: EncoderConfig | None = None
    decoder: DecoderConfig | None = None
    likelihood: NoiseConfig = GaussianNoise()
    beta: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the KL divergence of the content."""
    objective: ObjectiveConfig = ObjectiveConfig()
    """Schedules, capacities and penalties."""

    @model_validator(mode="after")
    def _objective_fits(self) -> Self:
        self.objective.refuse_contradictions(beta=self.beta, n_classes=self.n_classes)
        return self
