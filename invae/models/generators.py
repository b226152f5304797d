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

from invae.models.batch import Geometry, Known, Patches
from invae.models.fields import Field
from invae.models.geometry.circle import AnglePosterior, CirclePrior, circle_grid
from invae.models.geometry.polar import PolarGrid, correlate, rolled
from invae.models.geometry.pose import POSES, Rotation, Translation, pixel_grid
from invae.models.latents import (
    IMPOSSIBLE,
    Categorical,
    ClassPrior,
    GivenClass,
    Latents,
    Posterior,
    Prior,
    class_weights,
)
from invae.models.likelihoods import Noise, log_prob
from invae.models.orientation import Gauge

FINER = 4  # angles scored for each direction of the grid
WINDOW = 0.85  # cosine of the farthest angle from where one is sought: 32 degrees, well below the 60 of a wrong lobe


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
        """How well the latents behind this likelihood explain patches.

        There may be several sets of latents for every patch, in a row; the answer then has as many for every patch.
        """
        ...


@dataclass(frozen=True)
class Picture:
    """Expected patches."""

    mean: Float[Tensor, "batch channel y x"]
    support: Float[Tensor, "batch y x"]
    """Share of a pixel that the decoder speaks of, 0–1; elsewhere stands a constant level."""


def at_rest(latents: Latents) -> dict[str, Tensor]:
    """The same latents with every pose undone."""
    return {k: torch.zeros_like(v) if k in POSES else v for k, v in latents.items()}


class Generator(nn.Module, ABC):
    """From named latents to likelihoods and to pictures."""

    noise: Noise
    once: frozenset[str] = frozenset()
    """Latents by which the patch itself is looked at: one set of them goes with several of the others."""

    @abstractmethod
    def likelihood(self, latents: Latents) -> Likelihood:
        """The distribution of patches with these latents."""

    @abstractmethod
    def pattern(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        """What is decoded, before it is placed; alike for alike patterns once the gauge is settled."""

    @property
    def turning(self) -> "Generator":
        """The generator that places patterns: itself, or the one asked for every class."""
        return self

    def settle(self, latents: Latents) -> None:
        """Choose what the likelihood leaves open so that alike patterns lie alike; nothing is open in most generators."""

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
        patches = patches.repeat(len(self.field) // len(patches))
        density = log_prob(self.noise, patches.values, self.field) * patches.weight
        return Evidence(density.sum((1, 2, 3)))


class PixelGenerator(Generator):
    """A field on the pixels, posed or not, and noise about it."""

    def __init__(self, field: Field, noise: Noise) -> None:
        super().__init__()
        self.field, self.noise = field, noise

    def pattern(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        return self.noise.mean(self.field(at_rest(latents)))

    def likelihood(self, latents: Latents) -> OnPixels:
        return OnPixels(self.noise, self.field(latents))

    def picture(self, latents: Latents) -> Picture:
        mean = self.noise.mean(self.field(latents))
        return Picture(mean, torch.ones_like(mean[:, 0]))


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
    centre: Float[Tensor, "patch 2"] | None
    turn: Float[Tensor, " batch"] | None = None
    """By how much the field is turned from the upright one [rad]; 0 when empty."""

    def evidence(self, patches: Patches) -> Evidence:
        """Bayes' rule over all angles: the expected log-likelihood, and the posterior of `angle`."""
        scores = self.scores(patches)
        posterior = AnglePosterior.from_scores(scores + sought(patches.known, scores), self.prior)
        expected = (posterior.log_prob.exp() * scores).sum(-1)
        return Evidence(expected, {"angle": posterior})

    def scores(self, patches: Patches) -> Float[Tensor, "batch turn"]:
        """Log-likelihood at equally spaced angles from 0 [nats].

        x·η and A(η) are circular correlations along the angle; without a mask ΣA does not depend on the angle.
        """
        times = len(self.field) // len(patches)
        background = self.noise.log_background(patches.values) * patches.weight
        gain = self.noise.log_base(patches.values) * patches.weight - background
        view = self.grid.observe(patches, self.centre, beside=gain)
        assert view.beside is not None
        natural = self.noise.natural(self.field)
        partition = self.noise.log_partition(natural)
        n_turns = FINER * self.grid.n_angles
        scores = correlate(self.grid.area * view.values, natural, n_turns=n_turns)
        if view.fraction is None:
            scores = scores - (self.grid.area * partition).sum((1, 2, 3)).unsqueeze(-1)
        else:
            weight = self.grid.area * view.fraction
            scores = scores - correlate(weight, partition, n_turns=n_turns)
        without = background.sum((1, 2, 3)) + (self.grid.area * view.beside).sum((1, 2, 3))
        scores = scores + without.repeat_interleave(times).unsqueeze(-1)
        return scores if self.turn is None else rolled(scores, self.turn)


def sought(known: Known, scores: Float[Tensor, "batch turn"]) -> Tensor:
    """Log weights of angles: those far from where the patch's is sought are ruled out; 0 where it is free."""
    if known.turn is None:
        return scores.new_zeros(())
    offset = circle_grid(scores.shape[-1], like=scores) - known.turn.unsqueeze(-1)
    far = (WINDOW - torch.cos(offset).clamp(max=WINDOW)) / (1 + WINDOW)
    weights = IMPOSSIBLE * far.nan_to_num(nan=0.0)
    return weights.repeat_interleave(len(scores) // len(weights), dim=0)


class DiscGenerator(Generator):
    """A field on the polar grid; shift moves its centre, and the angle is inferred exactly."""

    once = frozenset({"shift"})
    pixels: Tensor

    def __init__(
        self,
        field: Field,
        noise: Noise,
        *,
        grid: PolarGrid,
        prior: CirclePrior,
        gauge: Gauge,
        geometry: Geometry,
    ) -> None:
        super().__init__()
        self.field, self.noise, self.grid, self.prior = field, noise, grid, prior
        self.gauge = gauge
        self.size = (geometry.height, geometry.width)
        self.register_buffer("pixels", pixel_grid(geometry), persistent=False)

    def likelihood(self, latents: Latents) -> OnDisc:
        field, centre = self.field(latents), latents.get("shift")
        turn = self.gauge(latents, field, painter=self.field, grid=self.grid)
        return OnDisc(self.grid, self.noise, self.prior, field, centre, turn)

    def pattern(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        latents = at_rest(latents)
        field = self.field(latents)
        turn = self.gauge(latents, field, painter=self.field, grid=self.grid)
        field = self.noise.mean(field)
        if turn is None:
            return field
        times = field[0, :, :, 0].numel()
        return rolled(field.flatten(0, 2), -turn.repeat_interleave(times)).view_as(field)

    def settle(self, latents: Latents) -> None:
        if self.prior.sd is None:  # a prior about 0 has chosen already
            self.gauge.settle(latents, painter=self.field, grid=self.grid)

    def picture(self, latents: Latents) -> Picture:
        field = self.field(latents)
        turn = self.gauge(latents, field, painter=self.field, grid=self.grid)
        field, coords = self.noise.mean(field), self.pixels.expand(len(field), -1, -1)
        if "shift" in latents:
            coords = Translation().pull_back(coords, latents["shift"])
        angle = latents["angle"] if turn is None else latents["angle"] - turn.unsqueeze(-1)
        coords = Rotation().pull_back(coords, angle)
        support = self.grid.support(coords).unflatten(-1, self.size)
        inner = self.grid.interpolate(field, coords).unflatten(-1, self.size)
        share = support.unsqueeze(1)
        return Picture(share * inner + (1 - share) * self.noise.level, support)


@dataclass(frozen=True)
class OneOfSeveral:
    """A likelihood for every state of the classes; which state it was is inferred exactly."""

    members: Likelihood
    prior: ClassPrior
    others: Mapping[str, Prior]
    """Priors of what the members infer exactly themselves."""

    def evidence(self, patches: Patches) -> Evidence:
        """Bayes' rule over all states: the expected log-likelihood, and the posterior of `class`.

        Labels and hints move the posterior, not the prior: the ELBO stays a bound, of the joint density where a label is given.
        """
        found = self.members.evidence(patches)
        shape = (len(patches), self.prior.n_states)
        log_likelihood = found.log_likelihood.view(shape)
        spent = sum(q.kl(self.others[name]) for name, q in found.posterior.items())
        bound = log_likelihood - (spent.view(shape) if isinstance(spent, Tensor) else 0.0)
        unaided = torch.log_softmax(bound, dim=-1)
        told = class_weights(patches.known, self.prior, like=bound)
        settled = unaided if told is None else torch.log_softmax(bound + told, dim=-1)
        probability = settled.exp()
        posterior: dict[str, Posterior] = {
            name: GivenClass(q, probability) for name, q in found.posterior.items()
        }
        expected = (probability * log_likelihood).sum(-1)
        return Evidence(expected, {**posterior, "class": Categorical(settled, unaided)})


class EveryClass(Generator):
    """A generator asked for all classes at once when nothing has said which it is."""

    def __init__(
        self, generator: Generator, *, prior: ClassPrior, others: Mapping[str, Prior]
    ) -> None:
        super().__init__()
        self.generator, self.prior, self.others = generator, prior, dict(others)

    @property
    def noise(self) -> Noise:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the generator inside."""
        return self.generator.noise

    @property
    def turning(self) -> Generator:
        return self.generator

    def likelihood(self, latents: Latents) -> Likelihood:
        if "class" in latents:
            return self.generator.likelihood(latents)
        n_states, content = self.prior.n_states, latents["content"]
        states = torch.eye(n_states, dtype=content.dtype, device=content.device)
        once = self.generator.once
        several = {
            name: value if name in once else value.repeat_interleave(n_states, dim=0)
            for name, value in latents.items()
        }
        several["class"] = states.repeat(len(content), 1)
        return OneOfSeveral(self.generator.likelihood(several), self.prior, self.others)

    def pattern(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        return self.generator.pattern(latents)

    def settle(self, latents: Latents) -> None:
        self.generator.settle(latents)

    def picture(self, latents: Latents) -> Picture:
        return self.generator.picture(latents)
