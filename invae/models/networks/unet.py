"""A small U-Net, from the channels of an image to log odds at every pixel."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from invae.models.networks.layers import block_means

COARSEST = 8
"""Pixels of the image along the side of a pixel of the lowest level; image sizes are multiples of it."""
REACH = 128
"""Largest distance at which a pixel influences the output [px]."""


class UNet(nn.Module):
    """Three levels, at a half, a quarter and an eighth of the resolution; normalised by the statistics of the training."""

    def __init__(self, width: int, *, n_in: int = 1, n_out: int = 1, n_fine: int = 0) -> None:
        """Make a network with random weights.

        Args:
            width: Channels at half the resolution.
            n_in: Channels of the image.
            n_out: Log odds per pixel.
            n_fine: Channels at full resolution, where the image itself is seen again; none without.
        """
        super().__init__()
        self.n_out = n_out
        self.first = _level(4 * n_in, width)
        self.down = _level(width, 2 * width)
        self.bottom = _level(2 * width, 3 * width, dilations=(1, 2, 4))
        self.up = _level(5 * width, 2 * width)
        self.last = _level(3 * width, width)
        self.mark = nn.Conv2d(width, 4 * (n_fine or n_out), 1)
        self.fine = (
            nn.Sequential(_level(n_in + n_fine, n_fine), nn.Conv2d(n_fine, n_out, 1))
            if n_fine
            else None
        )

    def forward(self, image: Tensor) -> Tensor:
        """Log odds (n, n_out, y, x) of images (n, n_in, y, x), standardised; sides are multiples of `COARSEST`."""
        half = self.first(functional.pixel_unshuffle(image, 2))
        quarter = self.down(block_means(half, 2))
        eighth = self.bottom(block_means(quarter, 2))
        quarter = self.up(torch.cat((quarter, _doubled(eighth)), 1))
        half = self.last(torch.cat((half, _doubled(quarter)), 1))
        full = functional.pixel_shuffle(self.mark(half), 2)
        return full if self.fine is None else self.fine(torch.cat((full, image), 1))


def _level(n_in: int, n_out: int, *, dilations: tuple[int, ...] = (1, 1)) -> nn.Sequential:
    """A convolution for every dilation."""
    parts: list[nn.Module] = []
    for index, by in enumerate(dilations):
        n_channels = n_out if index else n_in
        parts.append(nn.Conv2d(n_channels, n_out, 3, padding=by, dilation=by, bias=False))
        parts += [nn.BatchNorm2d(n_out), nn.SiLU()]
    return nn.Sequential(*parts)


def _doubled(image: Tensor) -> Tensor:
    return functional.interpolate(image, scale_factor=2, mode="nearest")
