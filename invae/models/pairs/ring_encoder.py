"""The image side: an image patch becomes latent variables that do not depend on how its surroundings are rotated or mirrored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.config.pairs import ImageSideConfig
from invae.models.batch import Annotations, Geometry, Patches
from invae.models.geometry.circle import TURN
from invae.models.geometry.polar import PolarGrid, bilinear
from invae.models.inference import Inference, Noise
from invae.models.latents import Encoded, Normal, Point
from invae.models.networks.encoders import Features

VIEW = "view"
"""Name of the random numbers (batch, 2) that choose the view of a training step: its rotation, and which patches are mirrored."""
N_FEATURES = 128
OFFSETS = (0.0, 0.5)
"""Rotations over which the latent variables of a trained model are averaged, in steps of the grid of directions."""


@dataclass(frozen=True)
class View:
    """How patches are looked at."""

    offset: float | Tensor = 0.0
    """Rotation of all directions, in steps of the grid (0–1)."""
    mirrored: Tensor | None = None
    """(batch) Patches that are mirrored; none when empty."""


class RingEncoder(nn.Module):
    """Rings about the site as channels, circular convolutions along the directions, mean and maximum over the directions.

    A rotation by a whole step of the grid changes nothing. Between the steps, training at random rotations and the mean over two
    rotations leave little. A patch is interpolated once, onto the rings, and not onto rotated pixels before.
    """

    rings: Tensor

    def __init__(self, geometry: Geometry, config: ImageSideConfig) -> None:
        super().__init__()
        self.has_corners = config.disc > 1
        grid = PolarGrid(geometry, n_angles=config.n_angles, circumscribed=self.has_corners)
        self.n_angles, self.n_features = config.n_angles, N_FEATURES
        self.half_frame = [max(n - 1, 1) / 2 / geometry.half_side for n in grid.size]
        self.half_pixels = [(n - 1) / 2 for n in grid.size]
        radius = grid.n_radii * grid.step / (min(grid.size) / 2)
        self.register_buffer("rings", config.disc / radius * grid.coords, persistent=False)
        widths = [geometry.n_channels * grid.n_radii, *config.channels]
        self.layers = nn.ModuleList(
            nn.Conv1d(*pair, 5, padding=2, padding_mode="circular") for pair in pairwise(widths)
        )
        self.last = nn.Linear(2 * config.channels[-1], self.n_features)

    def forward(self, patches: Patches, view: View) -> Float[Tensor, "batch feature"]:
        """Features of patches."""
        signal = self.on_rings(patches, view).flatten(1, 2)
        for layer in self.layers:
            signal = functional.silu(layer(signal))
        pooled = torch.cat((signal.mean(-1), signal.amax(-1)), dim=-1)
        return functional.silu(self.last(pooled))

    def on_rings(self, patches: Patches, view: View) -> Float[Tensor, "batch channel radius angle"]:
        """Patches on the rings; what is masked has the level of the channel, what is outside the mean of the patch."""
        layers = patches.values if patches.valid is None else patches.values * patches.weight
        angle = torch.as_tensor(view.offset) * (TURN / self.n_angles)
        cos, sin = torch.cos(angle), torch.sin(angle)
        y, x = self.rings.unbind(-1)
        place = torch.stack(
            ((cos * x + sin * y) / self.half_frame[1], (cos * y - sin * x) / self.half_frame[0]),
            dim=-1,
        )
        flat = layers.reshape(1, -1, *layers.shape[-2:])  # one grid for the whole batch: faster
        place = place.unsqueeze(0).to(flat.dtype)
        seen = bilinear(flat, place).reshape(*layers.shape[:2], *place.shape[1:3])
        if self.has_corners:
            mean = layers.mean((2, 3), keepdim=True)
            seen = mean + (seen - mean) * self._inside(place[0])
        if view.mirrored is None:
            return seen
        return torch.where(view.mirrored[:, None, None, None], seen.flip(-1), seen)

    def _inside(self, place: Float[Tensor, "radius angle 2"]) -> Float[Tensor, "radius angle"]:
        """Share of every sample that lies inside the patch, with an edge one pixel wide."""
        x, y = place.unbind(-1)
        half_y, half_x = self.half_pixels
        return ((half_x * (1 - x.abs()) + 1).clamp(0, 1)) * (
            (half_y * (1 - y.abs()) + 1).clamp(0, 1)
        )


@dataclass(frozen=True)
class Branch:
    """One latent variable of the image: its encoder's name, and whether it is the same for mirror images."""

    encoder: str
    mirrored: bool


class ImageRecogniser(nn.Module):
    """Posteriors of latent variables from rings about the site."""

    def __init__(
        self,
        encoders: Mapping[str, RingEncoder],
        heads: Mapping[str, nn.Module],
        branches: Mapping[str, Branch],
    ) -> None:
        """Put encoders and heads together.

        Args:
            encoders: By name.
            heads: Features to the posterior of a latent variable, by its name.
            branches: Which encoder a head reads, by the same names.
        """
        super().__init__()
        self.encoders, self.heads = nn.ModuleDict(encoders), nn.ModuleDict(heads)
        self.branches = dict(branches)

    def forward(self, patches: Patches, noise: Noise | None) -> Inference:
        """Posteriors under one random view with noise; without noise the mean over several views."""
        posterior: dict[str, Encoded] = {}
        for name, branch in self.branches.items():
            views = self._views(branch, noise)
            each = [self._read(name, branch, patches, view) for view in views]
            posterior[name] = each[0] if len(each) == 1 else _mean(each)
        latents = {
            name: q.draw(None if noise is None or name not in noise else noise[name])
            for name, q in posterior.items()
        }
        return Inference(posterior, latents)

    def _read(self, name: str, branch: Branch, patches: Patches, view: View) -> Encoded:
        features = self.encoders[branch.encoder](patches, view)
        plain = features.to(patches.values.dtype)
        return self.heads[name](Features(plain, plain.new_zeros(len(plain), 0, 2)), Annotations())

    def _views(self, branch: Branch, noise: Noise | None) -> Sequence[View]:
        if noise is None or VIEW not in noise:
            straight = [View(offset) for offset in OFFSETS]
            return [*straight, *self._mirror_images(straight)] if branch.mirrored else straight
        offset, side = noise[VIEW].unbind(-1)
        mirrored = side > 0 if branch.mirrored else None
        return [View(0.5 * (1 + torch.erf(offset[0] / math.sqrt(2))), mirrored)]

    def _mirror_images(self, views: Sequence[View]) -> list[View]:
        every = torch.ones(1, dtype=torch.bool, device=next(self.parameters()).device)
        return [View(view.offset, every) for view in views]


def _mean(posteriors: Sequence[Encoded]) -> Encoded:
    """The mean of posteriors of the same latent variable under several views."""
    mean = torch.stack([q.mean for q in posteriors if isinstance(q, Normal | Point)]).mean(0)
    spread = [q.log_sd for q in posteriors if isinstance(q, Normal)]
    return Normal(mean, torch.stack(spread).mean(0)) if spread else Point(mean)
