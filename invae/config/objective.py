"""What is minimised beside the plain ELBO: schedules, capacities, classes kept alive, labels, penalties.

All times are shares of the training (0 at its beginning, 1 at its end), so that a longer training is the same one, slower.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Option = bool | int | float | str


class ConstantSchedule(Config):
    """The same weight throughout."""

    kind: Literal["constant"] = "constant"


class LinearSchedule(Config):
    """From another weight straight to the full one, which then stays."""

    kind: Literal["linear"] = "linear"
    initial: Weight = 0.0
    """Factor on beta at the beginning; above 1 the content is held back at first."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the training after which the factor is 1."""


class CyclicSchedule(Config):
    """Several times from 0 straight to the full weight, which then stays for the rest of the cycle."""

    kind: Literal["cyclic"] = "cyclic"
    cycles: Annotated[int, Field(ge=1, le=100)] = 4
    """Number of cycles."""
    ramp: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a cycle in which the factor rises."""


ScheduleConfig = Annotated[
    ConstantSchedule | LinearSchedule | CyclicSchedule, Field(discriminator="kind")
]


class CapacityConfig(Config):
    """Information that a latent is made to carry: a distance to it costs as much above as below."""

    maximum: Annotated[float, Field(gt=0)]
    """KL divergence to reach [nats per patch]."""
    gamma: Annotated[float, Field(gt=0)] = 10.0
    """Cost of every nat that the KL divergence is away from the capacity."""
    start: Share = 0.0
    """Share of the training at which the capacity begins to rise from 0."""
    end: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the training at which it has reached its maximum."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start {self.start:g} is not before end {self.end:g}; swap them")
        return self


class PenaltyConfig(Config):
    """One term of your own: a plain function of latents, reconstruction and what is known of the patches."""

    function: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?$")]
    """`follow`, `smooth`, or `module:function`: training imports and runs that code, so use only configurations you trust."""
    weight: Weight = 1.0
    """Factor on what the function returns, the mean over patches [nats per patch]."""
    options: Mapping[str, Option] = Field(default_factory=dict)
    """Keyword arguments of the function."""


class ObjectiveConfig(Config):
    """Minus the ELBO with weights, and what is added to it; as it stands, minus the ELBO itself."""

    beta_schedule: ScheduleConfig = ConstantSchedule()
    """Factor on the model's `beta` over the training."""
    content_capacity: CapacityConfig | None = None
    """Holds the content's KL divergence to a rising target, instead of weighing it by beta."""
    class_capacity: CapacityConfig | None = None
    """The same for the classes; at most the sum of log n_classes, which is one certain class for every patch."""
    class_entropy: Weight = 0.0
    """Weight of the entropy of the classes' mean probabilities over a batch [nats per patch]: keeps classes from dying out."""
    classification: Weight | None = None
    """Weight of the cross-entropy of known labels, mean over the labelled patches of a batch; 1 when empty."""
    regression: Weight | None = None
    """Weight of minus the log posterior density of known targets, mean over the patches where they are known; 1 when empty."""
    penalties: tuple[PenaltyConfig, ...] = ()
    """Further terms, added to what is minimised."""

    def refuse_contradictions(self, *, beta: float, n_classes: tuple[int, ...]) -> None:
        """Stop weights that act on nothing, and a capacity that no classes can have; no classes are classes not yet known.

        Raises:
            ValueError: With both values and the remedy.
        """
        if self.content_capacity is not None:
            if beta != 1:
                raise ValueError(f"beta {beta:g} does nothing with content_capacity; leave one out")
            if self.beta_schedule.kind != "constant":
                raise ValueError(
                    f"beta_schedule {self.beta_schedule.kind!r} does nothing with content_capacity; "
                    "leave one out"
                )
        most = sum(math.log(n) for n in n_classes)
        if (
            self.class_capacity is not None
            and n_classes
            and self.class_capacity.maximum > most + 1e-6
        ):
            raise ValueError(
                f"class_capacity.maximum {self.class_capacity.maximum:g} is more than the "
                f"{most:.4f} nats that n_classes {n_classes} can carry; lower it"
            )
