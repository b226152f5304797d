"""Settings of a model: poses, latent variables, encoder, decoder, likelihood; a family names a combination of them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from invae.config.family import Family, PoseInference, PoseName
from invae.config.objective import ObjectiveConfig
from invae.config.pairs import PairsModelConfig
from invae.config.schema import Config
from invae.latent_table import poses

ClassInference = Literal["exact", "gumbel"]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class RotationConfig(Config):
    """Rotation about the patch centre."""

    kind: Literal["rotation"] = "rotation"
    prior_sd: Annotated[float, Field(gt=0)] | None = None
    """Sd of the prior of the angle [rad]; uniform over the circle when empty."""
    n_angles: Annotated[int, Field(ge=16, le=1024, multiple_of=16)] = 64
    """Number of directions of the polar grid for exact inference of the angle."""
    disc: Literal["inscribed", "circumscribed"] = "inscribed"
    """Rotated region: the disc inscribed in the patch, or the disc around it with the outside masked."""
    zero: Literal["alike", "dipole"] = "alike"
    """Zero of the exactly inferred angle. alike: similar patterns get the same orientation, suitable for patches of objects.
    dipole: the angle is the direction of the brighter side of the pattern, as in a centre of mass, suitable for diffraction patterns."""


class TranslationConfig(Config):
    """Shift of the pattern inside the patch."""

    kind: Literal["translation"] = "translation"
    prior_sd: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Sd of the prior of each component, as a fraction of half the longer side of the patch."""
    finer: Annotated[int, Field(ge=1, le=8)] = 2
    """Number of shifts per pixel and axis for exact inference of the shift."""


class ScalingConfig(Config):
    """Magnification about the centre of the pattern."""

    kind: Literal["scaling"] = "scaling"
    prior_sd: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Sd of the prior of the logarithm of the magnification."""


class ShearingConfig(Config):
    """Shear along x, applied before the rotation."""

    kind: Literal["shearing"] = "shearing"
    prior_sd: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Sd of the prior of the shear angle [rad]."""


class SearchConfig(Config):
    """Refined inference of the pose: all angles are screened, the best proposals evaluated in full and improved by Gauss-Newton steps."""

    n_angles: Annotated[int, Field(ge=8, le=360)] = 32
    """Number of angles among which a small rotation-equivariant network proposes; it is trained together with the model on the poses that the search selects."""
    scanned: Annotated[int, Field(ge=1, le=16)] = 1
    """Number of proposed angles per patch that are evaluated in full; the other poses start from one proposal."""
    explored: Annotated[int, Field(ge=1, le=16)] = 3
    """The same number during training, where proposals are drawn with their probabilities."""
    restarts: Annotated[int, Field(ge=1, le=16)] = 1
    """Number of evaluated poses that are improved by Gauss-Newton steps."""
    steps: Annotated[int, Field(ge=1, le=100)] = 1
    """Gauss-Newton steps per pose; a step that lowers the likelihood is rejected."""
    training: bool = True
    """Whether the pose is also searched during training; otherwise training patches are assumed to be upright."""


class DenseEncoder(Config):
    """Fully connected layers over all pixels."""

    kind: Literal["dense"] = "dense"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""


class ConvEncoder(Config):
    """Convolutions over the image."""

    kind: Literal["conv"] = "conv"
    channels: Widths = (16, 32, 64)
    """Channels of the convolutional layers; each layer halves the image."""
    pooled: bool = False
    """Whether the last layer is reduced to its mean and rms over the image, which makes the content nearly independent of a shift; only two layers then halve the image."""


class PolarEncoder(Config):
    """Circular convolutions over the polar image, pooled over the angle; the content is invariant to rotation."""

    kind: Literal["polar"] = "polar"
    channels: Widths = (32, 64, 64)
    """Channels of the circular convolutions; the first two layers halve the number of angles."""


class SpatialDecoder(Config):
    """Network from coordinates and content to intensity."""

    kind: Literal["spatial"] = "spatial"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""
    skip: bool = False
    """Whether the latent variables enter every layer instead of the first one."""


class PolarDecoder(Config):
    """Radial functions times angular harmonics; the fast choice for exact rotation."""

    kind: Literal["polar"] = "polar"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""
    skip: bool = False
    """Whether the latent variables enter every layer instead of the first one."""
    harmonics: Annotated[int, Field(ge=1, le=128)] = 12
    """Highest angular frequency [1/turn]."""


class DenseDecoder(Config):
    """Fully connected layers to all pixels; for families without pose, or with an exactly inferred shift."""

    kind: Literal["dense"] = "dense"
    hidden: Widths = (128, 128)
    """Widths of the hidden layers."""
    skip: bool = False
    """Whether the latent variables enter every layer instead of the first one."""


class ConvDecoder(Config):
    """Convolutions that upsample a coarse image."""

    kind: Literal["conv"] = "conv"
    channels: Widths = (64, 32, 16)
    """Channels of the convolutional layers; each layer doubles the image."""


class CanvasDecoder(Config):
    """An image larger than the patch, decoded once and sampled at the coordinates of every pose."""

    kind: Literal["canvas"] = "canvas"
    layers: Annotated[DenseDecoder | ConvDecoder, Field(discriminator="kind")] = DenseDecoder()
    """Decoder of the image."""


class GaussianNoise(Config):
    """Normal noise with the same sd for all pixels of a channel."""

    kind: Literal["gaussian"] = "gaussian"
    sd: Annotated[float, Field(gt=0)] | None = None
    """Sd of the noise in units of the channel's sd; learned when empty."""
    plane: Annotated[bool, Field(exclude_if=lambda plane: not plane)] = False
    """Whether every patch has a plane of random slope besides (uneven illumination, thickness, tilt), whose sd is learned."""
    foreign: Annotated[Literal["keep", "mask"], Field(exclude_if=lambda value: value == "keep")] = (
        "keep"
    )
    """Pixels beside the object of a patch that are unlike those of all other patches, such as a second object: kept, or masked (for
    families with rotation)."""


class BernoulliNoise(Config):
    """Bernoulli likelihood of pixels in [0, 1]; other values are refused."""

    kind: Literal["bernoulli"] = "bernoulli"


class ContinuousBernoulliNoise(Config):
    """Grey values in [0, 1] with a normalised density; other values are refused."""

    kind: Literal["continuous-bernoulli"] = "continuous-bernoulli"


class PoissonNoise(Config):
    """Counts of single electrons or photons; fractions and negative values are refused."""

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


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, int) else value


class ModelConfig(Config):
    """A variational autoencoder; the family chooses every setting that is empty (see `invae.models.families`)."""

    kind: Annotated[Literal["vae"], Field(exclude_if=lambda kind: kind == "vae")] = "vae"
    """Kind of model; a VAE is the default and is written without it."""
    family: Family = "rtVAE"
    """Letters before VAE: r rotation, t shift, j classes, ss classes with some labels, ssreg a variable known for some patches, c condition."""
    poses: tuple[PoseName, ...] | None = None
    """Poses; replaces those of the family."""
    latent_dim: Annotated[int, Field(ge=1, le=64)] = 2
    """Number of content variables."""
    n_classes: Annotated[
        tuple[Annotated[int, Field(ge=2, le=64)], ...], BeforeValidator(_as_tuple)
    ] = ()
    """Number of classes, for the families j… and ss…; several numbers make several discrete latent variables."""
    class_inference: ClassInference = "exact"
    """Inference of the class: enumeration of all classes (exact), or samples from an encoder (gumbel: Gumbel-softmax)."""
    temperature: Annotated[float, Field(gt=0, le=5)] = 0.67
    """Temperature of the Gumbel-softmax; at lower values samples are closer to a single class."""
    n_conditions: Annotated[int, Field(ge=0, le=64)] = 0
    """Number of condition values per patch for the families c…"""
    n_targets: Annotated[int, Field(ge=0, le=16)] = 0
    """Number of continuous targets, known for some patches, for the families ssreg…"""
    pose_inference: PoseInference | None = None
    """amortised: by an encoder; exact: over all angles, or over all shifts in families without rotation; refined: by a search for every patch."""
    rotation: RotationConfig = RotationConfig()
    translation: TranslationConfig = TranslationConfig()
    scaling: ScalingConfig = ScalingConfig()
    shearing: ShearingConfig = ShearingConfig()
    pose_priors: Mapping[PoseName, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, exclude_if=lambda sds: not sds
    )
    """Sd of the prior of each pose without a section of its own, by name, in the unit of the pose."""
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

    @model_validator(mode="after")
    def _priors_have_one_place(self) -> Self:
        for option in self.pose_priors:
            if (section := poses()[option].placed.section) is not None:
                raise ValueError(f"pose_priors has {option!r}; set {section}.prior_sd instead")
        return self

    @property
    def masks_foreign(self) -> bool:
        """Whether foreign objects are looked for and masked."""
        return isinstance(self.likelihood, GaussianNoise) and self.likelihood.foreign == "mask"

    def prior_sd(self, option: str) -> float | None:
        """Sd of the prior of a pose in the model's own unit; None is uniform over the circle.

        Args:
            option: Its name in the configuration.
        """
        pose = poses()[option].placed
        if pose.section is not None:
            return getattr(self, pose.section).prior_sd
        return self.pose_priors.get(option, pose.prior_sd)


def kind_of(model: Any) -> Any:
    """The tag of a model's configuration; a VAE is the default."""
    return model.get("kind", "vae") if isinstance(model, Mapping) else getattr(model, "kind", "vae")


AnyModelConfig = Annotated[
    Annotated[ModelConfig, Tag("vae")] | Annotated[PairsModelConfig, Tag("pairs")],
    Discriminator(kind_of),
]
"""All kinds of models, distinguished by `kind`; a new kind is one more member of this union, and a row in `model_kinds`."""
