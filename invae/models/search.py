"""Refined poses: every patch has its own found by a search, and the model then sees the patch upright.

A proposer looks at all directions at once; the best poses it names are tried in full (upright patch encoded, image decoded,
likelihood of the whole patch); Gauss-Newton steps take the best of them further; the best of all that was tried is kept,
patch by patch. No gradient goes through the search: the ELBO at the found pose trains the model, the found pose the proposer.

Source: Bidart & Wong 2019, arXiv:1909.02720 (affine VAE), where random restarts and Adam steps find one pose for the batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from invae.config.model import SearchConfig
from invae.models.circle import AnglePosterior
from invae.models.climb import Climber
from invae.models.found import Found, FoundAngle, cost
from invae.models.generators import Generator, Likelihood, OneOfSeveral
from invae.models.latents import Categorical, Prior, gumbel
from invae.models.patches import Patches
from invae.models.placed import Placed
from invae.models.proposals import Proposal, Proposer
from invae.models.recognisers import Inference, Noise, OnePass

SHORTER = 0.3
"""Factor on a step that made things worse."""


@dataclass(frozen=True)
class Tried:
    """Poses tried in full, the same number for every patch, in a row; and where to go from each."""

    pose: Float[Tensor, "trial number"]
    elbo: Float[Tensor, " trial"]
    """Up to what depends on no pose [nats]."""
    step: Float[Tensor, "trial number"]
    sd: Float[Tensor, "trial number"]

    def best(self, count: int, *, of: int) -> "Tried":
        """The best `count` of every patch's own `of`."""
        best = self.elbo.view(-1, of).topk(count, dim=-1).indices
        first = torch.arange(len(best), device=best.device).unsqueeze(-1) * of
        rows = (first + best).flatten()
        return Tried(self.pose[rows], self.elbo[rows], self.step[rows], self.sd[rows])

    def improved(self, other: "Tried") -> "Tried":
        """The better of two, trial by trial; where it is the old one, its step gets shorter."""
        better = other.elbo > self.elbo
        rows = better.unsqueeze(-1)
        return Tried(
            torch.where(rows, other.pose, self.pose),
            torch.where(better, other.elbo, self.elbo),
            torch.where(rows, other.step, SHORTER * self.step),
            torch.where(rows, other.sd, self.sd),
        )


@dataclass(frozen=True)
class Looking:
    """A batch, and what tries poses on it."""

    seen: Patches
    """As encoders get it."""
    standard: Patches
    """As the likelihood takes it."""
    recogniser: OnePass
    """Of everything but the poses."""
    generator: Generator


class Search(nn.Module):
    """Finds every patch's own pose, for a recogniser and a generator that know upright patches."""

    def __init__(
        self,
        proposer: Proposer,
        climber: Climber,
        *,
        priors: Mapping[str, Prior],
        config: SearchConfig,
    ) -> None:
        """Prepare a search.

        Args:
            proposer: Says where to begin.
            climber: Says where to go from there.
            priors: Of all latents.
            config: How much is tried.
        """
        super().__init__()
        self.proposer, self.climber = proposer, climber
        self.priors, self.config = dict(priors), config

    def forward(self, looking: Looking, noise: Noise | None) -> Inference:
        """Posteriors and values of all encoded latents, the poses found among them.

        With noise, under the name `search`, chance decides which angles are tried: the likelier, the more often.
        """
        proposal = self.proposer(looking.seen)
        with torch.no_grad():
            if self.training and not self.config.training:
                found = self._upright(looking.standard)
            else:
                found = self._found(looking, self._starts(proposal, noise))
        posterior = {name: q.told_by(proposal.surprise(name, q.value)) for name, q in found.items()}
        poses = {name: q.value for name, q in found.items()}
        pull = self.climber.pull(torch.cat(list(poses.values()), dim=-1))
        told = looking.recogniser(self.climber.frame.undone(looking.seen, pull), noise)
        return Inference({**posterior, **told.posterior}, {**poses, **told.latents})

    def _upright(self, patches: Patches) -> dict[str, Found]:
        """No pose at all."""
        none = patches.values.new_zeros(len(patches), sum(self.climber.sizes))
        return _named(self.climber, none, none, torch.ones_like(none[:, 0]))

    def _starts(self, proposal: Proposal, noise: Noise | None) -> Float[Tensor, "batch trial number"]:
        """Poses to try first: the likeliest angles; without an angle, the proposal and no pose at all."""
        means = {name: q.mean.unsqueeze(1) for name, q in proposal.others.items()}
        if proposal.angle is None:
            start = torch.cat([means[name] for name in self.climber.maps], dim=-1)
            return torch.cat((start, torch.zeros_like(start)), dim=1)
        count, log_prob = self.config.scanned, proposal.angle.log_prob
        if noise is not None:
            log_prob = log_prob + gumbel(noise["search"])
        means["angle"] = AnglePosterior(log_prob).modes(count)[0].unsqueeze(-1)
        return torch.cat([means[name].expand(-1, count, -1) for name in self.climber.maps], dim=-1)

    def _found(
        self, looking: Looking, starts: Float[Tensor, "batch trial number"]
    ) -> dict[str, Found]:
        """The best pose of every patch."""
        count = starts.shape[1]
        first = self._try(looking, starts.flatten(0, 1))
        restarts = min(self.config.restarts, count)
        best = first.best(restarts, of=count)
        for _ in range(self.config.steps):
            best = best.improved(self._try(looking, best.pose + best.step))
        chosen = best.best(1, of=restarts)
        resultant = torch.ones_like(chosen.elbo)
        if "angle" in self.climber.maps:
            angle = torch.cat([self.climber.named(t.pose)["angle"].view(len(starts), -1) for t in (first, best)], dim=-1)
            weight = torch.softmax(
                torch.cat([t.elbo.view(len(starts), -1) for t in (first, best)], dim=-1), dim=-1
            )
            resultant = torch.hypot((weight * angle.cos()).sum(-1), (weight * angle.sin()).sum(-1))
        return _named(self.climber, chosen.pose, chosen.sd, resultant)

    def _try(self, looking: Looking, pose: Float[Tensor, "trial number"]) -> Tried:
        """Poses tried in full."""
        rows = torch.arange(len(looking.seen), device=pose.device)
        rows = rows.repeat_interleave(len(pose) // len(rows))
        seen, standard = (_taken(patches, rows) for patches in (looking.seen, looking.standard))
        poses = self.climber.named(pose)
        upright = self.climber.frame.undone(seen, self.climber.pull(pose))
        told = looking.recogniser(upright, None)
        latents = {**told.latents, **poses}
        if seen.known.condition is not None:
            latents["condition"] = seen.known.condition
        likelihood = looking.generator.likelihood(latents)
        evidence = likelihood.evidence(standard)
        posterior = {**told.posterior, **evidence.posterior}
        spent = sum(q.kl(self.priors[name]) for name, q in posterior.items())
        spent = spent + sum(cost(poses[name], prior) for name, prior in self.climber.priors.items())
        image = _image(likelihood, posterior.get("class"))
        with torch.autocast(pose.device.type, enabled=False):
            step, sd = self.climber.step(upright, image, looking.generator.noise, pose)
        return Tried(pose, evidence.log_likelihood - spent, step, sd)


def _named(
    climber: Climber,
    pose: Float[Tensor, "batch number"],
    sd: Float[Tensor, "batch number"],
    resultant: Float[Tensor, " batch"],
) -> dict[str, Found]:
    """Rows of numbers as what was found of every pose."""
    said: dict[str, Found] = {}
    for (name, value), spread in zip(
        climber.named(pose).items(), climber.named(sd).values(), strict=True
    ):
        if name == "angle":
            sharp = resultant * torch.exp(-0.5 * spread.squeeze(-1) ** 2)
            said[name] = FoundAngle(value, spread, resultant=sharp)
        else:
            said[name] = Found(value, spread)
    return said


def _image(
    likelihood: Likelihood, classes: object
) -> Float[Tensor, "trial channel row column"]:
    """The decoded image of every trial; that of the most probable class, if all were tried."""
    if not isinstance(likelihood, OneOfSeveral):
        assert isinstance(likelihood, Placed)
        return likelihood.image
    assert isinstance(likelihood.members, Placed) and isinstance(classes, Categorical)
    n_trials, n_states = classes.log_prob.shape
    first = torch.arange(n_trials, device=classes.log_prob.device) * n_states
    return likelihood.members.image[first + classes.log_prob.argmax(-1)]


def _taken(patches: Patches, rows: Int[Tensor, " row"]) -> Patches:
    valid = None if patches.valid is None else patches.valid[rows]
    return Patches(patches.values[rows], valid, patches.known.take(rows))
