"""Settings of the objective beyond the plain ELBO: schedules, capacities, class balance, labels, penalties.

All times are fractions of the training (0 at its beginning, 1 at its end), so that they do not depend on its length.
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
    """The same weight throughout the training."""

    kind: Literal["constant"] = "constant"


class LinearSchedule(Config):
    """Linear change from an initial weight to the full weight, which is then kept."""

    kind: Literal["linear"] = "linear"
    initial: Weight = 0.0
    """Initial factor on beta; values above 1 suppress the content at first."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Fraction of the training after which the factor is 1."""


class CyclicSchedule(Config):
    """Repeated linear rise from 0 to the full weight, which is then kept for the rest of the cycle."""

    kind: Literal["cyclic"] = "cyclic"
    cycles: Annotated[int, Field(ge=1, le=100)] = 4
    """Number of cycles."""
    ramp: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Fraction of a cycle in which the factor rises."""


ScheduleConfig = Annotated[
    ConstantSchedule | LinearSchedule | CyclicSchedule, Field(discriminator="kind")
]


class CapacityConfig(Config):
    """Target for the information in a latent variable; deviations above and below cost the same."""

    maximum: Annotated[float, Field(gt=0)]
    """Target of the KL divergence [nats per patch]."""
    gamma: Annotated[float, Field(gt=0)] = 10.0
    """Cost per nat of deviation of the KL divergence from the capacity."""
    start: Share = 0.0
    """Fraction of the training at which the capacity begins to rise from 0."""
    end: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Fraction of the training at which the capacity reaches its maximum."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start {self.start:g} must be before end {self.end:g}; swap them")
        return self


class PenaltyConfig(Config):
    """One additional term: a plain function of latent variables, reconstruction and annotations of the patches."""

    function: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?$")]
    """`follow`, `smooth`, or `module:function`. Training imports and runs that code: use only configurations you trust."""
    weight: Weight = 1.0
    """Factor on the value of the function, averaged over patches [nats per patch]."""
    options: Mapping[str, Option] = Field(default_factory=dict)
    """Keyword arguments of the function."""


class ObjectiveConfig(Config):
    """Negative ELBO with weights and additional terms; the default is the negative ELBO itself."""

    beta_schedule: ScheduleConfig = ConstantSchedule()
    """Factor on the model's `beta` during the training."""
    content_capacity: CapacityConfig | None = None
    """Target for the KL divergence of the content; replaces the weight beta."""
    class_capacity: CapacityConfig | None = None
    """Target for the KL divergence of the classes; at most the sum of log n_classes, which means one certain class per patch."""
    class_entropy: Weight = 0.0
    """Weight of the entropy of the mean class probabilities of a batch [nats per patch]; it keeps all classes in use."""
    classification: Weight | None = None
    """Weight of the cross-entropy of known labels, averaged over the labelled patches of a batch; 1 when empty."""
    regression: Weight | None = None
    """Weight of the negative log posterior density of known targets, averaged over the patches that have them; 1 when empty."""
    penalties: tuple[PenaltyConfig, ...] = ()
    """Additional terms of the objective."""

    def refuse_contradictions(self, *, beta: float, n_classes: tuple[int, ...]) -> None:
        """Refuse weights without effect, and a capacity that the classes cannot reach; empty `n_classes` means not yet known.

        Raises:
            ValueError: with both values and the remedy.
        """
        if self.content_capacity is not None:
            if beta != 1:
                raise ValueError(
                    f"beta {beta:g} has no effect with content_capacity; leave one out"
                )
            if self.beta_schedule.kind != "constant":
                raise ValueError(
                    f"beta_schedule {self.beta_schedule.kind!r} has no effect with content_capacity; "
                    "leave one out"
                )
        most = sum(math.log(n) for n in n_classes)
        if (
            self.class_capacity is not None
            and n_classes
            and self.class_capacity.maximum > most + 1e-6
        ):
            raise ValueError(
                f"class_capacity.maximum {self.class_capacity.maximum:g} exceeds the {most:.4f} nats "
                f"that n_classes {n_classes} can carry; lower it"
            )
