"""The objective: minus the ELBO with weights, and further terms; each term is apart until the last line."""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from invae.config.model import ModelConfig
from invae.config.objective import CapacityConfig, ObjectiveConfig
from invae.errors import ConfigError
from invae.models import schedules
from invae.models.evaluation import Evaluation
from invae.models.loss import Loss, Tally
from invae.models.objective_terms import TERMS
from invae.models.penalties import Penalty, PenaltyView, load_penalties

PLAIN = ObjectiveConfig()


@dataclass(frozen=True)
class Objective:
    """What is minimised; it keeps nothing from call to call."""

    beta: float = 1.0
    config: ObjectiveConfig = PLAIN
    penalties: tuple[Penalty, ...] = ()
    n_classes: tuple[int, ...] = ()
    """Of every discrete latent variable; labels are of the first."""

    @classmethod
    def of(cls, config: ModelConfig) -> "Objective":
        """The objective of a model; imports the penalties that it names.

        Raises:
            ConfigError: A weight acts on nothing, or a penalty cannot be used.
        """
        objective, n_classes = config.objective, config.n_classes
        try:
            objective.refuse_contradictions(beta=config.beta, n_classes=n_classes)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        _refuse_idle_weights(config)
        return cls(config.beta, objective, load_penalties(objective.penalties), n_classes)

    @property
    def settled_from(self) -> float:
        """Share of the training after which no weight changes any more."""
        capacities = (self.config.content_capacity, self.config.class_capacity)
        ends = [capacity.end for capacity in capacities if capacity is not None]
        return max(schedules.settled_from(self.config.beta_schedule), *ends, 0.0)

    def loss(self, evaluation: Evaluation, *, progress: float) -> Float[Tensor, ""]:
        """Mean over the batch after a share of the training, 0–1 [nats per patch]."""
        return self.weigh(evaluation, progress=progress).value

    def weigh(self, evaluation: Evaluation, *, progress: float) -> Loss:
        """The loss after a share of the training, 0–1, and its terms.

        Source: Kingma et al. 2014, arXiv:1406.5298, eq. 9; Burgess et al. 2018, arXiv:1804.03599, eq. 8; Dupont 2018,
        arXiv:1804.00104, eq. 7.
        """
        terms, n = evaluation.terms, len(evaluation.batch)
        tallies = {"elbo": Tally.of(terms.elbo), "log_likelihood": Tally.of(terms.log_likelihood)}
        cost = -terms.log_likelihood.mean()
        for name, kl in terms.kl.items():
            tallies[f"kl_{name}"] = Tally.of(kl)
            cost = cost + self._cost(name, kl.mean(), progress)
        for name, weight, tally in (*self._terms(evaluation), *self._penalties(evaluation)):
            tallies[name] = tally
            cost = cost + weight * tally.mean
        for name, value in self._settings(progress):
            tallies[name] = Tally(value * n, n)
        return Loss(cost, tallies)

    def _cost(self, name: str, kl: Float[Tensor, ""], progress: float) -> Float[Tensor, ""]:
        """Cost of a KL divergence, the mean over the batch [nats per patch]."""
        if (capacity := self._capacities().get(name)) is not None:
            return capacity.gamma * (kl - schedules.capacity(capacity, progress)).abs()
        return self._beta(progress) * kl if name == "content" else kl

    def _beta(self, progress: float) -> float:
        return self.beta * schedules.factor(self.config.beta_schedule, progress)

    def _capacities(self) -> dict[str, CapacityConfig]:
        capacities = {"content": self.config.content_capacity, "class": self.config.class_capacity}
        return {name: config for name, config in capacities.items() if config is not None}

    def _settings(self, progress: float) -> Iterator[tuple[str, float]]:
        """Weights and targets that change during the training."""
        if self.config.beta_schedule.kind != "constant":
            yield "beta", self._beta(progress)
        for name, capacity in self._capacities().items():
            yield f"capacity_{name}", schedules.capacity(capacity, progress)

    def _terms(self, evaluation: Evaluation) -> Iterator[tuple[str, float, Tally]]:
        """Name, weight and value of the terms that have a weight and are defined for the batch."""
        for name, term in TERMS.items():
            weight = term.weight(self.config)
            tally = None if weight == 0 else term.value(evaluation, self.n_classes)
            if tally is not None:
                yield name, weight, tally

    def _penalties(self, evaluation: Evaluation) -> Iterator[tuple[str, float, Tally]]:
        """The same of the penalties; all share one view, which decodes at most once."""
        if not self.penalties:
            return
        view = PenaltyView(
            evaluation.completed, evaluation.posterior, evaluation.batch, evaluation.decode
        )
        for penalty in self.penalties:
            yield f"penalty_{penalty.name}", penalty.weight, Tally.of(penalty(view))


def _refuse_idle_weights(config: ModelConfig) -> None:
    """Refuse weights of terms that the model cannot have.

    Raises:
        ConfigError: With the family, and the weight to leave out.
    """
    available = {"classes": bool(config.n_classes), "target": config.n_targets > 0}
    needs = {name: term.needs for name, term in TERMS.items()} | {"class_capacity": "classes"}
    for name, need in needs.items():
        if need is not None and getattr(config.objective, name) and not available[need]:
            raise ConfigError(f"{config.family} has no {need}: leave objective.{name} out")
