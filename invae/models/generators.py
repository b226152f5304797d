"""Generators: named latents become a likelihood of whole patches.

A likelihood answers `evidence(patches)`: the log-likelihood of each patch, and the posterior of what it infers exactly.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from invae.models.circle import AnglePosterior, CirclePrior
from invae.models.latents import Latents, Posterior
from invae.models.likelihoods import Noise, log_prob
from invae.models.patches import Geometry, Patches
from invae.models.polar import PolarGrid, correlate
from invae.models.pose import Pose, Rotation, Translation, pixel_grid, pull_back

FINER = 4  # angles scored for each direction of the grid


@dataclass(frozen=True)
class Evidence:
    """How well latents explain patches."""

    log_likelihood: Float[Tensor, " batch"]
    """Expected over what is inferred exactly [nats per patch]."""
    posterior: Mapping[str, Posterior] = field(default_factory=dict)
    """Of the latents inferred exactly, by name."""


@runtime_checkable
class Likelihood(Protocol):
    """A distribution over whole patches."""

    def evidence(self, patches: Patches) -> Evidence:
        """How well the latents behind this likelihood explain patches."""
        ...


@dataclass(frozen=True)
class Picture:
    """Expected patches."""

    mean: Float[Tensor, "batch channel y x"]
    support: Float[Tensor, "batch y x"]
    """Share of a pixel that the decoder speaks of, 0–1; elsewhere stands a constant level."""


class Generator(nn.Module, ABC):
    """From named latents to likelihoods and to pictures."""

    noise: Noise

    @abstractmethod
    def likelihood(self, latents: Latents) -> Likelihood:
        """The distribution of patches with these latents."""

    @abstractmethod
    def picture(self, latents: Latents) -> Picture:
        """Expected patches; needs every latent, the exactly inferred too."""


@dataclass(frozen=True)
class OnPixels:
    """Independent pixels about a decoded image."""

    noise: Noise
    field: Float[Tensor, "batch channel y x"]

    def evidence(self, patches: Patches) -> Evidence:
        """The masked sum of the pixels' log densities."""
        density = log_prob(self.noise, patches.values, self.field) * patches.weight
        return Evidence(density.sum((1, 2, 3)))


class DenseGenerator(Generator):
    """Content to pixels, without pose."""

    def __init__(self, decoder: nn.Module, noise: Noise) -> None:
        super().__init__()
        self.decoder, self.noise = decoder, noise

    def likelihood(self, latents: Latents) -> OnPixels:
        return OnPixels(self.noise, self.decoder(latents["content"]))

    def picture(self, latents: Latents) -> Picture:
        mean = self.noise.mean(self.decoder(latents["content"]))
        return Picture(mean, torch.ones_like(mean[:, 0]))


class PosedGenerator(Generator):
    """Content to pixels through a coordinate decoder, the grid pulled back through the poses."""

    grid: Tensor

    def __init__(
        self, decoder: nn.Module, noise: Noise, *, poses: Mapping[str, Pose], geometry: Geometry
    ) -> None:
        super().__init__()
        self.decoder, self.noise = decoder, noise
        self.poses, self.size = dict(poses), (geometry.height, geometry.width)
        self.register_buffer("grid", pixel_grid(geometry), persistent=False)

    def likelihood(self, latents: Latents) -> OnPixels:
        return OnPixels(self.noise, self._field(latents))

    def picture(self, latents: Latents) -> Picture:
        mean = self.noise.mean(self._field(latents))
        return Picture(mean, torch.ones_like(mean[:, 0]))

    def _field(self, latents: Latents) -> Float[Tensor, "batch channel y x"]:
        content = latents["content"]
        coords = pull_back(self.grid.expand(len(content), -1, -1), self.poses, latents)
        return self.decoder(coords, content).unflatten(-1, self.size)


@dataclass(frozen=True)
class OnDisc:
    """A disc that may lie at any angle, on a background of constant level.

    log p(x | angle) = Σ_frame log b(x) + Σ_disc [log p(x | turned field) − log b(x)], so that every pixel of the frame counts
    once, wherever the disc lies; a sample outside the frame weighs nothing, and moving the disc off the frame never pays.
    """

    grid: PolarGrid
    noise: Noise
    prior: CirclePrior
    field: Float[Tensor, "batch channel radius angle"]
    centre: Float[Tensor, "batch 2"] | None

    def evidence(self, patches: Patches) -> Evidence:
        """Bayes' rule over all angles: the expected log-likelihood, and the posterior of `angle`."""
        scores = self.scores(patches)
        posterior = AnglePosterior.from_scores(scores, self.prior)
        expected = (posterior.log_prob.exp() * scores).sum(-1)
        return Evidence(expected, {"angle": posterior})

    def scores(self, patches: Patches) -> Float[Tensor, "batch turn"]:
        """Log-likelihood at equally spaced angles from 0 [nats].

        x·η and A(η) are circular correlations along the angle; without a mask ΣA does not depend on the angle.
        """
        view = self.grid.observe(patches, self.centre)
        natural = self.noise.natural(self.field)
        partition = self.noise.log_partition(natural)
        n_turns = FINER * self.grid.n_angles
        scores = correlate(self.grid.area * view.values, natural, n_turns=n_turns)
        if view.fraction is None:
            scores = scores - (self.grid.area * partition).sum((1, 2, 3)).unsqueeze(-1)
        else:
            weight = self.grid.area * view.fraction
            scores = scores - correlate(weight, partition, n_turns=n_turns)
        return scores + self._without_field(patches).unsqueeze(-1)

    def _without_field(self, patches: Patches) -> Float[Tensor, " batch"]:
        background = self.noise.log_background(patches.values) * patches.weight
        gain = self.noise.log_base(patches.values) * patches.weight - background
        return background.sum((1, 2, 3)) + self.grid.integrate(gain, self.centre)


class DiscGenerator(Generator):
    """Content to a polar field; shift moves its centre, and the angle is inferred exactly."""

    pixels: Tensor

    def __init__(
        self,
        decoder: nn.Module,
        noise: Noise,
        *,
        grid: PolarGrid,
        prior: CirclePrior,
        geometry: Geometry,
    ) -> None:
        super().__init__()
        self.decoder, self.noise, self.grid, self.prior = decoder, noise, grid, prior
        self.size = (geometry.height, geometry.width)
        self.register_buffer("pixels", pixel_grid(geometry), persistent=False)

    def likelihood(self, latents: Latents) -> OnDisc:
        field = self.decoder(latents["content"])
        return OnDisc(self.grid, self.noise, self.prior, field, latents.get("shift"))

    def picture(self, latents: Latents) -> Picture:
        field = self.noise.mean(self.decoder(latents["content"]))
        coords = self.pixels.expand(len(field), -1, -1)
        if "shift" in latents:
            coords = Translation().pull_back(coords, latents["shift"])
        coords = Rotation().pull_back(coords, latents["angle"])
        support = self.grid.support(coords).unflatten(-1, self.size)
        inner = self.grid.interpolate(field, coords).unflatten(-1, self.size)
        share = support.unsqueeze(1)
        return Picture(share * inner + (1 - share) * self.noise.level, support)
