"""The ELBO, its terms kept apart until the last line."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from invae.models.latents import Categorical, Latents, Posterior, Relaxed
from invae.models.patches import Patches
from invae.models.recognisers import Noise
from invae.models.vae import VAE


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


@dataclass(frozen=True)
class Objective:
    """What is minimised: minus the ELBO, with a weight on the content's KL divergence."""

    beta: float = 1.0

    def loss(self, terms: Terms) -> Float[Tensor, ""]:
        """Mean over the batch [nats per patch]."""
        excess = (self.beta - 1) * terms.kl["content"]
        return (excess - terms.elbo).mean()


def evaluate(model: VAE, patches: Patches, noise: Noise | None = None) -> Evaluation:
    """The terms of the ELBO with latents drawn by `noise`, or at the posterior means without.

    Source: Kingma & Welling 2014, arXiv:1312.6114, eq. 3; exact latents as in SCIENCE 2.
    """
    found = model.infer(patches, noise)
    evidence = model.evidence(found.latents, patches)
    posterior = {**found.posterior, **evidence.posterior}
    kl = {name: q.kl(model.priors[name]) for name, q in posterior.items()}
    return Evaluation(Terms(evidence.log_likelihood, kl), found.latents, posterior)
