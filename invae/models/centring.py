"""The centre finder: the position of the pattern in a patch, as the centre of gravity of salient pixels.

A network on the whole patch must learn every position separately. With a free angle it may converge to a centre outside the
pattern that turns with it: half of the trainings on cards did. A centre of gravity moves with the pattern from the first
step.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Geometry, Patches
from invae.models.geometry.pose import pixel_grid
from invae.models.inference import Inference, Noise
from invae.models.latents import Normal
from invae.models.networks.encoders import POSE_LOG_SD, bounded

BLURS = (0.6, 1.2, 2.4)
"""Sds of the Gaussians that blur a patch [cell]."""
CELLS = 20
"""Minimum number of cells along the longer side; a cell has several pixels if the patch is large enough."""
FAINT = 1e-4
"""Energy of the gradient below which nothing is salient [(standardised value per pixel)²]."""
EDGE = 8
"""Sharpness of the limit on the shift: shifts below half the limit do not change."""


class CentreFinder(nn.Module):
    """Weights of every pixel from features that do not change when the patch turns; their centre of gravity is the shift."""

    grid: Tensor

    def __init__(self, geometry: Geometry, *, prior_sd: float, n_hidden: int = 16) -> None:
        """Start from weights proportional to the energy of the gradient."""
        super().__init__()
        self.prior_sd, self.limit = prior_sd, min(1.0, 4 * prior_sd)
        self.cell = cell_of(geometry)
        self.mix = nn.Linear(2 * len(BLURS) * geometry.n_channels, n_hidden)
        self.say = nn.Linear(n_hidden, 1)
        self.log_sd = nn.Linear(n_hidden, 1)
        self.power = nn.Parameter(torch.ones(()))
        nn.init.zeros_(self.say.weight)
        cells = (n // self.cell for n in (geometry.height, geometry.width))
        grid = pixel_grid(Geometry(geometry.n_channels, *cells))
        self.register_buffer("grid", grid, persistent=False)

    def forward(self, patches: Patches, noise: Noise | None) -> Inference:
        """The posterior of `shift`, and a value drawn from it."""
        values, share = self._cells(patches)
        signal, energy = self._features(values, share)
        hidden = functional.gelu(self.mix(torch.cat((signal, energy.log()), dim=-1)))
        middle = energy[..., len(BLURS) // 2 :: len(BLURS)].mean(-1)
        score = self.power * middle.log() + self.say(hidden).squeeze(-1)
        if share is not None:
            score = score.masked_fill(~_counts(share), -math.inf)
        weight = torch.softmax(score.to(patches.values.dtype), dim=-1)
        mean = weight @ self.grid
        length = mean.norm(dim=-1, keepdim=True) / self.limit
        raw = self.log_sd((weight.unsqueeze(-1) * hidden).sum(1)).to(mean.dtype)
        log_sd = bounded(raw, *POSE_LOG_SD) + math.log(self.prior_sd)
        posterior = Normal(mean / (1 + length**EDGE) ** (1 / EDGE), log_sd.expand_as(mean))
        drawn = posterior.draw(None if noise is None else noise["shift"])
        return Inference({"shift": posterior}, {"shift": drawn})

    def _cells(self, patches: Patches) -> tuple[Tensor, Tensor | None]:
        """Mean values of the cells, and the valid share of each; None without a mask."""
        values = functional.avg_pool2d(patches.values, self.cell)
        if patches.valid is None:
            return values, None
        share = functional.avg_pool2d(patches.weight, self.cell)
        weighted = functional.avg_pool2d(patches.values * patches.weight, self.cell)
        return weighted / share.clamp(min=1e-3), share

    def _features(
        self, values: Float[Tensor, "batch channel y x"], share: Tensor | None
    ) -> tuple[Float[Tensor, "batch cell number"], Float[Tensor, "batch cell number"]]:
        """Blurred values and energies of their gradients; channel by channel, blur by blur."""
        levels, energies = [], []
        for sd in BLURS:
            level = blurred(values if share is None else values * share, sd)
            if share is not None:
                level = level / blurred(share, sd).clamp(min=1e-3)
            levels.append(level)
            energies.append(gradient_energy(level) + FAINT)
        return _by_cell(levels), _by_cell(energies)


def cell_of(geometry: Geometry) -> int:
    """Side of the cells [pixel]: both sides of the patch hold whole numbers of them."""
    height, width = geometry.height, geometry.width
    most = max(height, width) // CELLS
    sides = [n for n in range(1, most + 1) if height % n == 0 and width % n == 0]
    return max(sides, default=1)


def _counts(share: Float[Tensor, "batch channel y x"]) -> Bool[Tensor, "batch cell"]:
    """Cells that may be the centre: those with valid pixels, or all cells of a patch without valid pixels."""
    valid = (share > 0).any(1).flatten(1)
    return valid | ~valid.any(1, keepdim=True)


def blurred(
    images: Float[Tensor, "batch channel y x"], sd: float
) -> Float[Tensor, "batch channel y x"]:
    """Images blurred by a Gaussian of an sd [pixel], edge pixels continued; axes of one pixel stay."""
    reach = max(1, round(2.5 * sd))
    offset = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.softmax(-0.5 * (offset / sd) ** 2, dim=0)
    flat = images.flatten(0, 1).unsqueeze(1)
    if images.shape[-2] > 1:
        flat = functional.conv2d(_continued(flat, (0, 0, reach, reach)), kernel.view(1, 1, -1, 1))
    if images.shape[-1] > 1:
        flat = functional.conv2d(_continued(flat, (reach, reach, 0, 0)), kernel.view(1, 1, 1, -1))
    return flat.view_as(images)


def gradient_energy(
    images: Float[Tensor, "batch channel y x"],
) -> Float[Tensor, "batch channel y x"]:
    """Squared length of the gradient by central differences, zero across axes of one pixel."""
    wide = _continued(images, (1, 1, 1, 1))
    y = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    x = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    return y**2 + x**2


def _continued(
    images: Float[Tensor, "batch channel y x"], by: tuple[int, int, int, int]
) -> Float[Tensor, "batch channel row column"]:
    return functional.pad(images, by, mode="replicate")


def _by_cell(
    images: Sequence[Float[Tensor, "batch channel y x"]],
) -> Float[Tensor, "batch cell number"]:
    return torch.stack(tuple(images), dim=2).flatten(1, 2).flatten(2).mT
