"""The numbers from which a verdict follows. They are measured once, at the end of a training, and stored with the model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class StartPatterns:
    """Patterns of some sites by a model without classes, in which the classes were found."""

    sites: Int[np.ndarray, " known"]
    """Ascending, of the training set."""
    patterns: Float[np.ndarray, "known component"]
    """Upright, centred patterns in a few principal components."""
    continuum: bool = False
    """Whether the classes were to divide a continuum (`training.class_start: harmonics`)."""


@dataclass(frozen=True)
class ClassSymptoms:
    """Numbers on the classes of a model."""

    sizes: tuple[int, ...]
    """Training sites by class, of those that were looked at."""
    n_asked: int
    """Number of classes in the configuration."""
    labelled: bool = False
    """Whether the classes were given by labels."""
    between: float | None = None
    """Shallowest valley between two classes, 0–1; none where no model without classes was trained."""
    pair: tuple[int, int] | None = None
    """The classes beside it."""
    inside: float | None = None
    """Deepest valley inside a class, 0–1."""
    split: int | None = None
    """The class around it."""
    neighbours: float | None = None
    """How often neighbours by their patches alone are in one class: 0 by chance, 1 always."""
    continuum: bool = False
    """Whether the classes were to divide a continuum."""


@dataclass(frozen=True)
class PositionSymptoms:
    """Numbers on patches that are shifted under a model without shift."""

    spread: float
    """Sd of the centre of mass [pixel]."""
    side: int
    """Of a patch [pixel]."""
    content: float
    """Largest share of the variance of a content dimension that follows from the position of the centre of mass."""
    classes: float
    """Share of the variance of the position that lies between the classes."""
    remedy: str
    """The family that has the shift too."""


@dataclass(frozen=True)
class ForeignSymptoms:
    """Numbers on pixels beside the object of a patch that are unlike those of all patches."""

    images: float
    """Share of the patches with more than a few such pixels."""
    pixels: float
    """Share of such pixels in these patches."""
    masked: bool
    """Whether the model masks them."""


@dataclass(frozen=True)
class Symptoms:
    """All numbers of one training; errors are root mean squares over the pixels that the decoder describes."""

    n_training: int
    n_held_out: int
    n_numbers: int
    """Numbers by which the model describes a patch: content, pose and class."""
    n_epochs: int
    best_epoch: int
    """Counted from 1."""
    elbo_training: float
    """Of the best epoch [nats per patch]."""
    elbo_held_out: float | None
    error_training: float
    error_held_out: float | None
    """None, as all that is held out, if nothing was held out."""
    error_mean: float | None
    """Of the mean training patch, on held-out sites."""
    error_pca: float | None
    """Of as many principal components of the training sites, on held-out sites."""
    kl_content: tuple[float, ...] = ()
    """Mean divergence of every content dimension from its prior [nats]; empty for models without one."""
    noise_ratio: float | None = None
    """Held-out mean square residual relative to the variance of the noise that the model has learned."""
    sd_ratio: Mapping[str, float] | None = None
    """Factor by latent variable by which its stated sd must be multiplied to cover 95 % of another draw of the noise."""
    classes: ClassSymptoms | None = None
    position: PositionSymptoms | None = None
    foreign: ForeignSymptoms | None = None
    undescribed: float | None = None
    """Share of the patches with a part that the model does not describe."""
    typical_error: float | None = None
    """Median over sites, held-out ones if there are some, in the unit of the patches."""
    error_here: float | None = None
    """Median error on a recording that the model was not trained on, relative to its held-out error."""

    def card(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        return asdict(self)


def symptoms_from(card: Mapping[str, Any]) -> Symptoms:
    """The numbers of a card; unknown names of later versions are left out.

    Raises:
        TypeError, KeyError: A number is missing.
    """
    parts = {"classes": ClassSymptoms, "position": PositionSymptoms, "foreign": ForeignSymptoms}
    values = _known(Symptoms, card)
    for name, kind in parts.items():
        if (part := values.get(name)) is not None:
            values[name] = kind(**_known(kind, part))
    return Symptoms(**values)


def _known(kind: type, card: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a kind of record has; lists become tuples."""
    names = [field.name for field in fields(kind)]
    return {name: _as_tuple(card[name]) for name in names if name in card}


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
