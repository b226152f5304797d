"""How a model is fitted."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.model import PoseName
from invae.config.schema import Config


class TrainingConfig(Config):
    """The one loop: seeded mini-batches from the store, held-out blocks, early stop, checkpoints."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """Most passes over the training sites; when empty 60, and more where the sites are so few that 60 make under 1,500 steps."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Sites per step; a set smaller than this is one batch."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 3e-3
    """Peak step of Adam."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over training: constant, or warm-up then cosine to zero."""
    gradient_clip: Annotated[float, Field(gt=0)] = 10.0
    """Largest norm of the gradient, relative to the running median norm."""
    held_out: Annotated[float, Field(ge=0, lt=0.9)] = 0.15
    """Share of space-time blocks kept for validation; patches that overlap them are not trained on."""
    patience: Annotated[int, Field(ge=1)] = 15
    """Epochs without a better held-out ELBO before training stops, counted once the weights of the objective have arrived."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the networks; auto is bfloat16 on a GPU that has it, else float32."""
    compile: bool = False
    """Compile the model with torch.compile; pays on a GPU for long trainings."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 20.0
    """Least time between checkpoints [s]."""
    max_patches: Annotated[int, Field(ge=1)] | None = None
    """Train on at most so many sites, spread over the recording; all when empty."""
    angle_start: Literal["aligned", "free"] = "aligned"
    """Where all angles are inferred: begin with patches turned onto each other, or let the decoder find out."""
    class_start: Literal["groups", "fresh"] = "groups"
    """Classes begin from groups that a model without classes has told apart, or from fresh weights."""
    start_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the epochs given to the model without classes."""
    start_poses: tuple[PoseName, ...] | None = None
    """Poses that the model without classes infers: in which patches of one class may differ; the model's own when empty."""
