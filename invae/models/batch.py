"""Patches as a model takes them, and how every channel is brought to the same scale."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from invae.models.precision import full_precision

OUTLIERS = (0.5, 99.5)
"""Percentiles beyond which values do not count for a channel's offset and scale."""


@dataclass(frozen=True)
class Annotations:
    """Annotations of every patch beside its pixels; an annotation that no patch has is absent."""

    labels: Int[Tensor, " batch"] | None = None
    """Class in the first discrete latent variable; −1 where it is unknown."""
    target: Float[Tensor, "batch target"] | None = None
    """Variables that the model also infers; NaN where they are unknown."""
    condition: Float[Tensor, "batch condition"] | None = None
    """Variables given to the encoder and to the decoder."""
    hint: Float[Tensor, "batch state"] | None = None
    """Log weights of the classes, added to those from the pixels."""
    turn: Float[Tensor, " batch"] | None = None
    """Approximate angle; the angle is inferred near it [rad]; NaN where it is free."""
    place: Float[Tensor, "batch 3"] | None = None
    """Where the patch was cut: frame, y and x [pixel]."""

    def to(self, place: Any) -> "Annotations":
        """The same annotations on another device."""
        return Annotations(**{k: v.to(place, non_blocking=True) for k, v in self._present()})

    def pin(self) -> "Annotations":
        """The same annotations in memory from which a GPU can fetch them."""
        return Annotations(**{k: v.pin_memory() for k, v in self._present()})

    def take(self, sites: Any) -> "Annotations":
        """The annotations of some patches."""
        return Annotations(**{k: v[sites] for k, v in self._present()})

    def _present(self) -> list[tuple[str, Tensor]]:
        return [(f.name, v) for f in fields(self) if (v := getattr(self, f.name)) is not None]


@dataclass(frozen=True)
class Patches:
    """A batch of patches in the data's own units; pixels that are not valid may hold any finite value."""

    values: Float[Tensor, "batch channel y x"]
    valid: Bool[Tensor, "batch channel y x"] | None = None
    """Pixels that count; all of them when there is no mask."""
    known: Annotations = Annotations()
    """Annotations beside the pixels."""
    hidden: Bool[Tensor, "batch channel y x"] | None = None
    """Pixels of foreign objects: their values are filled for encoders, and do not count; none was looked for when empty."""

    def __len__(self) -> int:
        return len(self.values)

    def to(self, place: Any) -> "Patches":
        """The same patches on another device (a name or a device)."""
        valid = None if self.valid is None else self.valid.to(place, non_blocking=True)
        hidden = None if self.hidden is None else self.hidden.to(place, non_blocking=True)
        values = self.values.to(place, non_blocking=True)
        return Patches(values, valid, self.known.to(place), hidden)

    def take(self, sites: Any) -> "Patches":
        """Some of the patches."""
        valid = None if self.valid is None else self.valid[sites]
        hidden = None if self.hidden is None else self.hidden[sites]
        return Patches(self.values[sites], valid, self.known.take(sites), hidden)

    def pin(self) -> "Patches":
        """The same patches in memory from which a GPU can fetch them while it works."""
        valid = None if self.valid is None else self.valid.pin_memory()
        return Patches(self.values.pin_memory(), valid, self.known.pin())

    def repeat(self, times: int) -> "Patches":
        """Every patch several times in a row, without annotations."""
        if times == 1:
            return self
        valid = None if self.valid is None else self.valid.repeat_interleave(times, dim=0)
        return Patches(self.values.repeat_interleave(times, dim=0), valid)

    @property
    def counted(self) -> "Patches":
        """The same patches with the hidden pixels as not valid ones, for a likelihood."""
        if self.hidden is None:
            return self
        counts = ~self.hidden if self.valid is None else self.valid & ~self.hidden
        return Patches(self.values * counts, counts, self.known)

    @property
    def weight(self) -> Float[Tensor, "batch channel y x"]:
        """Area of every pixel that counts [pixel²]: 1, or 0 under the mask."""
        counts = self.valid if self.hidden is None else self.counted.valid
        if counts is None:
            return torch.ones_like(self.values)
        return counts.to(self.values.dtype)

    @property
    def n_counted(self) -> Float[Tensor, "batch channel"]:
        """Number of pixels that count."""
        if self.valid is None and self.hidden is None:
            n_pixels = self.values[0, 0].numel()
            return self.values.new_full((), n_pixels).expand(self.values.shape[:2])
        return self.weight.sum((2, 3))

    def moments(
        self, areas: Float[Tensor, "area y x"]
    ) -> Float[Tensor, "area batch power channel"]:
        """Sums of 1, x and x² over the pixels that count, each with its own area [pixel²]; for several areas."""
        counted, areas = self.counted, areas.flatten(1).mT
        values = counted.values
        with full_precision(values):
            if counted.valid is None:
                n = areas.sum(0).expand(*values.shape[:2], -1)
            else:
                values = values * counted.weight
                n = counted.weight.flatten(2) @ areas
            powers = (values, values * values)
            sums = torch.stack((n, *(power.flatten(2) @ areas for power in powers)))
        return sums.permute(3, 1, 0, 2)


@dataclass(frozen=True)
class Geometry:
    """Shape of a signal at one site: an image, or a spectrum as an image of one row."""

    n_channels: int
    height: int
    width: int

    @property
    def n_values(self) -> int:
        """Numbers of one patch."""
        return self.n_channels * self.height * self.width

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

    def start(self, values: Float[Tensor, "*value"], *, channel: int) -> None:
        """Take a channel's offset and scale from its values, outliers left out."""
        low, high = np.percentile(values.numpy(), OUTLIERS)
        kept = values.to(torch.float64, copy=True).clamp_(float(low), float(high))
        if (spread := float(kept.std(correction=0))) > 0:
            self.offset[channel] = kept.mean()
            self.scale[channel] = spread

    def forward(self, patches: Patches) -> Patches:
        values = (patches.values - self.offset).div_(self.scale)
        if patches.valid is not None:
            values = values * patches.valid
        return replace(patches, values=values)

    def undo(
        self, values: Float[Tensor, "batch channel y x"]
    ) -> Float[Tensor, "batch channel y x"]:
        """Standardised values in the data's own units."""
        return values * self.scale + self.offset

    def log_volume(self, patches: Patches) -> Float[Tensor, " batch"]:
        """Log of the factor between densities of the data and of standardised values [nats]."""
        n_pixels = patches.n_counted
        return -(n_pixels * self.scale.log().flatten()).sum(-1)


class StandardiseNumbers(nn.Module):
    """Every number of a patch minus its offset, divided by its scale."""

    offset: Tensor
    scale: Tensor

    def __init__(self, n_numbers: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(n_numbers))
        self.register_buffer("scale", torch.ones(n_numbers))

    def forward(self, values: Float[Tensor, "batch number"]) -> Float[Tensor, "batch number"]:
        return (values - self.offset) / self.scale
