"""The centre finder: the position of the pattern in a patch, as the centre of gravity of salient pixels.

A network on the whole patch must learn every position separately. With a free angle it may converge to a centre outside the
pattern that turns with it: half of the trainings on cards did. A centre of gravity moves with the pattern from the first
step.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Geometry, Patches
from invae.models.geometry.pose import pixel_grid
from invae.models.inference import Inference, Noise
from invae.models.latents import Normal
from invae.models.networks.encoders import POSE_LOG_SD, bounded
from invae.models.networks.layers import block_means
from invae.models.precision import full_precision

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
    blur_y: Tensor
    blur_x: Tensor
    slope_y: Tensor
    slope_x: Tensor

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
        cells = Geometry(
            geometry.n_channels, geometry.height // self.cell, geometry.width // self.cell
        )
        # Not in the state dict: all follow from the geometry.
        self.register_buffer("grid", pixel_grid(cells), persistent=False)
        for axis, n in (("y", cells.height), ("x", cells.width)):
            blurs = torch.stack([blur_matrix(n, sd) for sd in BLURS])
            self.register_buffer(f"blur_{axis}", blurs.float(), persistent=False)
            self.register_buffer(f"slope_{axis}", slope_matrix(n).float(), persistent=False)

    def forward(self, patches: Patches, noise: Noise | None) -> Inference:
        """The posterior of `shift`, and a value drawn from it."""
        values, share = self._cells(patches)
        with torch.no_grad(), full_precision(values):
            levels, energies = self._features(values, share)
            middle = energies[:, len(BLURS) // 2].mean(0).log()
            numbers = torch.cat((levels.flatten(0, 1), energies.flatten(0, 1).log())).flatten(1)
        # The log sd is linear in the mean of the hidden numbers: it is taken in every cell, and its mean is 16 times smaller.
        hidden = functional.gelu(_in_columns(numbers, self.mix))
        say, raw = (
            _in_columns(hidden, self.say, self.log_sd).to(middle.dtype).unflatten(1, middle.shape)
        )
        score = self.power * middle + say
        if share is not None:
            score = score.masked_fill(~_counts(share), -math.inf)
        weight = torch.softmax(score.to(patches.values.dtype), dim=-1)
        mean = weight @ self.grid
        length = mean.norm(dim=-1, keepdim=True) / self.limit
        mean_raw = (weight * raw).sum(-1, keepdim=True)
        log_sd = bounded(mean_raw, *POSE_LOG_SD) + math.log(self.prior_sd)
        posterior = Normal(mean / (1 + length**EDGE) ** (1 / EDGE), log_sd.expand_as(mean))
        drawn = posterior.draw(None if noise is None else noise["shift"])
        return Inference({"shift": posterior}, {"shift": drawn})

    def _cells(self, patches: Patches) -> tuple[Tensor, Tensor | None]:
        """Mean values of the cells, and the valid share of each; None without a mask."""
        values = block_means(patches.values, self.cell)
        if patches.valid is None:
            return values, None
        share = block_means(patches.weight, self.cell)
        weighted = block_means(patches.values * patches.weight, self.cell)
        return weighted / share.clamp(min=1e-3), share

    def _features(
        self, values: Float[Tensor, "batch channel y x"], share: Tensor | None
    ) -> tuple[Float[Tensor, "channel blur batch cell"], Float[Tensor, "channel blur batch cell"]]:
        """Blurred values, and energies of their gradients."""
        level = self._blurred(values if share is None else values * share)
        if share is not None:
            level = level / self._blurred(share).clamp(min=1e-3)
        energy = (self.slope_y @ level).square() + (level @ self.slope_x.mT).square()
        return level.flatten(3), energy.flatten(3) + FAINT

    def _blurred(
        self, images: Float[Tensor, "batch channel y x"]
    ) -> Float[Tensor, "channel blur batch y x"]:
        """Images blurred by every Gaussian, edge pixels continued."""
        by_channel = images.transpose(0, 1).unsqueeze(1)
        return self.blur_y.unsqueeze(1) @ by_channel @ self.blur_x.unsqueeze(1).mT


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


def _in_columns(
    numbers: Float[Tensor, "number cell"], *layers: nn.Linear
) -> Float[Tensor, "output cell"]:
    """Linear layers on few numbers of many cells; with a row for every cell the gradient takes six times as long."""
    weight, bias = (
        torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias")
    )
    return torch.addmm(bias.unsqueeze(-1), weight, numbers)


def blur_matrix(n_pixels: int, sd: float) -> Float[Tensor, "pixel pixel"]:
    """Weights of all pixels of a line in every pixel blurred by a Gaussian of an sd [pixel], edge pixels continued."""
    reach = max(1, round(2.5 * sd))
    offset = torch.arange(-reach, reach + 1)
    kernel = torch.softmax(-0.5 * (offset.double() / sd) ** 2, dim=0)
    pixel = torch.arange(n_pixels).unsqueeze(-1)
    near = (pixel + offset).clamp(0, n_pixels - 1)
    weights = torch.zeros(n_pixels, n_pixels, dtype=torch.float64)
    return weights.scatter_add_(1, near, kernel.expand(n_pixels, -1))


def slope_matrix(n_pixels: int) -> Float[Tensor, "pixel pixel"]:
    """Central differences along a line, edge pixels continued; 0 on a line of one pixel."""
    pixel = torch.arange(n_pixels)
    after, before = (pixel + 1).clamp(max=n_pixels - 1), (pixel - 1).clamp(min=0)
    line = torch.eye(n_pixels, dtype=torch.float64)
    return (line[after] - line[before]) / 2
