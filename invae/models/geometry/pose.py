"""Poses: maps of the coordinate grid. (y, x), y down, origin at the patch centre, positive angles as np.rot90.

One unit is half the longer side of the patch on both axes, so that a turn of a patch that is not square does not shear it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from invae.models.batch import Geometry


def pixel_grid(geometry: Geometry) -> Float[Tensor, "pixel 2"]:
    """Coordinates (y, x) of the pixel centres, row by row, in units of half the longer side."""
    y, x = (
        (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) / geometry.half_side
        for n in (geometry.height, geometry.width)
    )
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).reshape(-1, 2).float()


class Pose(ABC):
    """A map of the grid: the posed image has at `coords` what the upright one has at `pull_back(coords)`."""

    @abstractmethod
    def pull_back(
        self, coords: Float[Tensor, "batch point 2"], params: Float[Tensor, "batch param"]
    ) -> Float[Tensor, "batch point 2"]:
        """Points of the upright image that correspond to points of the posed one."""

    @abstractmethod
    def inverse(self, params: Float[Tensor, "batch param"]) -> Float[Tensor, "batch param"]:
        """The parameters of the inverse pose."""


class Rotation(Pose):
    """Turn about the patch centre by an angle [rad]; positive as np.rot90."""

    def pull_back(
        self, coords: Float[Tensor, "batch point 2"], params: Float[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch point 2"]:
        cos, sin = params.cos(), params.sin()
        y, x = coords.unbind(-1)
        return torch.stack((cos * y + sin * x, cos * x - sin * y), dim=-1)

    def inverse(self, params: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        return -params


class Translation(Pose):
    """Shift by (y, x), in units of half the longer side; positive down and to the right."""

    def pull_back(
        self, coords: Float[Tensor, "batch point 2"], params: Float[Tensor, "batch 2"]
    ) -> Float[Tensor, "batch point 2"]:
        return coords - params.unsqueeze(1)

    def inverse(self, params: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 2"]:
        return -params


class Scaling(Pose):
    """Magnification about the origin; the parameter is its logarithm."""

    def pull_back(
        self, coords: Float[Tensor, "batch point 2"], params: Float[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch point 2"]:
        return coords * (-params).exp().unsqueeze(1)

    def inverse(self, params: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        return -params


class Shearing(Pose):
    """Shear by an angle [rad]: points below the origin move to the right by tan(angle) times their distance."""

    def pull_back(
        self, coords: Float[Tensor, "batch point 2"], params: Float[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch point 2"]:
        y, x = coords.unbind(-1)
        return torch.stack((y, x - params.tan() * y), dim=-1)

    def inverse(self, params: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        return -params


POSES: Mapping[str, Pose] = {
    "shift": Translation(),
    "angle": Rotation(),
    "scale": Scaling(),
    "shear": Shearing(),
}
"""Poses by the name of their latent, which has a row in `invae.latent_table`, in reverse order of application to the pattern."""


def pull_back(
    coords: Float[Tensor, "batch point 2"],
    poses: Mapping[str, Pose],
    latents: Mapping[str, Tensor],
) -> Float[Tensor, "batch point 2"]:
    """Coordinates through all poses, in reverse order of application to the image."""
    for name, pose in poses.items():
        coords = pose.pull_back(coords, latents[name])
    return coords
