"""Layers with their own formulation: the values and gradients of PyTorch's."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from invae.models.networks.layers import block_means, convolved_around


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("size", "stride"), [(5, 1), (5, 2), (9, 1)])
@pytest.mark.parametrize("n_ones", [0, 3])
def test_a_convolution_around_a_circle_is_that_of_pytorch(size, stride, n_ones):
    torch.manual_seed(0)
    layer = nn.Conv1d(
        4 + n_ones, 6, size, stride=stride, padding=size // 2, padding_mode="circular"
    ).double()
    signal = random(2, 4, 16)
    ones = torch.ones(2, n_ones, 16, dtype=torch.float64)
    slow, fast = layer(torch.cat((signal, ones), dim=1)), convolved_around(layer, signal)
    torch.testing.assert_close(fast, slow)
    weights = (signal, *layer.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(fast.square().sum(), weights),
        torch.autograd.grad(slow.square().sum(), weights),
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_means_of_blocks_have_the_digits_of_avg_pool2d(size):
    images = random(3, 2, 4 * size, 3 * size).float()
    assert torch.equal(block_means(images, size), functional.avg_pool2d(images, size))
