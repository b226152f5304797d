"""Generators: named latents become a likelihood of whole patches.

The method `evidence(patches)` of a likelihood gives the log-likelihood of each patch, and the posteriors of the latent variables
that are inferred exactly.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from invae.models import background_plane
from invae.models.batch import Annotations, Geometry, Patches
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
from invae.models.likelihoods import Gaussian, Noise, log_prob
from invae.models.orientation import Gauge

FINER = 4  # angles scored for each direction of the grid
WINDOW = 0.85  # cosine of the largest offset from an approximate angle: 32 degrees, well below the 60 of a wrong lobe


@dataclass(frozen=True)
class Evidence:
    """The log-likelihood of patches, and posteriors of latent variables inferred exactly."""

    log_likelihood: Float[Tensor, " batch"]
    """Expectation over the exact posteriors [nats per patch]."""
    posterior: Mapping[str, Posterior] = field(default_factory=dict)
    """Of the latent variables inferred exactly, by name."""


@runtime_checkable
class Likelihood(Protocol):
    """A distribution over whole patches."""

    def evidence(self, patches: Patches) -> Evidence:
        """The log-likelihood of patches, and exact posteriors.

        Every patch may have several sets of latents, in a row; the evidence then has one row per set.
        """
        ...


@dataclass(frozen=True)
class Picture:
    """Expected patches."""

    mean: Float[Tensor, "batch channel y x"]
    support: Float[Tensor, "batch y x"]
    """Share of a pixel that the decoder covers, 0–1; the rest has a constant level."""


def at_rest(latents: Latents) -> dict[str, Tensor]:
    """The same latents with every pose at rest."""
    return {k: torch.zeros_like(v) if k in POSES else v for k, v in latents.items()}


class Generator(nn.Module, ABC):
    """From named latents to likelihoods and to expected patches."""

    noise: Noise
    once: frozenset[str] = frozenset()
    """Latents that act on the patch, not on the decoded image: they have one set per patch, not one per class."""

    @abstractmethod
    def likelihood(self, latents: Latents) -> Likelihood:
        """The distribution of patches with these latents."""

    @abstractmethod
    def pattern(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        """The decoded pattern before its pose; the same for equal patterns once the gauge is fixed."""

    @property
    def turning(self) -> "Generator":
        """The generator that poses patterns: itself, or the one inside `EveryClass`."""
        return self

    def settle(self, latents: Latents) -> None:
        """Fix what the likelihood leaves undetermined, so that equal patterns have equal poses; most generators leave nothing undetermined."""

    @abstractmethod
    def picture(self, latents: Latents) -> Picture:
        """Expected patches; needs every latent variable, also those inferred exactly."""


@dataclass(frozen=True)
class OnPixels:
    """Independent pixels about a decoded image."""

    noise: Noise
    field: Float[Tensor, "batch channel y x"]

    def evidence(self, patches: Patches) -> Evidence:
        """The masked sum of the pixels' log densities."""
        patches = patches.repeat(len(self.field) // len(patches))
        density = log_prob(self.noise, patches.values, self.field) * patches.weight
        total = density.sum((1, 2, 3))
        if isinstance(self.noise, Gaussian) and self.noise.log_slope is not None:
            total = total + background_plane.on_pixels(
                patches.values - self.field,
                patches.weight.expand_as(patches.values),
                log_sd=self.noise.log_sd,
                log_slope=self.noise.log_slope,
            )
        return Evidence(total)


class PixelGenerator(Generator):
    """A field on the pixels, with or without poses, and noise about it."""

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
    once for every position of the disc. A sample outside the frame has weight 0, so moving the disc off the frame gains nothing.
    """

    grid: PolarGrid
    noise: Noise
    prior: CirclePrior
    field: Float[Tensor, "batch channel radius angle"]
    centre: Float[Tensor, "patch 2"] | None
    turn: Float[Tensor, " batch"] | None = None
    """Angle of the field from the upright one [rad]; 0 when empty."""
    n_frequencies: int | None = None
    """Number of angular frequencies of the field, from 0; all when empty."""

    def evidence(self, patches: Patches) -> Evidence:
        """Bayes' rule over all angles: the expected log-likelihood, and the posterior of `angle`."""
        scores = self.scores(patches)
        posterior = AnglePosterior.from_scores(
            scores + angle_weights(patches.known, scores), self.prior
        )
        expected = (posterior.log_prob.exp() * scores).sum(-1)
        return Evidence(expected, {"angle": posterior})

    def scores(self, patches: Patches) -> Float[Tensor, "batch turn"]:
        """Log-likelihood at equally spaced angles from 0 [nats].

        x·η and A(η) are circular correlations along the angle; without a mask ΣA does not depend on the angle.
        """
        times = len(self.field) // len(patches)
        view, frame, disc = self.grid.observe_with_moments(patches, self.centre)
        natural = self.noise.natural(self.field)
        partition = self.noise.log_partition(natural)
        n_turns = FINER * self.grid.n_angles
        of_field, of_partition = self._n_frequencies()
        pattern = self.grid.area * view.values
        scores = correlate(pattern, natural, n_turns=n_turns, n_frequencies=of_field)
        if view.fraction is None:
            total = (self.grid.area * partition.sum(-1, keepdim=True)).sum((1, 2, 3))
            scores = scores - total.unsqueeze(-1)
        else:
            weight = self.grid.area * view.fraction
            scores = scores - correlate(
                weight, partition, n_turns=n_turns, n_frequencies=of_partition
            )
        without = self._without_field(patches, frame, disc)
        scores = scores + without.repeat_interleave(times).unsqueeze(-1)
        if isinstance(self.noise, Gaussian) and self.noise.log_slope is not None:
            scores = scores + background_plane.on_disc(
                self.grid,
                view.values,
                self.field,
                view.fraction,
                n_turns=n_turns,
                log_sd=self.noise.log_sd,
                log_slope=self.noise.log_slope,
            )
        return scores if self.turn is None else rolled(scores, self.turn)

    def _n_frequencies(self) -> tuple[int | None, int | None]:
        """Numbers of angular frequencies of η and of A(η), which is a square of η where η is proportional to the field."""
        if self.n_frequencies is None or not self.noise.proportional:
            return None, None
        return self.n_frequencies, 2 * self.n_frequencies - 1

    def _without_field(
        self,
        patches: Patches,
        frame: Float[Tensor, "patch power channel"],
        disc: Float[Tensor, "patch power channel"],
    ) -> Float[Tensor, " patch"]:
        """The part of the log-likelihood that does not depend on the field: pixels outside the disc, and log h(x) inside [nats].

        Only sums over the pixels enter, and no gradient goes back to images.
        """
        outside, inside = self.noise.background_terms, self.noise.base_terms
        total = ((frame - disc) * outside + disc * inside).sum((1, 2))
        measure = self.noise.log_measure(patches.values)
        return total if measure is None else total + (measure * patches.weight).sum((1, 2, 3))


def angle_weights(known: Annotations, scores: Float[Tensor, "batch turn"]) -> Tensor:
    """Log weights of angles: angles far from the approximate angle are excluded; 0 where it is free."""
    if known.turn is None:
        return scores.new_zeros(())
    offset = circle_grid(scores.shape[-1], like=scores) - known.turn.unsqueeze(-1)
    far = (WINDOW - torch.cos(offset).clamp(max=WINDOW)) / (1 + WINDOW)
    weights = IMPOSSIBLE * far.nan_to_num(nan=0.0)
    return weights.repeat_interleave(len(scores) // len(weights), dim=0)


class DiscGenerator(Generator):
    """A field on the polar grid; the shift moves its centre, and the angle is inferred exactly."""

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
        return OnDisc(
            self.grid, self.noise, self.prior, field, centre, turn, self.field.n_frequencies
        )

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
        if self.prior.sd is None:  # otherwise the prior about 0 determines the gauge
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
    """A likelihood for every state of the classes; the state is inferred exactly."""

    members: Likelihood
    prior: ClassPrior
    others: Mapping[str, Prior]
    """Priors of the latent variables that the members infer exactly."""

    def evidence(self, patches: Patches) -> Evidence:
        """Bayes' rule over all states: the expected log-likelihood, and the posterior of `class`.

        Labels and hints move the posterior, not the prior: the ELBO stays a bound, of the joint density where a label is given.
        """
        evidence = self.members.evidence(patches)
        shape = (len(patches), self.prior.n_states)
        log_likelihood = evidence.log_likelihood.view(shape)
        kl = sum(q.kl(self.others[name]) for name, q in evidence.posterior.items())
        bound = log_likelihood - (kl.view(shape) if isinstance(kl, Tensor) else 0.0)
        unaided = torch.log_softmax(bound, dim=-1)
        weights = class_weights(patches.known, self.prior, like=bound)
        log_prob = unaided if weights is None else torch.log_softmax(bound + weights, dim=-1)
        probability = log_prob.exp()
        posterior: dict[str, Posterior] = {
            name: GivenClass(q, probability) for name, q in evidence.posterior.items()
        }
        expected = (probability * log_likelihood).sum(-1)
        return Evidence(expected, {**posterior, "class": Categorical(log_prob, unaided)})


class EveryClass(Generator):
    """A generator that is evaluated for all classes where the class is not given."""

    def __init__(
        self, generator: Generator, *, prior: ClassPrior, others: Mapping[str, Prior]
    ) -> None:
        super().__init__()
        self.generator, self.prior, self.others = generator, prior, dict(others)

    @property
    def noise(self) -> Noise:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The noise of the inner generator."""
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
