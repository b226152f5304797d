"""Settings of the network that detects atoms: its size, its training images and the length of its training."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Range = tuple[Annotated[float, Field(gt=0, le=1e4)], Annotated[float, Field(gt=0, le=1e4)]]


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
        for name in ("spacing", "atom_sd", "electrons", "background"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(
                    f"{name} runs from {low:g} to {high:g}; give the smaller value first"
                )
        return self


class AtomNetworkConfig(Config):
    """The network that detects atoms, and its training on simulated images."""

    images: AtomVarietyConfig = AtomVarietyConfig()
    width: Annotated[int, Field(ge=4, le=256)] = 16
    """Channels at half the resolution; twice as many at a quarter and at an eighth."""
    mark_sd: Annotated[float, Field(gt=0.3, le=10)] = 1.5
    """Sd of the target Gaussian on an atom [px]."""
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
