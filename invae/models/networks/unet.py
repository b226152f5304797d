"""A small U-Net: an image in, the log odds of an atom's centre at every pixel out."""

import torch
from torch import Tensor, nn
from torch.nn import functional

COARSEST = 8
"""Pixels of the image along the side of a pixel of the lowest level; sizes are multiples of it."""
REACH = 128
"""No pixel further away than this changes the answer [px]."""


class AtomNetwork(nn.Module):
    """Three levels, at a half, a quarter and an eighth of the resolution; normalised by what the training saw."""

    def __init__(self, width: int) -> None:
        """Begin with `width` channels at half the resolution."""
        super().__init__()
        self.first = _level(4, width)
        self.down = _level(width, 2 * width)
        self.bottom = _level(2 * width, 3 * width, wider=(1, 2, 4))
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


def _level(n_in: int, n_out: int, *, wider: tuple[int, ...] = (1, 1)) -> nn.Sequential:
    """A convolution for every dilation in `wider`."""
    parts: list[nn.Module] = []
    for n_channels, by in zip((n_in, *(n_out for _ in wider[1:])), wider, strict=True):
        parts.append(nn.Conv2d(n_channels, n_out, 3, padding=by, dilation=by, bias=False))
        parts += [nn.BatchNorm2d(n_out), nn.SiLU()]
    return nn.Sequential(*parts)


def _doubled(image: Tensor) -> Tensor:
    return functional.interpolate(image, scale_factor=2, mode="nearest")
