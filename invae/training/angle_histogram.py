"""How many sites have which angle, counted while the model trains."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from invae.models.geometry.circle import AnglePosterior, WrappedNormal
from invae.models.latents import GivenClass, Posterior
from invae.models.pose_search.estimate import AngleEstimate

N_BINS = 36
"""Equal bins from −π to π."""


@torch.no_grad()
def angle_histogram(posterior: Mapping[str, Posterior]) -> Float[Tensor, " bin"] | None:
    """Patches of a batch by their most probable angle; none for a family without angle."""
    angle = posterior.get("angle")
    if isinstance(angle, GivenClass):
        angle = angle.best
    if not isinstance(angle, AnglePosterior | WrappedNormal | AngleEstimate):
        return None
    values = angle.angle.float()
    return torch.histc(values, bins=N_BINS, min=-math.pi, max=math.pi)
