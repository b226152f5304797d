"""Settings of models of pairs: an image patch and a spectrum of the same site."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

PairFamily = Literal["im2spec", "spec2im", "separated", "linked", "dual", "dual-poe"]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class HeteroscedasticNoise(Config):
    """Normal noise whose sd the model infers for every channel of every spectrum."""

    kind: Literal["heteroscedastic"] = "heteroscedastic"
    beta: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of a channel in the training: its sd to this power, twice. 0 is the plain likelihood, 1 the squared error; in between a
    channel that is hard to predict keeps its influence. Source: Seitzer et al. 2022, arXiv:2203.09168."""


class PoissonSpectrum(Config):
    """Counts; the model infers their rate."""

    kind: Literal["poisson"] = "poisson"


class MixtureNoise(Config):
    """Several possible spectra of one image, each with its probability and its own sd, for causes that the image does not show."""

    kind: Literal["mixture"] = "mixture"
    n_components: Annotated[int, Field(ge=2, le=32)] = 4
    """Number of possible spectra."""


SpectrumNoiseConfig = Annotated[
    HeteroscedasticNoise | PoissonSpectrum | MixtureNoise, Field(discriminator="kind")
]


class ImageSideConfig(Config):
    """Encoder of the image: circular convolutions over rings about the site."""

    channels: Widths = (64, 64, 64)
    """Channels of the convolutions."""
    n_angles: Annotated[int, Field(ge=16, le=256, multiple_of=4)] = 32
    """Number of directions on a ring."""
    invariance: Literal["rotation-mirror", "rotation", "none"] = "rotation-mirror"
    """What the latent variables do not depend on: rotations and mirror images, rotations alone, or nothing. An energy-loss spectrum
    measured along the normal of the specimen does not change when its surroundings are rotated or mirrored."""
    disc: Annotated[float, Field(gt=0, le=1.5)] = 1.4
    """Radius of the region that is used, in half sides of the patch. Beyond 1 only the corners are seen; outside the patch stands its mean."""


class PairsModelConfig(Config):
    """A model of image and spectrum."""

    kind: Literal["pairs"] = "pairs"
    family: PairFamily = "im2spec"
    """im2spec: the spectrum from the image. spec2im: images from the spectrum. separated: one autoencoder each, and a linear map between their
    latent variables fitted afterwards. linked: the same, with the map in the training. dual: latent variables that image and spectrum
    share, and some of the image alone. dual-poe: one set of latent variables, inferred from either or from both."""
    latent_dim: Annotated[int, Field(ge=1, le=128)] = 16
    """Number of latent variables (of each signal, in separated and linked); those shared in dual."""
    private_dim: Annotated[int, Field(ge=1, le=128)] = 8
    """Number of latent variables of the image alone (dual, spec2im)."""
    beta: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the KL divergence; at 0 the encoder of im2spec is deterministic."""
    image: ImageSideConfig = ImageSideConfig()
    spectrum_hidden: Widths = (128, 128)
    """Widths of the hidden layers of the encoder of spectra."""
    hidden: Widths = (128,)
    """Widths of the hidden layers of the decoder of spectra."""
    image_hidden: Widths = (160, 160)
    """Widths of the hidden layers of the decoder of images."""
    likelihood: SpectrumNoiseConfig = HeteroscedasticNoise()
    """Noise of the spectra."""
    link: Annotated[float, Field(ge=0)] = 10.0
    """Weight of the mean absolute difference of linked latent variables (linked)."""
    agreement: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the KL divergences between what image and spectrum say of the shared latent variables (dual)."""
    contrast: Annotated[float, Field(ge=0)] = 20.0
    """Weight of telling the right partner from the others of a batch (dual)."""
    n_members: Annotated[int, Field(ge=0, le=32)] = 2
    """Networks that learn from all pairs; with 0 the Gaussian process of im2spec answers alone."""
    n_folds: Annotated[int, Field(ge=2, le=50)] = 5
    """Parts of the pairs that are held out in turn, each with a network of its own."""
    process: bool = True
    """Whether a Gaussian process on invariant features predicts spectra too: together with the networks (im2spec with the default noise),
    or to judge images that are made for a spectrum (spec2im)."""
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of observations inside the predicted intervals."""

    @property
    def uses_process(self) -> bool:
        """Whether a Gaussian process predicts spectra."""
        plain = isinstance(self.likelihood, HeteroscedasticNoise)
        return self.process and self.family in ("im2spec", "spec2im") and plain

    @property
    def networks_predict(self) -> bool:
        """Whether the networks predict spectra of images."""
        return self.family != "spec2im"

    @property
    def has_partners(self) -> bool:
        """Whether both signals are seen and can be compared in one latent space."""
        return self.family not in ("im2spec", "spec2im")

    @model_validator(mode="after")
    def _only_im2spec_is_deterministic(self) -> Self:
        if self.beta == 0 and self.family != "im2spec":
            raise ValueError(f"{self.family} needs a positive beta; 1 is the evidence lower bound")
        return self

    @model_validator(mode="after")
    def _someone_answers(self) -> Self:
        if not self.n_members and not (self.family == "im2spec" and self.uses_process):
            raise ValueError("there is no member; set n_members to 1 or more")
        return self
