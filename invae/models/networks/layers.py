"""Layers of several encoders and decoders."""

from collections.abc import Sequence
from itertools import pairwise

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
