"""Layers of several encoders and decoders."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class Onwards(nn.Module):
    """Linear layers from the first hidden one, before its GELU, to the output.

    With skip paths the code is also an input of every layer, so that its information is not lost.
    Source: Dieng, Kim, Rush & Blei 2019, arXiv:1807.04863, section 3.
    """

    def __init__(self, widths: Sequence[int], *, n_code: int, skip: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        width = widths[1:] if skip else ()
        self.skips = nn.ModuleList(nn.Linear(n_code, n, bias=False) for n in width)

    def forward(
        self, first: Float[Tensor, "batch *point width"], code: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch *point output"]:
        between = [1] * (first.ndim - 2)
        signal = first
        for number, layer in enumerate(self.layers):
            signal = layer(functional.gelu(signal))
            if self.skips:
                signal = signal + self.skips[number](code).unflatten(0, (-1, *between))
        return signal


def along(
    sides: tuple[int, int], before: int, after: int, *, size: int, stride: int = 1, apart: int = 1
) -> nn.Conv2d:
    """A convolution along the axes of an image that are longer than one pixel, with a dilation of `apart` pixels.

    Edge pixels are continued: with zeros outside, layers would respond to the distance of a pattern from the edge.
    """
    y, x = (int(n > 1) for n in sides)
    edge = apart * (size // 2)
    return nn.Conv2d(
        before,
        after,
        (size**y, size**x),
        stride=(stride**y, stride**x),
        padding=(y * edge, x * edge),
        dilation=(apart**y, apart**x),
        padding_mode="replicate",
    )


def convolved_around(
    layer: nn.Conv1d, signal: Float[Tensor, "batch channel angle"]
) -> Float[Tensor, "batch output angle_of_output"]:
    """A convolution along a circle; input channels of the layer that the signal lacks are 1 everywhere.

    Such channels act as a bias. The layer's own circular padding gives the same values, but copies more in its gradient. Products of
    matrices with windows of the signal, in place of the convolution, were not faster.
    """
    n_channels = signal.shape[1]
    bias = layer.bias
    if n_channels < layer.in_channels:
        ones = layer.weight[:, n_channels:].sum((1, 2))
        bias = ones if bias is None else bias + ones
    padded = continued_around(signal, layer.kernel_size[0] // 2)
    return functional.conv1d(padded, layer.weight[:, :n_channels], bias, layer.stride)


def continued_around(
    signal: Float[Tensor, "batch channel angle"], n: int
) -> Float[Tensor, "batch channel longer"]:
    """A signal on a circle, continued by `n` samples at both ends."""
    continued: Tensor = ContinueAround.apply(signal, n)  # pyright: ignore[reportAssignmentType]
    return continued


class ContinueAround(torch.autograd.Function):
    """Continue a signal on a circle; one pass for the gradient too."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, n: int) -> Tensor:
        ctx.n = n
        return torch.cat((signal[..., -n:], signal, signal[..., :n]), dim=-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,), n = gradients, ctx.n
        own = gradient[..., n:-n].clone()
        own[..., -n:] += gradient[..., :n]
        own[..., :n] += gradient[..., -n:]
        return own, None


def block_means(
    images: Float[Tensor, "batch channel y x"], size: int
) -> Float[Tensor, "batch channel row column"]:
    """Means of square blocks of pixels; the digits of `avg_pool2d`, which takes ten times as long (torch 2.13, CPU)."""
    total = images[..., ::size, ::size]
    for place in range(1, size**2):
        total = total + images[..., place // size :: size, place % size :: size]
    return total / size**2
