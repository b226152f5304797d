"""Decoders: a code becomes a field, which a likelihood reads; the pose is not their business."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.encoders import dense
from invae.models.patches import Geometry
from invae.models.polar import PolarGrid, from_harmonics


class SpatialDecoder(nn.Module):
    """A network from coordinates and a code to the field there."""

    def __init__(self, *, n_code: int, n_channels: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.from_coords = nn.Linear(2, hidden[0])
        self.from_code = nn.Linear(n_code, hidden[0], bias=False)
        self.layers = dense([*hidden, n_channels])
        # Coordinates span ±1: as they come, the first layer is nearly linear and edges take long to learn.
        nn.init.uniform_(self.from_coords.weight, -4, 4)
        nn.init.uniform_(self.from_coords.bias, -4, 4)

    def forward(
        self, coords: Float[Tensor, "batch point 2"], code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch channel point"]:
        first = self.from_coords(coords) + self.from_code(code).unsqueeze(1)
        return self.layers(functional.gelu(first)).mT.to(code.dtype)


class OnGrid(nn.Module):
    """A coordinate network evaluated on the polar grid, once for all angles."""

    def __init__(self, decoder: SpatialDecoder, grid: PolarGrid) -> None:
        super().__init__()
        self.decoder, self.grid = decoder, grid

    def forward(
        self, code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch channel radius angle"]:
        coords = self.grid.coords.reshape(1, -1, 2).expand(len(code), -1, -1)
        return self.decoder(coords, code).unflatten(-1, self.grid.coords.shape[:2])


class PolarDecoder(nn.Module):
    """Radial functions times angular harmonics: one dense network, no coordinates.

    At radius r only frequencies up to π·r/pixel are used: finer ones could not be seen on the pixels.
    """

    seen: Tensor

    def __init__(
        self,
        grid: PolarGrid,
        *,
        n_code: int,
        n_channels: int,
        hidden: Sequence[int],
        harmonics: int,
    ) -> None:
        super().__init__()
        self.n_channels, self.n_radii, self.n_angles = n_channels, grid.n_radii, grid.n_angles
        self.n_frequencies = min(harmonics, grid.n_angles // 2 - 1) + 1
        widths = [n_code, *hidden, 2 * n_channels * self.n_radii * self.n_frequencies]
        self.layers = dense(widths)
        ring = (torch.arange(self.n_radii, dtype=torch.float64) + 0.5) * grid.step
        frequency = torch.arange(self.n_frequencies)
        seen = (frequency <= math.pi * ring.unsqueeze(-1)).float() * (grid.n_angles / 2)
        self.register_buffer("seen", seen.unsqueeze(-1), persistent=False)

    def forward(
        self, code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch channel radius angle"]:
        raw = self.layers(code).to(code.dtype)
        raw = raw.view(-1, self.n_channels, self.n_radii, self.n_frequencies, 2) * self.seen
        return from_harmonics(raw[..., 0], raw[..., 1], n_angles=self.n_angles)


class FromGrid(nn.Module):
    """A polar field read at any coordinates, as a coordinate network would give it."""

    def __init__(self, decoder: PolarDecoder, grid: PolarGrid) -> None:
        super().__init__()
        self.decoder, self.grid = decoder, grid

    def forward(
        self, coords: Float[Tensor, "batch point 2"], code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch channel point"]:
        return self.grid.interpolate(self.decoder(code), coords)


class DenseDecoder(nn.Module):
    """Fully connected layers to all pixels."""

    def __init__(self, geometry: Geometry, *, n_code: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.shape = (geometry.n_channels, geometry.height, geometry.width)
        self.layers = dense([n_code, *hidden, math.prod(self.shape)])

    def forward(self, code: Float[Tensor, "batch code"]) -> Float[Tensor, "batch channel y x"]:
        return self.layers(code).to(code.dtype).unflatten(-1, self.shape)
