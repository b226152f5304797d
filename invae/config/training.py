"""Settings of the training."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.family import PoseName
from invae.config.schema import Config

ClassStart = Literal["groups", "neighbours", "harmonics", "fresh"]
LEAST_PIECE = 64
"""Fewest sites of a piece of a batch: smaller ones cost more than they gain."""


class TrainingConfig(Config):
    """Training: seeded mini-batches from the store, held-out blocks, early stopping, checkpoints."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """Largest number of passes over the training sites; 60 when empty, or more for small sets, in which 60 make fewer than 1,500 steps."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Number of sites per step; a smaller set is one batch."""
    pieces: Annotated[int, Field(ge=1, le=64, exclude_if=lambda pieces: pieces == 1)] = 1
    """Number of pieces of a batch whose gradients are computed in parallel and added up in order, for large batches on a processor with
    several cores. Each has at least 64 sites. Values follow from it, and not from the number of cores."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 3e-3
    """Highest learning rate of Adam."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate during the training: constant, or warm-up followed by a cosine to zero."""
    gradient_clip: Annotated[float, Field(gt=0)] = 10.0
    """Largest norm of the gradient, relative to its running median."""
    held_out: Annotated[float, Field(ge=0, lt=0.9)] = 0.15
    """Fraction of space-time blocks held out for validation; patches that overlap them are not used for training."""
    patience: Annotated[int, Field(ge=1)] = 15
    """Epochs without a better held-out ELBO before the training stops; counted once the schedules of the objective have ended."""
    averaging: Annotated[float, Field(ge=0, lt=1, exclude_if=lambda decay: decay == 0)] = 0.0
    """Decay per step of a running mean of the weights, which then is the model; 0 keeps the weights of the last step."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the networks; auto is bfloat16 on a GPU that supports it, otherwise float32."""
    compile: bool = False
    """Whether the model is compiled with torch.compile; worthwhile on a GPU for long trainings."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 20.0
    """Least time between checkpoints [s]."""
    max_patches: Annotated[int, Field(ge=1)] | None = None
    """Largest number of training sites, spread over the recording; all when empty."""
    angle_start: Literal["aligned", "free"] = "aligned"
    """Start of the training with exact angles: patches aligned with each other, or unaligned."""
    class_start: ClassStart = "groups"
    """Start of the classes: groups in the patterns of a model without classes, groups of neighbours among patches that this model turns
    upright, groups of the angular harmonics of the patches (where kinds are a continuum, as in 4D-STEM), or random weights."""
    start_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Fraction of the epochs used for the model without classes."""
    surplus_classes: Annotated[
        Literal["join", "keep"], Field(exclude_if=lambda value: value == "join")
    ] = "join"
    """Classes without a valley to another one in the patterns of the model without classes: joined with it before the classes are
    trained (at least two are left), or kept."""
    start_poses: tuple[PoseName, ...] | None = None
    """Poses of the model without classes, in which patches of one class may differ; those of the model when empty."""

    @model_validator(mode="after")
    def _pieces_are_large(self) -> Self:
        least = self.pieces * LEAST_PIECE
        if self.pieces > 1 and self.batch_size < least:
            raise ValueError(
                f"{self.pieces} pieces of at least {LEAST_PIECE} sites need a batch of {least}, and batch_size is "
                f"{self.batch_size}; set batch_size={least} or pieces={max(1, self.batch_size // LEAST_PIECE)}"
            )
        return self
