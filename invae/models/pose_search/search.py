"""Refined poses: a search estimates the pose of every patch, and the model then takes the upright patch.

A proposer scores all directions at once. The best proposed poses are evaluated in full: the upright patch is encoded, an image
is decoded, and the likelihood of the whole patch is computed. Gauss-Newton steps refine the best of them. The best of all trials
is kept, patch by patch. No gradient goes through the search: the ELBO at the estimate trains the model, and the estimate trains
the proposer.

Source: Bidart & Wong 2019, arXiv:1909.02720 (affine VAE), where random restarts and Adam steps find one pose for the batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from invae.config.model import SearchConfig
from invae.models.batch import Patches
from invae.models.generators import Generator, Likelihood, OneOfSeveral
from invae.models.geometry.circle import AnglePosterior
from invae.models.inference import Inference, Noise, Recogniser
from invae.models.latents import Categorical, Encoded, Prior, gumbel
from invae.models.pose_search.estimate import AngleEstimate, PoseEstimate, cost
from invae.models.pose_search.gauss_newton import GaussNewton
from invae.models.pose_search.posed_image import Placed, affine
from invae.models.pose_search.proposals import Proposal, Proposer
from invae.models.precision import full_precision

SHORTER = 0.3
"""Factor on the step length after a step that lowered the ELBO."""
Part = TypeVar("Part")


@dataclass(frozen=True)
class Trials:
    """Poses evaluated in full; the trials of a patch are adjacent, and every patch has the same number of them."""

    pose: Float[Tensor, "trial number"]
    elbo: Float[Tensor, " trial"]
    """Up to terms that depend on no pose [nats]."""
    posterior: Mapping[str, Encoded]
    """Posteriors that encoders give for the upright patches."""
    upright: Patches
    image: Float[Tensor, "trial channel row column"]
    """The decoded images."""
    sd: Float[Tensor, "trial number"]
    """Of the Normal with the curvature of the likelihood where the last step began; 0 before the first step."""

    def best(self, count: int, *, of: int) -> "Trials":
        """The best `count` of the `of` trials of every patch."""
        if count == of:
            return self
        best = self.elbo.view(-1, of).topk(count, dim=-1).indices
        first = torch.arange(len(best), device=best.device).unsqueeze(-1) * of
        rows = (first + best).flatten()
        return mapped(lambda values: values[rows], self)

    def improved(self, other: "Trials") -> tuple["Trials", Bool[Tensor, " trial"]]:
        """The better of two trials, one by one, and where it is the one of `other`."""
        better = other.elbo > self.elbo

        def chosen(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(better.view(-1, *[1] * (old.ndim - 1)), new, old)

        return mapped(chosen, other, self), better


@dataclass(frozen=True)
class SearchInput:
    """A batch, and the parts of the model that evaluate poses on it."""

    encoder_input: Patches
    """The batch as encoders take it."""
    standardised: Patches
    """The batch as the likelihood takes it."""
    recogniser: Recogniser
    """Infers all latent variables but the poses."""
    generator: Generator


class Search(nn.Module):
    """Estimates the pose of every patch, for a recogniser and a generator of upright patches."""

    def __init__(
        self,
        proposer: Proposer,
        gauss_newton: GaussNewton,
        *,
        priors: Mapping[str, Prior],
        config: SearchConfig,
    ) -> None:
        """Prepare a search.

        Args:
            proposer: Gives the starting points.
            gauss_newton: Gives the steps.
            priors: Of all latent variables.
            config: Numbers of trials and steps.
        """
        super().__init__()
        self.proposer, self.gauss_newton = proposer, gauss_newton
        self.priors, self.config = dict(priors), config

    def forward(self, batch: SearchInput, noise: Noise | None) -> Inference:
        """Posteriors and values of all encoded latent variables, the estimated poses among them.

        With noise, under the name `search`, the tried angles are drawn from the proposal.
        """
        proposal = self.proposer(batch.encoder_input)
        with torch.no_grad():
            if self.training and not self.config.training:
                zero = batch.standardised.values.new_zeros(
                    len(batch.encoder_input), len(self.gauss_newton.longest_step)
                )
                estimates = self._estimates(zero, zero, torch.ones_like(zero[:, 0]))
                others = None
            else:
                estimates, others = self._search(batch, self._starts(proposal, noise), proposal)
        poses = {name: q.value for name, q in estimates.items()}
        posterior = {
            name: q.with_surprise(proposal.surprise(name, q.value)) for name, q in estimates.items()
        }
        # The search runs without gradients and draws; where either is needed, the upright patch is encoded again.
        if others is None or noise is not None or torch.is_grad_enabled():
            others = batch.recogniser(self._upright(batch.encoder_input, poses), noise)
        return Inference({**posterior, **others.posterior}, {**poses, **others.latents})

    def _starts(
        self, proposal: Proposal, noise: Noise | None
    ) -> Float[Tensor, "batch trial number"]:
        """First poses to try: the most probable angles; without an angle, the proposal and the pose at rest."""
        means = {name: q.mean.unsqueeze(1) for name, q in proposal.others.items()}
        if proposal.angle is None:
            start = torch.cat([means[name] for name in self.gauss_newton.maps], dim=-1)
            return torch.cat((start, torch.zeros_like(start)), dim=1)
        count, log_prob = self.config.scanned, proposal.angle.log_prob
        if noise is not None:
            count, log_prob = self.config.explored, log_prob + gumbel(noise["search"])
        means["angle"] = AnglePosterior(log_prob).modes(count)[0].unsqueeze(-1)
        return torch.cat(
            [means[name].expand(-1, count, -1) for name in self.gauss_newton.maps], dim=-1
        )

    def _search(
        self, batch: SearchInput, starts: Float[Tensor, "batch trial number"], proposal: Proposal
    ) -> tuple[dict[str, PoseEstimate], Inference]:
        """The best pose of every patch, and the other latent variables inferred with it."""
        count = starts.shape[1]
        restarts = min(self.config.restarts, count)
        first = self._evaluate(batch, starts.flatten(0, 1))
        best = first.best(restarts, of=count)
        reach = torch.ones_like(best.elbo)
        for _ in range(self.config.steps):
            with full_precision(best.pose):
                step, sd = self.gauss_newton.step(
                    best.upright, best.image, batch.generator.noise, best.pose
                )
            best = replace(best, sd=sd)
            next_pose = best.pose + reach.unsqueeze(-1) * step
            best, better = best.improved(replace(self._evaluate(batch, next_pose), sd=sd))
            reach = torch.where(better, 1.0, SHORTER * reach)
        chosen = best.best(1, of=restarts)
        latents = {name: q.draw(None) for name, q in chosen.posterior.items()}
        certainty = self._certainty([first, best], proposal, n_patches=len(starts))
        return self._estimates(chosen.pose, chosen.sd, certainty), Inference(
            chosen.posterior, latents
        )

    def _certainty(
        self, trials: Sequence[Trials], proposal: Proposal, *, n_patches: int
    ) -> Float[Tensor, " batch"]:
        """Length of the mean direction of all trials, weighted by their ELBO; 1 without an angle.

        If only one direction was tried, it is that of the proposal.
        """
        if proposal.angle is None:
            return torch.ones_like(trials[-1].elbo[:n_patches])
        if len(trials[0].elbo) == n_patches:
            return proposal.angle.resultant
        elbo = torch.cat([t.elbo.view(n_patches, -1) for t in trials], dim=-1)
        angle = torch.cat(
            [self.gauss_newton.named(t.pose)["angle"].view(n_patches, -1) for t in trials], dim=-1
        )
        weight = torch.softmax(elbo, dim=-1)
        return torch.hypot((weight * angle.cos()).sum(-1), (weight * angle.sin()).sum(-1))

    def _estimates(
        self,
        pose: Float[Tensor, "batch number"],
        sd: Float[Tensor, "batch number"],
        certainty: Float[Tensor, " batch"],
    ) -> dict[str, PoseEstimate]:
        """Rows of numbers as estimates of every pose."""
        sds = self.gauss_newton.named(sd)
        estimates: dict[str, PoseEstimate] = {}
        for name, value in self.gauss_newton.named(pose).items():
            estimates[name] = PoseEstimate(value, sds[name])
            if name == "angle":
                resultant = certainty * torch.exp(-0.5 * sds[name].squeeze(-1) ** 2)
                estimates[name] = AngleEstimate(value, sds[name], resultant=resultant)
        return estimates

    def _upright(self, patches: Patches, poses: Mapping[str, Tensor]) -> Patches:
        return self.gauss_newton.frame.undone(patches, affine(self.gauss_newton.maps, poses))

    def _evaluate(self, batch: SearchInput, pose: Float[Tensor, "trial number"]) -> Trials:
        """Poses evaluated in full."""
        patches, standardised = batch.encoder_input, batch.standardised
        if len(pose) > len(patches):
            rows = torch.arange(len(patches), device=pose.device)
            rows = rows.repeat_interleave(len(pose) // len(patches))
            patches, standardised = mapped(lambda values: values[rows], (patches, standardised))
        poses = self.gauss_newton.named(pose)
        upright = self._upright(patches, poses)
        others = batch.recogniser(upright, None)
        latents = {**others.latents, **poses}
        if patches.known.condition is not None:
            latents["condition"] = patches.known.condition
        likelihood = batch.generator.likelihood(latents)
        evidence = likelihood.evidence(standardised)
        posterior = {**others.posterior, **evidence.posterior}
        kl = sum(q.kl(self.priors[name]) for name, q in posterior.items())
        kl = kl + sum(cost(poses[name], prior) for name, prior in self.gauss_newton.priors.items())
        image = _image(likelihood, posterior.get("class"))
        elbo, no_sd = evidence.log_likelihood - kl, torch.zeros_like(pose)
        encoded = cast("Mapping[str, Encoded]", others.posterior)
        return Trials(pose, elbo, encoded, upright, image, no_sd)


def mapped(function: Callable[..., Tensor], first: Part, *others: Part) -> Part:
    """A record with the function applied to every tensor in it, also in nested records."""
    result: Any = first
    match first:
        case Tensor():
            result = function(first, *others)
        case Mapping():
            result = {k: mapped(function, v, *(o[k] for o in others)) for k, v in first.items()}  # pyright: ignore[reportIndexIssue]
        case tuple():
            result = tuple(mapped(function, *parts) for parts in zip(first, *others, strict=True))  # pyright: ignore[reportArgumentType]
        case _ if is_dataclass(first) and not isinstance(first, type):
            named = {
                f.name: [getattr(one, f.name) for one in (first, *others)] for f in fields(first)
            }
            result = replace(first, **{k: mapped(function, *v) for k, v in named.items()})
    return result


def _image(likelihood: Likelihood, classes: object) -> Float[Tensor, "trial channel row column"]:
    """The decoded image of every trial; if all classes were decoded, that of the most probable class."""
    if not isinstance(likelihood, OneOfSeveral):
        assert isinstance(likelihood, Placed)
        return likelihood.image
    assert isinstance(likelihood.members, Placed)
    assert isinstance(classes, Categorical)
    n_trials, n_states = classes.log_prob.shape
    first = torch.arange(n_trials, device=classes.log_prob.device) * n_states
    return likelihood.members.image[first + classes.log_prob.argmax(-1)]
