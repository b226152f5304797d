"""Views of patches: the same patches turned, sheared, magnified and shifted a little."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from invae.models.geometry.pose import POSES

SDS: Mapping[str, float] = {"angle": 0.25, "shear": 0.15, "scale": 0.1, "shift": 0.06}
"""Sds of random views, in the units of the models: rotation and shear [rad], logarithm of the magnification, shift in half sides."""


def view(
    patches: Float[Tensor, "site channel y x"], poses: Mapping[str, Float[Tensor, "site number"]]
) -> Float[Tensor, "site channel y x"]:
    """Patches under poses by the names of `POSES`, in the units of the models; pixels from outside are those of the edge."""
    height, width = patches.shape[-2:]
    half_side = max(height, width) / 2
    axes = [torch.arange(n) - (n - 1) / 2 for n in (height, width)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, 2) / half_side
    places = grid.expand(len(patches), -1, -1)
    for name, pose in POSES.items():
        if name in poses:
            places = pose.pull_back(places, poses[name])
    # grid_sample counts x first, and half an axis as 1.
    scale = torch.tensor([2 * half_side / width, 2 * half_side / height])
    at = (places.flip(-1) * scale).reshape(-1, height, width, 2)
    return functional.grid_sample(patches, at, padding_mode="border", align_corners=False)


def random_view(
    patches: Float[Tensor, "site channel y x"], *, generator: torch.Generator
) -> Float[Tensor, "site channel y x"]:
    """A slightly different view of every patch."""
    poses = {
        name: sd * torch.randn(len(patches), 2 if name == "shift" else 1, generator=generator)
        for name, sd in SDS.items()
    }
    return view(patches, poses)


def turned(
    patches: Float[Tensor, "site channel y x"], angle: float
) -> Float[Tensor, "site channel y x"]:
    """All patches turned by one angle [rad], positive as np.rot90."""
    return view(patches, {"angle": torch.full((len(patches), 1), angle)})
