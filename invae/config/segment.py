"""The network that marks atoms: how large it is, what it is trained on, and for how long."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Range = tuple[Annotated[float, Field(gt=0, le=1e4)], Annotated[float, Field(gt=0, le=1e4)]]


class AtomVarietyConfig(Config):
    """What simulated images of atoms vary in; ranges are drawn from evenly in the logarithm, limits evenly from 0."""

    size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)] = 128
    """Side of an image [px]."""
    spacing: Range = (6.0, 28.0)
    """Distance of neighbouring sites [px]."""
    atom_sd: Range = (0.12, 0.28)
    """Sd of the image of an atom, as a share of the spacing."""
    electrons: Range = (10.0, 1000.0)
    """Electrons of the faintest atom, all together."""
    background: Range = (0.05, 2.0)
    """Counts between the atoms, as a share of those in the middle of the faintest atom."""
    uneven: Annotated[float, Field(ge=0, le=2)] = 0.6
    """Limit of the sd of the background, as a share of it."""
    disorder: Annotated[float, Field(ge=0, le=0.3)] = 0.1
    """Limit of the sd of atoms about their sites along an axis, as a share of the spacing."""
    vacancies: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Limit of the share of sites without atom; most images have far fewer."""
    doped: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Limit of the share of sites with a heavier atom."""
    drift: Annotated[float, Field(ge=0, le=20)] = 3.0
    """Limit of the way of the scan during an image [px]."""
    jitter: Annotated[float, Field(ge=0, le=5)] = 0.6
    """Limit of the sd of the place of a line along x [px]."""

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        for name in ("spacing", "atom_sd", "electrons", "background"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} begins with {low:g}, above its end {high:g}")
        return self


class AtomNetworkConfig(Config):
    """A network that marks atoms, and its training on simulated images."""

    images: AtomVarietyConfig = AtomVarietyConfig()
    width: Annotated[int, Field(ge=4, le=256)] = 16
    """Channels at half the resolution; twice as many at a quarter and at an eighth."""
    mark_sd: Annotated[float, Field(gt=0.3, le=10)] = 1.5
    """Sd of the mark that the network is to leave on an atom [px]."""
    n_steps: Annotated[int, Field(ge=1, le=10**6)] = 900
    """Steps of the training, each on images never seen before."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8
    """Images in a step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-2
    """Highest learning rate of Adam; it rises over a twentieth of the steps and falls to zero as a cosine."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Everything random follows from this."""
