"""Decoders: from a code to a field, without poses; the field has the parameters of a likelihood."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Geometry
from invae.models.geometry.polar import PolarGrid, from_harmonics
from invae.models.networks.layers import Onwards, along


@runtime_checkable
class Grid(Protocol):
    """Points at which a whole field is decoded."""

    coords: Tensor
    """(row, column, 2), in units of half the longer side."""

    def interpolate(self, field: Tensor, coords: Tensor) -> Tensor:
        """The field between the points."""
        ...


class SpatialDecoder(nn.Module):
    """A network from coordinates and a code to the field there."""

    def __init__(
        self, *, n_code: int, n_channels: int, hidden: Sequence[int], skip: bool = False
    ) -> None:
        super().__init__()
        self.from_coords = nn.Linear(2, hidden[0])
        self.from_code = nn.Linear(n_code, hidden[0], bias=False)
        self.layers = Onwards([*hidden, n_channels], n_code=n_code, skip=skip)
        # Coordinates span ±1: with the default weights the first layer is nearly linear and edges take long to learn.
        nn.init.uniform_(self.from_coords.weight, -4, 4)
        nn.init.uniform_(self.from_coords.bias, -4, 4)

    def forward(
        self, coords: Float[Tensor, "batch point 2"], code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch channel point"]:
        first = self.from_coords(coords) + self.from_code(code).unsqueeze(1)
        return self.layers(first, code).mT.to(code.dtype)


class OnGrid(nn.Module):
    """A coordinate network evaluated on a whole grid, once for all angles or shifts."""

    def __init__(self, decoder: nn.Module, grid: Grid) -> None:
        super().__init__()
        self.decoder, self.grid = decoder, grid

    def forward(
        self, code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch channel row column"]:
        coords = self.grid.coords.reshape(1, -1, 2).expand(len(code), -1, -1)
        return self.decoder(coords, code).unflatten(-1, self.grid.coords.shape[:2])


class PolarDecoder(nn.Module):
    """Radial functions times angular harmonics: one dense network, no coordinates.

    At radius r only frequencies up to π·r/pixel are used: higher ones are not resolved by the pixels.
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
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.n_channels, self.n_radii, self.n_angles = n_channels, grid.n_radii, grid.n_angles
        self.n_frequencies = min(harmonics, grid.n_angles // 2 - 1) + 1
        n_numbers = 2 * n_channels * self.n_radii * self.n_frequencies
        self.first = nn.Linear(n_code, hidden[0])
        self.layers = Onwards([*hidden, n_numbers], n_code=n_code, skip=skip)
        ring = (torch.arange(self.n_radii, dtype=torch.float64) + 0.5) * grid.step
        frequency = torch.arange(self.n_frequencies)
        seen = (frequency <= math.pi * ring.unsqueeze(-1)).float() * (grid.n_angles / 2)
        # Real and imaginary part of every frequency.
        self.register_buffer("seen", seen.repeat_interleave(2, dim=-1), persistent=False)

    def forward(
        self, code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch channel radius angle"]:
        raw = self.layers(self.first(code), code).to(code.dtype)
        numbers = raw.view(-1, self.n_channels, *self.seen.shape) * self.seen
        return from_harmonics(numbers, n_points=self.n_angles)


class FromGrid(nn.Module):
    """A field decoded once on a grid and interpolated at any coordinates, as a coordinate network."""

    def __init__(self, decoder: nn.Module, grid: Grid) -> None:
        super().__init__()
        self.decoder, self.grid = decoder, grid

    def forward(
        self, coords: Float[Tensor, "batch point 2"], code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch channel point"]:
        return self.grid.interpolate(self.decoder(code), coords)


class DenseDecoder(nn.Module):
    """Fully connected layers to all pixels."""

    def __init__(
        self, geometry: Geometry, *, n_code: int, hidden: Sequence[int], skip: bool = False
    ) -> None:
        super().__init__()
        self.shape = (geometry.n_channels, geometry.height, geometry.width)
        self.first = nn.Linear(n_code, hidden[0])
        self.layers = Onwards([*hidden, math.prod(self.shape)], n_code=n_code, skip=skip)

    def forward(self, code: Float[Tensor, "batch code"]) -> Float[Tensor, "batch channel y x"]:
        return self.layers(self.first(code), code).to(code.dtype).unflatten(-1, self.shape)


class ConvDecoder(nn.Module):
    """A few coarse pixels that convolutions refine; each layer doubles their number along every axis longer than one."""

    def __init__(self, geometry: Geometry, *, n_code: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.size = (geometry.height, geometry.width)
        self.times = [1 if n == 1 else 2 for n in self.size]
        doublings = len(channels)
        coarse = (math.ceil(n / 2**doublings) for n in self.size)
        self.coarse = (channels[0], *coarse)
        self.first = nn.Linear(n_code, 2 * channels[0])
        self.spread = nn.Linear(2 * channels[0], math.prod(self.coarse))
        widths = [*channels, channels[-1]]
        self.layers = nn.ModuleList(along(self.size, *pair, size=3) for pair in pairwise(widths))
        self.last = along(self.size, channels[-1], geometry.n_channels, size=3)

    def forward(self, code: Float[Tensor, "batch code"]) -> Float[Tensor, "batch channel y x"]:
        signal = self.spread(functional.gelu(self.first(code))).unflatten(-1, self.coarse)
        for layer in self.layers:
            for axis, times in zip((2, 3), self.times, strict=True):
                signal = signal.repeat_interleave(times, dim=axis)
            signal = functional.gelu(layer(signal))
        # Cropped before the last convolution: the other pixels lie outside the frame.
        signal = signal[:, :, : self.size[0], : self.size[1]]
        return self.last(signal).to(code.dtype)
