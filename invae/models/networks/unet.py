"""A small U-Net, from an image to the log odds of an atom's centre at every pixel."""

import torch
from torch import Tensor, nn
from torch.nn import functional

COARSEST = 8
"""Pixels of the image along the side of a pixel of the lowest level; image sizes are multiples of it."""
REACH = 128
"""Largest distance at which a pixel influences the output [px]."""


class AtomNetwork(nn.Module):
    """Three levels, at a half, a quarter and an eighth of the resolution; normalised by the statistics of the training."""

    def __init__(self, width: int) -> None:
        """Use `width` channels at half the resolution."""
        super().__init__()
        self.first = _level(4, width)
        self.down = _level(width, 2 * width)
        self.bottom = _level(2 * width, 3 * width, dilations=(1, 2, 4))
        self.up = _level(5 * width, 2 * width)
        self.last = _level(3 * width, width)
        self.mark = nn.Conv2d(width, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Log odds (n, 1, y, x) of images (n, 1, y, x), standardised; sides are multiples of `COARSEST`."""
        half = self.first(functional.pixel_unshuffle(image, 2))
        quarter = self.down(functional.avg_pool2d(half, 2))
        eighth = self.bottom(functional.avg_pool2d(quarter, 2))
        quarter = self.up(torch.cat((quarter, _doubled(eighth)), 1))
        half = self.last(torch.cat((half, _doubled(quarter)), 1))
        return functional.pixel_shuffle(self.mark(half), 2)


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
