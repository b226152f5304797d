"""One Gauss-Newton step of a pose towards a higher likelihood, from the upright patch and the image decoded for it.

The gradient is taken in the upright frame. The image's slopes need no interpolation there, and every pose moves points along
an affine field (a matrix times the position, plus an offset). So six slopes of the likelihood give the slopes along any pose.
Source: Baker & Matthews 2004, doi:10.1023/B:VISI.0000011205.11775.fd, section 3.2 (inverse compositional alignment), with the
curvature of an exponential family, Fisher's, in place of the sum of squares.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.latent_table import row_of
from invae.models.batch import Patches
from invae.models.geometry.circle import CirclePrior, wrap
from invae.models.geometry.pose import POSES
from invae.models.latents import NormalPrior
from invae.models.likelihoods import Noise
from invae.models.pose_search.posed_image import Affine, Frame, affine

DIFFERENCE = 0.01
"""Half the interval of the central differences of the poses' maps [units of the pose]."""
DAMPING = 1e-3
"""Relative damping of the curvature: some poses hardly change some patches."""


class GaussNewton(nn.Module):
    """The poses of a model as rows of numbers, and steps that raise their likelihood."""

    place: Tensor
    squares: Tensor

    def __init__(self, priors: Mapping[str, NormalPrior | CirclePrior], frame: Frame) -> None:
        """Take the priors of all poses, in the reverse order of their application to the pattern."""
        super().__init__()
        self.priors, self.frame = dict(priors), frame
        self.maps = {name: POSES[name] for name in priors}
        self.sizes = [row_of(name).size or 1 for name in priors]
        self.longest_step = [
            row_of(n).placed.longest_step
            for n, k in zip(priors, self.sizes, strict=True)
            for _ in range(k)
        ]
        place = functional.pad(frame.pixels, (0, 1), value=1.0)
        squares = (place.unsqueeze(-1) * place.unsqueeze(-2)).flatten(1)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("squares", squares, persistent=False)

    def named(self, numbers: Float[Tensor, "batch number"]) -> dict[str, Tensor]:
        """Rows of numbers as latent variables by name."""
        return dict(zip(self.maps, numbers.split(self.sizes, dim=-1), strict=True))

    def pull(self, numbers: Float[Tensor, "batch number"]) -> Affine:
        """The map from points of a patch to points of its upright image."""
        return affine(self.maps, self.named(numbers))

    def step(
        self,
        upright: Patches,
        image: Float[Tensor, "batch channel row column"],
        noise: Noise,
        pose: Float[Tensor, "batch number"],
    ) -> tuple[Float[Tensor, "batch number"], Float[Tensor, "batch number"]]:
        """The step to the maximum of the local parabola of the likelihood, and the sd of the matching Normal.

        Args:
            upright: Patches with their pose removed.
            image: The decoded images, on a canvas that holds the frame.
            noise: The distribution of pixels about the image.
            pose: The poses, one row each.
        """
        pull = self.pull(pose)
        slopes, curvature = self._moments(upright, image, noise, pull)
        derivatives = self._derivatives(pose, pull)
        gradient = (derivatives @ slopes.unsqueeze(-1)).squeeze(-1)
        prior_gradient, precision = self._prior(pose)
        curvature = derivatives @ curvature @ derivatives.mT
        curvature = 0.5 * (curvature + curvature.mT)
        damping = precision + DAMPING * curvature.diagonal(dim1=-2, dim2=-1) + 1e-6
        curvature = curvature + torch.diag_embed(damping)
        # A division where it suffices: the factorisation of small matrices takes as long as everything else.
        inverse = torch.linalg.inv(curvature) if curvature.shape[-1] > 1 else 1 / curvature
        step = (inverse @ (gradient + prior_gradient).unsqueeze(-1)).squeeze(-1)
        limit = step.new_tensor(self.longest_step)
        excess = (step.abs() / limit).amax(-1, keepdim=True).clamp(min=1)
        return step / excess, inverse.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()

    def _moments(
        self, upright: Patches, image: Tensor, noise: Noise, pull: Affine
    ) -> tuple[Float[Tensor, "batch six"], Float[Tensor, "batch six six"]]:
        """Slope and curvature of the log-likelihood along the six affine fields: y, x and 1 along y, the same along x."""
        natural, mean = (self._cropped(f(image)) for f in (noise.natural, noise.mean))
        weight = self.frame.inside(pull.inverse) / pull.area.abs().view(-1, 1, 1, 1)
        if upright.valid is not None:
            weight = weight * upright.weight
        residual = (upright.values - mean[..., 1:-1, 1:-1]) * weight
        natural_y, natural_x = self._slopes(natural)
        mean_y, mean_x = (weight * slope for slope in self._slopes(mean))
        slopes = [_summed(residual * slope, self.place) for slope in (natural_y, natural_x)]
        # The curvature is symmetric: the block of y and x is the transpose of the block of x and y.
        down, across, right = (
            _summed(product, self.squares).unflatten(-1, (3, 3))
            for product in (mean_y * natural_y, mean_y * natural_x, mean_x * natural_x)
        )
        above, below = torch.cat((down, across), -1), torch.cat((across.mT, right), -1)
        return torch.cat(slopes, dim=-1), torch.cat((above, below), dim=-2)

    def _cropped(
        self, image: Float[Tensor, "batch channel row column"]
    ) -> Float[Tensor, "batch channel row_and_2 column_and_2"]:
        """The part of an image on a canvas inside the frame, with a border of one pixel."""
        top, left = ((n - m) // 2 for n, m in zip(image.shape[-2:], self.frame.size, strict=True))
        height, width = self.frame.size
        wide = functional.pad(image, (1, 1, 1, 1), mode="replicate")
        return wide[..., top : top + height + 2, left : left + width + 2]

    def _slopes(
        self, wide: Float[Tensor, "batch channel row_and_2 column_and_2"]
    ) -> tuple[Float[Tensor, "batch channel y x"], Float[Tensor, "batch channel y x"]]:
        """Slopes of an image along y and x [per unit of coordinates]."""
        half = 0.5 * self.frame.half_side
        down = half * wide[..., 1:-1]
        right = half * wide[..., 1:-1, :]
        return down[..., 2:, :] - down[..., :-2, :], right[..., 2:] - right[..., :-2]

    def _derivatives(
        self, pose: Float[Tensor, "batch number"], pull: Affine
    ) -> Float[Tensor, "batch number six"]:
        """Derivatives of the upright image's points with respect to the numbers of the pose, as affine fields."""
        n, count = pose.shape
        offsets = DIFFERENCE * torch.eye(count, dtype=pose.dtype, device=pose.device)
        ends = torch.cat([(pose.unsqueeze(1) + sign * offsets).flatten(0, 1) for sign in (1, -1)])
        moved = self.pull(ends)
        matrix, offset = (
            ((values[: n * count] - values[n * count :]) / (2 * DIFFERENCE)).unflatten(
                0, (n, count)
            )
            for values in (moved.matrix, moved.offset)
        )
        matrix = matrix @ pull.inverse.matrix.unsqueeze(1)
        offset = offset - (matrix * pull.offset[:, None, None]).sum(-1)
        return torch.cat((matrix, offset.unsqueeze(-1)), dim=-1).flatten(2)

    def _prior(
        self, pose: Float[Tensor, "batch number"]
    ) -> tuple[Float[Tensor, "batch number"], Float[Tensor, " number"]]:
        """Slope of the log prior, and its negative curvature."""
        precisions = [
            0.0 if prior.sd is None else prior.sd**-2
            for prior, size in zip(self.priors.values(), self.sizes, strict=True)
            for _ in range(size)
        ]
        precision = pose.new_tensor(precisions)
        values = self.named(pose)
        values = {
            k: wrap(v) if isinstance(self.priors[k], CirclePrior) else v for k, v in values.items()
        }
        return -precision * torch.cat(list(values.values()), dim=-1), precision


def _summed(
    images: Float[Tensor, "batch channel y x"], weights: Float[Tensor, "pixel number"]
) -> Float[Tensor, "batch number"]:
    """Weighted sums over pixels and channels, one per column of weights."""
    return (images.flatten(2) @ weights).sum(1)
