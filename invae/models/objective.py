"""The ELBO, its terms kept apart until the last line, and all that is weighed against it."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from invae.config.model import ModelConfig
from invae.config.objective import CapacityConfig, ObjectiveConfig
from invae.errors import ConfigError
from invae.models import schedules
from invae.models.batch import Patches
from invae.models.canvas import ShiftPosterior
from invae.models.generators import Picture
from invae.models.geometry.circle import AnglePosterior, WrappedNormal
from invae.models.inference import Noise
from invae.models.latents import (
    Categorical,
    GivenClass,
    Latents,
    Normal,
    PartlyKnown,
    Posterior,
    Relaxed,
)
from invae.models.loss import Loss, Tally
from invae.models.penalties import Penalty, PenaltyView, find
from invae.models.pose_search.estimate import Found
from invae.models.vae import VAE

PLAIN = ObjectiveConfig()


@dataclass(frozen=True)
class Terms:
    """The ELBO of each patch, term by term [nats]."""

    log_likelihood: Float[Tensor, " batch"]
    kl: Mapping[str, Float[Tensor, " batch"]]
    """By latent; of an exactly inferred one too, so that the sum is the marginal likelihood."""

    @property
    def elbo(self) -> Float[Tensor, " batch"]:
        """Lower bound of the log evidence [nats per patch]."""
        return self.log_likelihood - sum(self.kl.values())


@dataclass(frozen=True)
class Evaluation:
    """All that one look at a batch yields."""

    terms: Terms
    latents: Latents
    posterior: Mapping[str, Posterior]
    patches: Patches
    """What was looked at, in the data's own units."""
    decode: Callable[[Latents], Picture]
    """Expected patches of any latents."""

    @property
    def class_log_probability(self) -> Float[Tensor, "batch state"] | None:
        """Log probabilities of the classes from the patches alone, without labels and hints."""
        match self.posterior.get("class"):
            case Categorical() as found:
                return found.unaided
            case Relaxed() as found:
                return found.log_prob
            case _:
                return None

    @property
    def completed(self) -> dict[str, Tensor]:
        """One value of every latent: as drawn, and the most probable of those inferred exactly."""
        latents = dict(self.latents)
        for name, posterior in self.posterior.items():
            if name not in latents:
                latents[name] = _most_probable(posterior)
        return latents


@dataclass(frozen=True)
class Objective:
    """What is minimised: minus the ELBO with weights, and penalties; it keeps nothing from call to call."""

    beta: float = 1.0
    config: ObjectiveConfig = PLAIN
    penalties: tuple[Penalty, ...] = ()
    n_classes: tuple[int, ...] = ()
    """Of every discrete latent; labels are of the first."""

    @classmethod
    def of(cls, config: ModelConfig) -> "Objective":
        """The objective of a model; imports the penalties that it names.

        Raises:
            ConfigError: A weight acts on nothing, or a penalty cannot be used.
        """
        asked, n_classes = config.objective, config.n_classes
        try:
            asked.refuse_contradictions(beta=config.beta, n_classes=n_classes)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        needs = {
            "class_capacity": (asked.class_capacity is not None, bool(n_classes)),
            "class_entropy": (asked.class_entropy > 0, bool(n_classes)),
            "classification": (bool(asked.classification), bool(n_classes)),
            "regression": (bool(asked.regression), config.n_targets > 0),
        }
        for name, (wanted, there) in needs.items():
            if wanted and not there:
                what = "target" if name == "regression" else "classes"
                raise ConfigError(f"{config.family} has no {what}: leave objective.{name} out")
        return cls(config.beta, asked, find(asked.penalties), n_classes)

    @property
    def settled_from(self) -> float:
        """Share of the training after which no weight changes any more."""
        capacities = (self.config.content_capacity, self.config.class_capacity)
        ends = [capacity.end for capacity in capacities if capacity is not None]
        return max(schedules.settled_from(self.config.beta_schedule), *ends, 0.0)

    def loss(self, found: Evaluation, *, progress: float) -> Float[Tensor, ""]:
        """Mean over the batch after a share of the training, 0–1 [nats per patch]."""
        return self.weigh(found, progress=progress).value

    def weigh(self, found: Evaluation, *, progress: float) -> Loss:
        """The loss after a share of the training, 0–1, and all it is made of.

        Source: Kingma et al. 2014, arXiv:1406.5298, eq. 9; Burgess et al. 2018, arXiv:1804.03599, eq. 8; Dupont 2018,
        arXiv:1804.00104, eq. 7.
        """
        terms, n = found.terms, len(found.patches)
        tallies = {"elbo": Tally.of(terms.elbo), "log_likelihood": Tally.of(terms.log_likelihood)}
        cost = -terms.log_likelihood.mean()
        for name, kl in terms.kl.items():
            tallies[f"kl_{name}"] = Tally.of(kl)
            cost = cost + self._cost(name, kl.mean(), progress)
        for name, weight, tally in self._extras(found):
            tallies[name] = tally
            cost = cost + weight * tally.mean
        for name, value in self._aims(progress):
            tallies[name] = Tally(value * n, n)
        return Loss(cost, tallies)

    def _cost(self, name: str, kl: Float[Tensor, ""], progress: float) -> Float[Tensor, ""]:
        """What a KL divergence, the mean over the batch, costs [nats per patch]."""
        if (held := self._capacities().get(name)) is not None:
            return held.gamma * (kl - schedules.capacity(held, progress)).abs()
        return self._beta(progress) * kl if name == "content" else kl

    def _beta(self, progress: float) -> float:
        return self.beta * schedules.factor(self.config.beta_schedule, progress)

    def _capacities(self) -> dict[str, CapacityConfig]:
        held = {"content": self.config.content_capacity, "class": self.config.class_capacity}
        return {name: config for name, config in held.items() if config is not None}

    def _aims(self, progress: float) -> Iterator[tuple[str, float]]:
        """Weights and targets that change while training."""
        if self.config.beta_schedule.kind != "constant":
            yield "beta", self._beta(progress)
        for name, held in self._capacities().items():
            yield f"capacity_{name}", schedules.capacity(held, progress)

    def _extras(self, found: Evaluation) -> Iterator[tuple[str, float, Tally]]:
        """Name, weight and value of every term beside the ELBO's."""
        classes, labels = found.class_log_probability, found.patches.known.labels
        if classes is not None and self.config.class_entropy > 0:
            yield "class_entropy", -self.config.class_entropy, class_entropy(classes)
        weight = self.config.classification
        if classes is not None and labels is not None and weight != 0:
            n_first = self.n_classes[0] if self.n_classes else classes.shape[-1]
            first = classes.unflatten(-1, (n_first, -1)).logsumexp(-1)
            yield "classification", 1.0 if weight is None else weight, cross_entropy(first, labels)
        target, weight = found.posterior.get("target"), self.config.regression
        if isinstance(target, PartlyKnown) and weight != 0:
            yield "regression", 1.0 if weight is None else weight, surprise(target)
        searched = [q for q in found.posterior.values() if isinstance(q, Found)]
        if searched:  # teaches nothing but the search's proposals
            nothing = torch.zeros_like(found.terms.log_likelihood)
            yield "proposal", 1.0, Tally.of(nothing + sum(q.surprise for q in searched))
        if self.penalties:
            view = PenaltyView(found.completed, found.posterior, found.patches, found.decode)
            for penalty in self.penalties:
                yield f"penalty_{penalty.name}", penalty.weight, Tally.of(penalty(view))


def class_entropy(log_prob: Float[Tensor, "batch state"]) -> Tally:
    """Entropy of the mean probabilities over a batch [nats]: 0 if all patches are of one class."""
    n = len(log_prob)
    mean = log_prob.logsumexp(0) - math.log(n)
    return Tally(-n * (mean.exp() * mean).sum(), n)


def cross_entropy(log_prob: Float[Tensor, "batch class"], labels: Int[Tensor, " batch"]) -> Tally:
    """Minus the log probability of the label, of the patches that have one [nats]."""
    labelled = labels >= 0
    right = log_prob.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return Tally(-(labelled * right).sum(), labelled.sum())


def surprise(target: PartlyKnown) -> Tally:
    """Minus the log posterior density of the target, of the patches where one is known [nats]."""
    mean, log_sd, known = target.inferred.mean, target.inferred.log_sd, ~target.known.isnan()
    offset = (target.known.nan_to_num() - mean) * (-log_sd).exp()
    density = -0.5 * offset**2 - log_sd - 0.5 * math.log(2 * math.pi)
    return Tally(-(known * density).sum(), known.any(-1).sum())


def evaluate(model: VAE, patches: Patches, noise: Noise | None = None) -> Evaluation:
    """The terms of the ELBO with latents drawn by `noise`, or at the posterior means without.

    Source: Kingma & Welling 2014, arXiv:1312.6114, eq. 3; exact latents as in SCIENCE 2.
    """
    found = model.infer(patches, noise)
    evidence = model.evidence(found.latents, patches)
    posterior = {**found.posterior, **evidence.posterior}
    kl = {name: q.kl(model.priors[name]) for name, q in posterior.items()}
    terms = Terms(evidence.log_likelihood, kl)
    return Evaluation(terms, found.latents, posterior, patches, model.decode)


def _most_probable(posterior: Posterior) -> Tensor:
    """One value of what is inferred exactly; given the most probable class, if it depends on that."""
    match posterior:
        case GivenClass():
            return _most_probable(posterior.best)
        case AnglePosterior() | WrappedNormal():
            return posterior.angle.unsqueeze(-1)
        case ShiftPosterior():
            return posterior.shift
        case Categorical():
            return posterior.best
        case Normal():
            return posterior.mean
        case _:
            raise AssertionError(f"no value of a {type(posterior).__name__} is known")
