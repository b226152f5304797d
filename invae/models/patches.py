"""Patches as a model takes them, and how every channel is brought to the same scale."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Patches:
    """A batch of patches in the data's own units; what is not valid may hold anything finite."""

    values: Float[Tensor, "batch channel y x"]
    valid: Bool[Tensor, "batch channel y x"] | None = None
    """Pixels that count; all of them when there is no mask."""

    def __len__(self) -> int:
        return len(self.values)

    def to(self, place: Any) -> "Patches":
        """The same patches on another device (a name or a device)."""
        valid = None if self.valid is None else self.valid.to(place, non_blocking=True)
        return Patches(self.values.to(place, non_blocking=True), valid)

    def pin(self) -> "Patches":
        """The same patches in memory from which a GPU can fetch them while it works."""
        valid = None if self.valid is None else self.valid.pin_memory()
        return Patches(self.values.pin_memory(), valid)

    @property
    def weight(self) -> Float[Tensor, "batch channel y x"]:
        """Area of every pixel that counts [pixel²]: 1, or 0 under the mask."""
        if self.valid is None:
            return torch.ones_like(self.values)
        return self.valid.to(self.values.dtype)


@dataclass(frozen=True)
class Geometry:
    """Shape of the patches a model is made for."""

    n_channels: int
    height: int
    width: int

    @property
    def half_side(self) -> float:
        """One unit of coordinates [pixel]: half the longer side, on both axes."""
        return max(self.height, self.width) / 2


class Standardise(nn.Module):
    """Every channel minus its offset, divided by its scale; the model inside knows no units."""

    offset: Tensor
    scale: Tensor

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(n_channels, 1, 1))
        self.register_buffer("scale", torch.ones(n_channels, 1, 1))

    def forward(self, patches: Patches) -> Patches:
        values = (patches.values - self.offset) / self.scale
        if patches.valid is not None:
            values = values * patches.weight
        return Patches(values, patches.valid)

    def undo(
        self, values: Float[Tensor, "batch channel y x"]
    ) -> Float[Tensor, "batch channel y x"]:
        """Standardised values in the data's own units."""
        return values * self.scale + self.offset

    def log_volume(self, patches: Patches) -> Float[Tensor, " batch"]:
        """Log of the factor between densities of the data and of standardised values [nats]."""
        return -(patches.weight * self.scale.log()).sum((1, 2, 3))
