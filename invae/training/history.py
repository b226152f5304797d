"""The history of a training, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """The result of one pass over the training items; means per item [nats], by term."""

    epoch: int
    training: Mapping[str, float]
    """The terms of the learner: of a VAE `elbo`, `log_likelihood`, `kl_<latent>`, `capacity_<latent>`, `penalty_<name>`, …"""
    held_out: Mapping[str, float]
    """The same on held-out items, after the epoch; empty if there are none."""
    learning_rate: float
    best: bool
    """Whether this is the best epoch so far, of those that count (see `invae.training.fit.Fit.epochs`)."""
    angles: Sequence[int] = ()
    """Training sites by their angle, in equal bins from −π to π; empty for a model without angle."""
    seconds: float = field(default=0.0, compare=False)
    """Duration, validation included [s]."""
    patches_per_second: float = field(default=0.0, compare=False)
    """Speed of training alone."""
    measure: str = "elbo"
    """Name of the term by which epochs are compared."""

    @property
    def score(self) -> float:
        """The held-out value of the measure, or the training value where nothing is held out."""
        return (self.held_out or self.training)[self.measure]

    def to_json(self) -> dict[str, Any]:
        """All but the times, so that equal runs give equal histories; the measure only where it is not the ELBO."""
        values = asdict(self)
        del values["seconds"], values["patches_per_second"]
        if self.measure == Epoch.measure:
            del values["measure"]
        return values
