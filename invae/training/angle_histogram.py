"""Where the angles of the training sites lie, counted while the model trains."""

import math

import torch
from torch import Tensor

from invae.models.geometry.circle import AnglePosterior, WrappedNormal
from invae.models.latents import GivenClass
from invae.models.objective import Evaluation
from invae.models.pose_search.estimate import FoundAngle
from invae.training.distributed import ALONE, Team

N_BINS = 36
"""Equal bins from −π to π."""


class AngleCounts:
    """Sites by the angle found, summed on the device."""

    def __init__(self) -> None:
        self._counts: Tensor | None = None

    def add(self, found: Evaluation) -> None:
        """Count a batch in; a family without angle counts nothing."""
        posterior = found.posterior.get("angle")
        if isinstance(posterior, GivenClass):
            posterior = posterior.best
        if isinstance(posterior, AnglePosterior | WrappedNormal | FoundAngle):
            angle = posterior.angle.detach().float()
            counts = torch.histc(angle, bins=N_BINS, min=-math.pi, max=math.pi)
            self._counts = counts if self._counts is None else self._counts + counts

    def values(self, team: Team = ALONE) -> list[int]:
        """Sites of all processes in every bin; empty without an angle."""
        if self._counts is None:
            return []
        return [int(count) for count in team.add(self._counts).tolist()]
