"""Encoders: a batch of patches becomes features; a head turns features into the posterior of one latent."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Annotations, Geometry, Patches
from invae.models.geometry.circle import TURN, WrappedNormal
from invae.models.geometry.polar import PolarGrid
from invae.models.latents import ClassPrior, Normal, PartlyKnown, Point, Relaxed, class_weights
from invae.models.networks.layers import along, convolved_around

CONTENT_LOG_SD = (-7.0, 1.0)
POSE_LOG_SD = (-7.0, 1.0)


@dataclass(frozen=True)
class Features:
    """Features of every patch."""

    plain: Float[Tensor, "batch feature"]
    """From a polar encoder: the same for a turned patch."""
    vectors: Float[Tensor, "batch vector 2"]
    """Directions (y, x); from a polar encoder they turn with the patch."""


class Encoder(nn.Module, ABC):
    """Patches to features, about a centre."""

    n_features: int

    @abstractmethod
    def forward(self, patches: Patches, centre: Float[Tensor, "batch 2"] | None) -> Features:
        """Features of patches; a polar encoder puts its grid on `centre`, the others take none."""


class DenseEncoder(Encoder):
    """Fully connected layers on all pixels."""

    def __init__(self, geometry: Geometry, *, hidden: Sequence[int], n_vectors: int) -> None:
        super().__init__()
        n_pixels = geometry.n_channels * geometry.height * geometry.width
        self.n_features = hidden[-1]
        self.layers = dense([n_pixels, *hidden])
        self.vectors = nn.Linear(self.n_features, 2 * n_vectors) if n_vectors else None

    def forward(self, patches: Patches, centre: Float[Tensor, "batch 2"] | None) -> Features:
        return _with_vectors(self.layers(patches.values.flatten(1)), self.vectors, like=patches)


class ConvEncoder(Encoder):
    """Convolutions that halve the image, then one dense layer that keeps positions."""

    def __init__(self, geometry: Geometry, *, channels: Sequence[int], n_vectors: int) -> None:
        super().__init__()
        widths = [geometry.n_channels, *channels]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(widths)
        )
        height, width = geometry.height, geometry.width
        for _ in channels:
            height, width = (height + 1) // 2, (width + 1) // 2
        self.n_features = 2 * channels[-1]
        self.last = nn.Linear(channels[-1] * height * width, self.n_features)
        self.vectors = nn.Linear(self.n_features, 2 * n_vectors) if n_vectors else None

    def forward(self, patches: Patches, centre: Float[Tensor, "batch 2"] | None) -> Features:
        image = patches.values
        for layer in self.layers:
            image = functional.gelu(layer(image))
        return _with_vectors(self.last(image.flatten(1)), self.vectors, like=patches)


class PooledConvEncoder(Encoder):
    """Convolutions pooled over the image: features that depend little on position.

    The first two layers halve the image and are wide enough to lose little information; the others have a wide field of view.
    """

    def __init__(
        self, geometry: Geometry, *, channels: Sequence[int], n_features: int = 64
    ) -> None:
        super().__init__()
        self.n_features = n_features
        sides = (geometry.height, geometry.width)
        self.layers = nn.ModuleList(
            along(sides, *pair, size=5, stride=2)
            if number < 2
            else along(sides, *pair, size=3, apart=3)
            for number, pair in enumerate(pairwise([geometry.n_channels, *channels]))
        )
        self.last = nn.Linear(2 * channels[-1], n_features)

    def forward(self, patches: Patches, centre: Float[Tensor, "batch 2"] | None) -> Features:
        image = patches.values
        for layer in self.layers:
            image = functional.gelu(layer(image))
        pooled = (image.mean((2, 3)), (image**2).mean((2, 3)).add(1e-6).sqrt())
        return _with_vectors(self.last(torch.cat(pooled, dim=-1)), None, like=patches)


class PolarEncoder(Encoder):
    """Circular convolutions along the angle, rings as channels; pooled over the angle at the end.

    A quarter turn of the patch rolls every layer by a whole number of samples, so the features do not change and the
    vectors, first circular harmonics of a layer, turn by exactly that much.
    """

    directions: Tensor

    def __init__(
        self,
        grid: PolarGrid,
        *,
        n_channels: int,
        channels: Sequence[int],
        n_vectors: int,
        n_features: int = 64,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.n_features = n_features
        widths = [(n_channels + 1) * grid.n_radii, *channels]
        strides = [2 if index < 2 else 1 for index in range(len(channels))]
        self.layers = nn.ModuleList(
            nn.Conv1d(*pair, 5, stride=stride, padding=2, padding_mode="circular")
            for pair, stride in zip(pairwise(widths), strides, strict=True)
        )
        n_left = grid.n_angles // math.prod(strides)
        self.across = nn.Conv1d(
            channels[-1], channels[-1], 2 * (n_left // 4) + 1, padding=n_left // 4,
            padding_mode="circular",
        )  # fmt: skip
        self.last = nn.Linear(2 * channels[-1], n_features)
        self.vectors = nn.Conv1d(channels[-1], n_vectors, 1) if n_vectors else None
        angle = torch.arange(n_left, dtype=torch.float64) * (TURN / n_left)
        directions = torch.stack((-angle.sin(), angle.cos()), dim=-1) / math.sqrt(n_left)
        self.register_buffer("directions", directions.float(), persistent=False)

    def forward(self, patches: Patches, centre: Float[Tensor, "batch 2"] | None) -> Features:
        view = self.grid.observe(patches, centre)
        signal = view.values
        if view.fraction is not None:  # otherwise it is 1 everywhere
            signal = torch.cat((signal, view.fraction.mean(1, keepdim=True)), dim=1)
        signal = signal.flatten(1, 2)
        for layer in self.layers:
            assert isinstance(layer, nn.Conv1d)
            signal = functional.gelu(convolved_around(layer, signal))
        signal = signal + functional.gelu(convolved_around(self.across, signal))
        pooled = torch.cat((signal.mean(-1), (signal**2).mean(-1).add(1e-6).sqrt()), dim=-1)
        plain = functional.gelu(self.last(pooled)).to(patches.values.dtype)
        if self.vectors is None:
            return Features(plain, plain.new_zeros(len(plain), 0, 2))
        return Features(plain, self.vectors(signal).to(self.directions.dtype) @ self.directions)


class ContentHead(nn.Module):
    """Content as independent Normals."""

    def __init__(self, n_features: int, latent_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 2 * latent_dim)

    def forward(self, features: Features, known: Annotations) -> Normal:
        mean, raw = self.linear(features.plain).to(features.plain.dtype).chunk(2, dim=-1)
        return Normal(mean, bounded(raw, *CONTENT_LOG_SD))


class CodeHead(nn.Module):
    """Content as a deterministic code."""

    def __init__(self, n_features: int, latent_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, latent_dim)

    def forward(self, features: Features, known: Annotations) -> Point:
        return Point(self.linear(features.plain).to(features.plain.dtype))


class ShiftHead(nn.Module):
    """Shift as a Normal of equal sd in both directions, so that it can turn with the patch."""

    def __init__(self, n_features: int, *, vector: int, prior_sd: float) -> None:
        """Read the mean from one of the encoder's vectors; it stays within four sd of the prior."""
        super().__init__()
        self.linear = nn.Linear(n_features, 1)
        self.vector, self.prior_sd = vector, prior_sd
        self.limit = min(1.0, 4 * prior_sd)

    def forward(self, features: Features, known: Annotations) -> Normal:
        mean = self.prior_sd * features.vectors[:, self.vector]
        length = (mean**2).sum(-1, keepdim=True)
        raw = self.linear(features.plain).to(mean.dtype)
        log_sd = bounded(raw, *POSE_LOG_SD) + math.log(self.prior_sd)
        return Normal(mean / (1 + length / self.limit**2).sqrt(), log_sd.expand_as(mean))


class AngleHead(nn.Module):
    """Angle as a wrapped Normal about the direction of one of the encoder's vectors."""

    def __init__(self, n_features: int, *, vector: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 1)
        self.vector = vector

    def forward(self, features: Features, known: Annotations) -> WrappedNormal:
        y, x = features.vectors[:, self.vector].unbind(-1)
        mean = torch.atan2(-y, x).unsqueeze(-1)
        raw = self.linear(features.plain).to(mean.dtype)
        return WrappedNormal(mean, bounded(raw, *POSE_LOG_SD))


class ScalarHead(nn.Module):
    """A pose with one component that a turn does not change: a Normal on the scale of its prior."""

    def __init__(self, n_features: int, *, prior_sd: float) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 2)
        self.prior_sd = prior_sd

    def forward(self, features: Features, known: Annotations) -> Normal:
        mean, raw = self.linear(features.plain).to(features.plain.dtype).chunk(2, dim=-1)
        # Within four sds of the prior; otherwise the pattern would leave the patch.
        mean = self.prior_sd * mean / (1 + (mean / 4) ** 2).sqrt()
        return Normal(mean, bounded(raw, *POSE_LOG_SD) + math.log(self.prior_sd))


class ClassHead(nn.Module):
    """Classes as weights drawn from an encoder's probabilities."""

    def __init__(self, n_features: int, *, prior: ClassPrior, temperature: float) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, prior.n_states)
        self.prior, self.temperature = prior, temperature

    def forward(self, features: Features, known: Annotations) -> Relaxed:
        log_prob = torch.log_softmax(self.linear(features.plain).to(features.plain.dtype), dim=-1)
        log_weights = class_weights(known, self.prior, like=log_prob)
        return Relaxed(log_prob, self.temperature, log_weights)


class TargetHead(nn.Module):
    """Variables that are known for some patches, as independent Normals for the others."""

    def __init__(self, n_features: int, n_targets: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 2 * n_targets)

    def forward(self, features: Features, known: Annotations) -> PartlyKnown:
        mean, raw = self.linear(features.plain).to(features.plain.dtype).chunk(2, dim=-1)
        value = torch.full_like(mean, math.nan) if known.target is None else known.target
        return PartlyKnown(Normal(mean, bounded(raw, *CONTENT_LOG_SD)), value)


def dense(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with GELU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def bounded(raw: Float[Tensor, "*shape"], low: float, high: float) -> Float[Tensor, "*shape"]:
    """Values smoothly limited to an interval; 0 maps to two thirds of the interval."""
    return low + (high - low) * torch.sigmoid(4 * raw / (high - low) + 0.7)


def _with_vectors(
    raw: Float[Tensor, "batch feature"], vectors: nn.Linear | None, *, like: Patches
) -> Features:
    """Features of an encoder without equivariance, in full precision."""
    plain, dtype = functional.gelu(raw), like.values.dtype
    if vectors is None:
        return Features(plain.to(dtype), plain.new_zeros(len(plain), 0, 2, dtype=dtype))
    return Features(plain.to(dtype), vectors(plain).to(dtype).unflatten(-1, (-1, 2)))
