"""Settings of the networks that mark images: size, training images and length of the training."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Range = tuple[Annotated[float, Field(gt=0, le=1e4)], Annotated[float, Field(gt=0, le=1e4)]]
Share = Annotated[float, Field(ge=0, le=1)]


def _refuse_descending(config: Config, names: tuple[str, ...]) -> None:
    for name in names:
        low, high = getattr(config, name)
        if low > high:
            raise ValueError(f"{name} runs from {low:g} to {high:g}; give the smaller value first")


class AtomVarietyConfig(Config):
    """Variation of the simulated images of atoms; ranges are sampled log-uniformly, limits uniformly from 0."""

    size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)] = 128
    """Side of an image [px]."""
    spacing: Range = (6.0, 28.0)
    """Distance of neighbouring sites [px]."""
    atom_sd: Range = (0.12, 0.28)
    """Sd of the image of an atom, as a fraction of the spacing."""
    electrons: Range = (10.0, 1000.0)
    """Total number of electrons of the faintest atom."""
    background: Range = (0.05, 2.0)
    """Counts between atoms, relative to those at the centre of the faintest atom."""
    uneven: Annotated[float, Field(ge=0, le=2)] = 0.6
    """Limit of the relative sd of the background."""
    disorder: Annotated[float, Field(ge=0, le=0.3)] = 0.1
    """Limit of the sd of atoms about their sites along one axis, as a fraction of the spacing."""
    vacancies: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Limit of the fraction of sites without atom; most images have far fewer."""
    doped: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Limit of the fraction of sites with a heavier atom."""
    drift: Annotated[float, Field(ge=0, le=20)] = 3.0
    """Limit of the drift of the scan during an image [px]."""
    jitter: Annotated[float, Field(ge=0, le=5)] = 0.6
    """Limit of the sd of the displacement of a line along x [px]."""

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        _refuse_descending(self, ("spacing", "atom_sd", "electrons", "background"))
        return self


class WallVarietyConfig(Config):
    """Variation of the simulated PFM frames; ranges are sampled log-uniformly, limits uniformly from 0."""

    size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)] = 96
    """Side of a frame [px]."""
    domain_size: Range = (6.0, 45.0)
    """Width of domains, or their radius [px]."""
    lamella_width: Range = (3.0, 14.0)
    """Width of lamellae [px]."""
    lamellae: Share = 0.65
    """Share of frames with lamellae."""
    grains: Share = 0.45
    """Share of frames whose response differs from grain to grain."""
    dust: Share = 0.35
    """Share of frames with spots of another response."""
    faults: Share = 0.45
    """Share of frames with each fault of lines: gain, phase drift, jumps, scars."""
    snr: Range = (2.0, 40.0)
    """Response of a domain relative to the sd of the noise in each quadrature."""
    tip_sd: Range = (0.3, 2.3)
    """Sd of the Gaussian blur by the tip [px]."""
    background: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Limit of the constant response, relative to that of a domain."""
    line_gain: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Limit of the relative sd of the gain of scan lines."""
    line_jumps: Annotated[float, Field(ge=0, le=5)] = 0.6
    """Limit of the sd of the displacement of a line along x [px]."""
    phase_drift: Annotated[float, Field(ge=0, le=3)] = 0.3
    """Limit of the sd of the phase of scan lines [rad]."""

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        _refuse_descending(self, ("domain_size", "lamella_width", "snr", "tip_sd"))
        return self


class NetworkConfig(Config):
    """A network that marks images, and its training on simulated ones."""

    width: Annotated[int, Field(ge=4, le=256)] = 16
    """Channels at half the resolution; twice as many at a quarter, three times as many at an eighth."""
    mark_sd: Annotated[float, Field(gt=0.3, le=10)] = 1.5
    """Sd of the target Gaussian on a mark [px]."""
    n_steps: Annotated[int, Field(ge=1, le=10**6)] = 900
    """Number of training steps, each on new images."""
    steps_per_epoch: Annotated[int, Field(ge=1, le=10**6)] = 30
    """Number of steps after which the network is validated on held-out images; the best epoch's weights are kept."""
    patience: Annotated[int, Field(ge=1)] = 10
    """Number of epochs without a better held-out score after which the training stops."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8
    """Number of images per step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-2
    """Highest learning rate of Adam; it rises over the first twentieth of the steps and then falls to zero as a cosine."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 20.0
    """Least time between checkpoints [s]."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of all random numbers."""


class AtomNetworkConfig(NetworkConfig):
    """The network that detects atoms, and its training on simulated images."""

    images: AtomVarietyConfig = AtomVarietyConfig()


class WallNetworkConfig(NetworkConfig):
    """The networks that mark domain walls, and their training on simulated frames."""

    images: WallVarietyConfig = WallVarietyConfig()
    fine_width: Annotated[int, Field(ge=1, le=64)] = 8
    """Channels at full resolution."""
    mark_sd: Annotated[float, Field(gt=0.3, le=10)] = 1.0
    """Sd of the target Gaussian on a 180-degree wall [px]."""
    n_members: Annotated[int, Field(ge=2, le=16)] = 3
    """Number of networks that differ by their seed; their spread measures the uncertainty."""
    n_steps: Annotated[int, Field(ge=1, le=10**6)] = 1500
    """Number of training steps of each member, each on new frames."""
    patience: Annotated[int, Field(ge=1)] = 50
    """Number of epochs without a better held-out score after which the training of a member stops."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 6e-3
    """Highest learning rate of Adam; it rises over the first twentieth of the steps and then falls to zero as a cosine."""
