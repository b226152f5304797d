"""Fields: from named latents to the parameters of a likelihood, on the pixels or on the polar grid."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from invae.models.geometry.pose import Pose, pull_back
from invae.models.latents import Latents


@dataclass(frozen=True)
class Code:
    """The input of a decoder: all latents except the poses."""

    latent_dim: int
    n_states: int = 0
    """Number of joint states of the classes; each has separate weights in the first layer."""
    n_targets: int = 0
    n_conditions: int = 0

    @property
    def size(self) -> int:
        """Length of the code."""
        content = self.latent_dim * max(self.n_states, 1)
        return content + self.n_states + self.n_targets + self.n_conditions

    def __call__(self, latents: Latents) -> Float[Tensor, "batch code"]:
        content = latents["content"]
        parts = [content]
        if self.n_states:
            state = latents["class"]
            parts = [(state.unsqueeze(-1) * content.unsqueeze(-2)).flatten(1), state]
        if self.n_targets:
            parts.append(latents["target"])
        if self.n_conditions:
            parts.append(latents["condition"])
        return torch.cat(parts, dim=-1) if len(parts) > 1 else content


@runtime_checkable
class Codes(Protocol):
    """Latent variables to the input of a decoder."""

    @property
    def size(self) -> int: ...

    def __call__(self, latents: Latents, /) -> Tensor: ...


class Field(nn.Module, ABC):
    """A map from latents to a field with rows and columns."""

    n_frequencies: int | None = None
    """Number of angular frequencies, from 0, of fields on a polar grid; None if all occur."""

    @abstractmethod
    def forward(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        """The field of every set of latents."""


class WholeField(Field):
    """A decoder with a fixed grid."""

    def __init__(
        self, decoder: nn.Module, code: Codes, *, n_frequencies: int | None = None
    ) -> None:
        super().__init__()
        self.decoder, self.code = decoder, code
        self.n_frequencies = n_frequencies

    def forward(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        return self.decoder(self.code(latents))


class PosedField(Field):
    """A decoder evaluated at the points of a grid, pulled back through poses."""

    grid: Tensor

    def __init__(
        self,
        decoder: nn.Module,
        code: Codes,
        *,
        poses: Mapping[str, Pose],
        grid: Float[Tensor, "row column 2"],
    ) -> None:
        """Evaluate `decoder(coordinates, code)` at the points of `grid`."""
        super().__init__()
        self.decoder, self.code = decoder, code
        self.poses, self.size = dict(poses), grid.shape[:2]
        self.register_buffer("grid", grid.reshape(-1, 2).clone(), persistent=False)

    def forward(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        code = self.code(latents)
        coords = pull_back(self.grid.expand(len(code), -1, -1), self.poses, latents)
        return self.decoder(coords, code).unflatten(-1, self.size)
