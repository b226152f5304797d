"""Evaluation of a model on a batch: the ELBO with its terms apart, the posteriors and the values drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from invae.models.canvas import ShiftPosterior
from invae.models.generators import Picture
from invae.models.geometry.circle import AnglePosterior, WrappedNormal
from invae.models.inference import Noise
from invae.models.latents import Categorical, GivenClass, Latents, Normal, Posterior, Relaxed
from invae.models.signals import Signals
from invae.models.vae import VAE


@dataclass(frozen=True)
class Terms:
    """The ELBO of each patch, term by term [nats]."""

    log_likelihood: Float[Tensor, " batch"]
    kl: Mapping[str, Float[Tensor, " batch"]]
    """By latent variable; also of exactly inferred ones, so that the sum is the marginal likelihood."""

    @property
    def elbo(self) -> Float[Tensor, " batch"]:
        """Lower bound of the log evidence [nats per patch]."""
        return self.log_likelihood - sum(self.kl.values())


@dataclass(frozen=True)
class Evaluation:
    """Result of a model on a batch."""

    terms: Terms
    latents: Latents
    posterior: Mapping[str, Posterior]
    batch: Signals
    """The batch, in the data's own units; foreign objects are hidden."""
    decode: Callable[[Latents], Picture]
    """Expected patches of any latents."""

    @property
    def class_log_probability(self) -> Float[Tensor, "batch state"] | None:
        """Log probabilities of the classes from the patches alone, without labels and hints."""
        match self.posterior.get("class"):
            case Categorical() as posterior:
                return posterior.unaided
            case Relaxed() as posterior:
                return posterior.log_prob
            case _:
                return None

    @property
    def completed(self) -> dict[str, Tensor]:
        """One value of every latent variable: the drawn one, or the most probable one where it is inferred exactly."""
        latents = dict(self.latents)
        for name, posterior in self.posterior.items():
            if name not in latents:
                latents[name] = _most_probable(posterior)
        return latents


def evaluate(model: VAE, batch: Signals, noise: Noise | None = None) -> Evaluation:
    """The terms of the ELBO with latents drawn by `noise`, or at the posterior means without.

    Source: Kingma & Welling 2014, arXiv:1312.6114, eq. 3, summed over the latent variables that are inferred exactly.
    """
    batch = model.cleared(batch)
    inference = model.infer(batch, noise)
    evidence = model.evidence(inference.latents, batch)
    posterior = {**inference.posterior, **evidence.posterior}
    kl = {name: q.kl(model.priors[name]) for name, q in posterior.items()}
    terms = Terms(evidence.log_likelihood, kl)
    return Evaluation(terms, inference.latents, posterior, batch, model.decode)


def _most_probable(posterior: Posterior) -> Tensor:
    """The most probable value of a latent variable that is inferred exactly; of the most probable class, if it depends on that."""
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
