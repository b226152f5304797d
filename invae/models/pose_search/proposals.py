"""Proposals: starting points of a pose search, from a small network on all directions of a patch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Annotations, Patches
from invae.models.compilation import uncompiled
from invae.models.geometry.circle import TURN, AnglePosterior
from invae.models.geometry.polar import PolarGrid
from invae.models.latents import Normal
from invae.models.networks.encoders import Features

WIDTH = 24
"""Channels of the layers along the angle."""


@dataclass(frozen=True)
class Proposal:
    """Probabilities of all angles, and one value of each other pose."""

    angle: AnglePosterior | None
    others: Mapping[str, Normal]

    def surprise(self, name: str, value: Float[Tensor, "batch event"]) -> Float[Tensor, " batch"]:
        """Negative log probability of the estimate of a search [nats, up to a constant].

        The estimate trains the proposal: Bornschein & Bengio 2015, arXiv:1406.2751, eq. 6, with one sample.
        """
        if name != "angle":
            proposed = self.others[name]
            offset = (value - proposed.mean) * (-proposed.log_sd).exp()
            return (0.5 * offset**2 + proposed.log_sd).sum(-1)
        assert self.angle is not None
        log_prob = self.angle.log_prob
        place = torch.remainder(value, TURN) * (log_prob.shape[-1] / TURN)
        below = place.floor()
        share = place - below
        first = below.long() % log_prob.shape[-1]
        second = (first + 1) % log_prob.shape[-1]
        near = (1 - share) * log_prob.gather(-1, first) + share * log_prob.gather(-1, second)
        return -near.squeeze(-1)


class Around(nn.Module):
    """A circular convolution with a kernel as long as the circle, by Fourier transforms: five times as fast as a kernel of nine."""

    def __init__(self, before: int, after: int, *, n_angles: int) -> None:
        super().__init__()
        spread = (before * n_angles) ** -0.5
        self.weight = nn.Parameter(torch.empty(after, before, n_angles).uniform_(-spread, spread))
        self.bias = nn.Parameter(torch.zeros(after, 1))

    def forward(
        self, signal: Float[Tensor, "batch before angle"]
    ) -> Float[Tensor, "batch after angle"]:
        return convolved(signal, self.weight) + self.bias


@uncompiled
def convolved(
    signal: Float[Tensor, "batch before angle"], kernel: Float[Tensor, "after before angle"]
) -> Float[Tensor, "batch after angle"]:
    """Circular convolutions along the angle, summed over the input channels."""
    across = torch.fft.rfft(signal).permute(2, 0, 1) @ torch.fft.rfft(kernel).permute(2, 1, 0)
    return torch.fft.irfft(across.permute(1, 2, 0), n=signal.shape[-1])


class Proposer(nn.Module):
    """Circular convolutions along the angle that keep every direction: the output turns with the patch."""

    directions: Tensor

    def __init__(
        self,
        grid: PolarGrid,
        *,
        n_channels: int,
        heads: Mapping[str, nn.Module],
        vectors: Sequence[str],
        turns: bool,
    ) -> None:
        """Take patches on a polar grid.

        Args:
            grid: The polar grid; its directions are the proposed angles.
            n_channels: Number of channels of the patches.
            heads: Heads of the poses other than the angle, on `WIDTH` features.
            vectors: Names of the heads that read a direction, in the order of their vectors.
            turns: Whether an angle is proposed.
        """
        super().__init__()
        self.grid, n_angles = grid, grid.n_angles
        self.first = Around(n_channels * grid.n_radii, WIDTH, n_angles=n_angles)
        self.second = Around(WIDTH, WIDTH, n_angles=n_angles)
        self.upright = nn.Conv1d(WIDTH, 1, 1) if turns else None
        self.heads = nn.ModuleDict(heads)
        self.plain = nn.Linear(2 * WIDTH, WIDTH) if heads else None
        self.vectors = nn.Conv1d(WIDTH, len(vectors), 1, bias=False) if vectors else None
        angle = torch.arange(n_angles, dtype=torch.float64) * (TURN / n_angles)
        directions = torch.stack((-angle.sin(), angle.cos()), dim=-1) / n_angles**0.5
        # Not in the state dict: it follows from the configuration.
        self.register_buffer("directions", directions.float(), persistent=False)

    def forward(self, patches: Patches) -> Proposal:
        signal = self.grid.observe(patches).values.flatten(1, 2)
        signal = functional.gelu(self.first(signal))
        signal = signal + functional.gelu(self.second(signal))
        angle = None
        if self.upright is not None:
            raw = self.upright(signal).squeeze(1).to(self.directions.dtype)
            angle = AnglePosterior(torch.log_softmax(raw, dim=-1))
        if self.plain is None:
            return Proposal(angle, {})
        features = self._features(signal, self.plain)
        return Proposal(angle, {k: head(features, Annotations()) for k, head in self.heads.items()})

    def _features(self, signal: Float[Tensor, "batch width angle"], plain: nn.Linear) -> Features:
        pooled = torch.cat((signal.mean(-1), (signal**2).mean(-1).add(1e-6).sqrt()), dim=-1)
        dtype = self.directions.dtype
        features = functional.gelu(plain(pooled)).to(dtype)
        if self.vectors is None:
            return Features(features, features.new_zeros(len(features), 0, 2))
        return Features(features, self.vectors(signal).to(dtype) @ self.directions)
