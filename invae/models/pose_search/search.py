"""Refined poses: every patch has its own found by a search, and the model then sees the patch upright.

A proposer looks at all directions at once; the best poses it names are tried in full (upright patch encoded, image decoded,
likelihood of the whole patch); Gauss-Newton steps take the best of them further; the best of all that was tried is kept,
patch by patch. No gradient goes through the search: the ELBO at the found pose trains the model, the found pose the proposer.

Source: Bidart & Wong 2019, arXiv:1909.02720 (affine VAE), where random restarts and Adam steps find one pose for the batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from invae.config.model import SearchConfig
from invae.models.batch import Patches
from invae.models.generators import Generator, Likelihood, OneOfSeveral
from invae.models.geometry.circle import AnglePosterior
from invae.models.inference import Inference, Noise, Recogniser
from invae.models.latents import Categorical, Encoded, Prior, gumbel
from invae.models.pose_search.estimate import Found, FoundAngle, cost
from invae.models.pose_search.gauss_newton import Climber
from invae.models.pose_search.posed_image import Placed, affine
from invae.models.pose_search.proposals import Proposal, Proposer
from invae.models.precision import full_precision

SHORTER = 0.3
"""Factor on a step after one that made things worse."""
Part = TypeVar("Part")


@dataclass(frozen=True)
class Tried:
    """Poses tried in full, the same number for every patch, in a row."""

    pose: Float[Tensor, "trial number"]
    elbo: Float[Tensor, " trial"]
    """Up to what depends on no pose [nats]."""
    told: Mapping[str, Encoded]
    """What encoders say of the upright patches."""
    upright: Patches
    image: Float[Tensor, "trial channel row column"]
    """Decoded for them."""
    sd: Float[Tensor, "trial number"]
    """Of the Normal as sharp as the likelihood is where the last step began; 0 before the first."""

    def best(self, count: int, *, of: int) -> "Tried":
        """The best `count` of every patch's own `of`."""
        if count == of:
            return self
        best = self.elbo.view(-1, of).topk(count, dim=-1).indices
        first = torch.arange(len(best), device=best.device).unsqueeze(-1) * of
        rows = (first + best).flatten()
        return mapped(lambda values: values[rows], self)

    def improved(self, other: "Tried") -> tuple["Tried", Bool[Tensor, " trial"]]:
        """The better of two, trial by trial, and where it is the other one."""
        better = other.elbo > self.elbo

        def chosen(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(better.view(-1, *[1] * (old.ndim - 1)), new, old)

        return mapped(chosen, other, self), better


@dataclass(frozen=True)
class Looking:
    """A batch, and what tries poses on it."""

    seen: Patches
    """As encoders get it."""
    standard: Patches
    """As the likelihood takes it."""
    recogniser: Recogniser
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
                none = looking.standard.values.new_zeros(
                    len(looking.seen), len(self.climber.farthest)
                )
                found, told = self._named(none, none, torch.ones_like(none[:, 0])), None
            else:
                found, told = self._found(looking, self._starts(proposal, noise), proposal)
        poses = {name: q.value for name, q in found.items()}
        posterior = {name: q.told_by(proposal.surprise(name, q.value)) for name, q in found.items()}
        # Once more where there are gradients to follow or draws to make.
        if told is None or noise is not None or torch.is_grad_enabled():
            told = looking.recogniser(self._upright(looking.seen, poses), noise)
        return Inference({**posterior, **told.posterior}, {**poses, **told.latents})

    def _starts(
        self, proposal: Proposal, noise: Noise | None
    ) -> Float[Tensor, "batch trial number"]:
        """Poses to try first: the likeliest angles; without an angle, the proposal and no pose at all."""
        means = {name: q.mean.unsqueeze(1) for name, q in proposal.others.items()}
        if proposal.angle is None:
            start = torch.cat([means[name] for name in self.climber.maps], dim=-1)
            return torch.cat((start, torch.zeros_like(start)), dim=1)
        count, log_prob = self.config.scanned, proposal.angle.log_prob
        if noise is not None:
            count, log_prob = self.config.explored, log_prob + gumbel(noise["search"])
        means["angle"] = AnglePosterior(log_prob).modes(count)[0].unsqueeze(-1)
        return torch.cat([means[name].expand(-1, count, -1) for name in self.climber.maps], dim=-1)

    def _found(
        self, looking: Looking, starts: Float[Tensor, "batch trial number"], proposal: Proposal
    ) -> tuple[dict[str, Found], Inference]:
        """The best pose of every patch, and what encoders say of the patch in it."""
        count = starts.shape[1]
        restarts = min(self.config.restarts, count)
        first = self._try(looking, starts.flatten(0, 1))
        best = first.best(restarts, of=count)
        reach = torch.ones_like(best.elbo)
        for _ in range(self.config.steps):
            with full_precision(best.pose):
                step, sd = self.climber.step(
                    best.upright, best.image, looking.generator.noise, best.pose
                )
            best = replace(best, sd=sd)
            next_pose = best.pose + reach.unsqueeze(-1) * step
            best, better = best.improved(replace(self._try(looking, next_pose), sd=sd))
            reach = torch.where(better, 1.0, SHORTER * reach)
        chosen = best.best(1, of=restarts)
        latents = {name: q.draw(None) for name, q in chosen.told.items()}
        certainty = self._certainty([first, best], proposal, n_patches=len(starts))
        return self._named(chosen.pose, chosen.sd, certainty), Inference(chosen.told, latents)

    def _certainty(
        self, tried: Sequence[Tried], proposal: Proposal, *, n_patches: int
    ) -> Float[Tensor, " batch"]:
        """Length of the mean direction of all that was tried, weighted as the ELBO says; 1 without an angle.

        Where one direction alone was tried the proposal says how many there are.
        """
        if proposal.angle is None:
            return torch.ones_like(tried[-1].elbo[:n_patches])
        if len(tried[0].elbo) == n_patches:
            return proposal.angle.resultant
        elbo = torch.cat([t.elbo.view(n_patches, -1) for t in tried], dim=-1)
        angle = torch.cat(
            [self.climber.named(t.pose)["angle"].view(n_patches, -1) for t in tried], dim=-1
        )
        weight = torch.softmax(elbo, dim=-1)
        return torch.hypot((weight * angle.cos()).sum(-1), (weight * angle.sin()).sum(-1))

    def _named(
        self,
        pose: Float[Tensor, "batch number"],
        sd: Float[Tensor, "batch number"],
        certainty: Float[Tensor, " batch"],
    ) -> dict[str, Found]:
        """Rows of numbers as what was found of every pose."""
        spreads = self.climber.named(sd)
        said: dict[str, Found] = {}
        for name, value in self.climber.named(pose).items():
            said[name] = Found(value, spreads[name])
            if name == "angle":
                resultant = certainty * torch.exp(-0.5 * spreads[name].squeeze(-1) ** 2)
                said[name] = FoundAngle(value, spreads[name], resultant=resultant)
        return said

    def _upright(self, patches: Patches, poses: Mapping[str, Tensor]) -> Patches:
        return self.climber.frame.undone(patches, affine(self.climber.maps, poses))

    def _try(self, looking: Looking, pose: Float[Tensor, "trial number"]) -> Tried:
        """Poses tried in full."""
        seen, standard = looking.seen, looking.standard
        if len(pose) > len(seen):
            rows = torch.arange(len(seen), device=pose.device)
            rows = rows.repeat_interleave(len(pose) // len(seen))
            seen, standard = mapped(lambda values: values[rows], (seen, standard))
        poses = self.climber.named(pose)
        upright = self._upright(seen, poses)
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
        nothing = torch.zeros_like(pose)
        return Tried(pose, evidence.log_likelihood - spent, told.posterior, upright, image, nothing)


def mapped(function: Callable[..., Tensor], first: Part, *others: Part) -> Part:
    """The same record with a function of its tensors in their place, and in place of those in records inside."""
    found: Any = first
    match first:
        case Tensor():
            found = function(first, *others)
        case Mapping():
            found = {k: mapped(function, v, *(o[k] for o in others)) for k, v in first.items()}  # pyright: ignore[reportIndexIssue]
        case tuple():
            found = tuple(mapped(function, *parts) for parts in zip(first, *others, strict=True))  # pyright: ignore[reportArgumentType]
        case _ if is_dataclass(first) and not isinstance(first, type):
            named = {
                f.name: [getattr(one, f.name) for one in (first, *others)] for f in fields(first)
            }
            found = replace(first, **{k: mapped(function, *v) for k, v in named.items()})
    return found


def _image(likelihood: Likelihood, classes: object) -> Float[Tensor, "trial channel row column"]:
    """The decoded image of every trial; that of the most probable class, if all were tried."""
    if not isinstance(likelihood, OneOfSeveral):
        assert isinstance(likelihood, Placed)
        return likelihood.image
    assert isinstance(likelihood.members, Placed)
    assert isinstance(classes, Categorical)
    n_trials, n_states = classes.log_prob.shape
    first = torch.arange(n_trials, device=classes.log_prob.device) * n_states
    return likelihood.members.image[first + classes.log_prob.argmax(-1)]
