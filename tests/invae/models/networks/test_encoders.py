"""Encoders: what their features see, and what they do not."""

import pytest
import torch

from invae.models.batch import Geometry, Patches
from invae.models.networks.encoders import ConvEncoder, Encoder, PooledConvEncoder

GEOMETRIES = {"image": Geometry(1, 32, 32), "spectrum": Geometry(2, 1, 64)}


def spots(geometry: Geometry, *, width: float, shift: int) -> Patches:
    """A smooth spot of some width, some pixels beside the centre."""
    y, x = (torch.arange(n) - (n - 1) / 2 for n in (geometry.height, geometry.width))
    image = torch.exp(-0.5 * (y[:, None] ** 2 + (x - shift) ** 2) / width**2)
    return Patches(image.expand(1, geometry.n_channels, -1, -1))


def seen(
    encoder: Encoder, geometry: Geometry, *, width: float = 2.0, shift: int = 0
) -> torch.Tensor:
    return encoder(spots(geometry, width=width, shift=shift), None).plain.detach()


def sensitivity(encoder: Encoder, geometry: Geometry, *, shift: int) -> float:
    """Change of the features by a shift, in units of that by half as large a width again."""
    here, there = seen(encoder, geometry), seen(encoder, geometry, shift=shift)
    return float((there - here).norm() / (seen(encoder, geometry, width=3.0) - here).norm())


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_pooled_features_see_widths_and_far_less_of_places_than_plain_ones(geometry, seed):
    torch.manual_seed(seed)
    pooled = PooledConvEncoder(geometry, channels=(8, 16, 16))
    plain = ConvEncoder(geometry, channels=(8, 16), n_vectors=0)
    for shift in (1, 2, 3, 4, 5):
        ours, theirs = (sensitivity(e, geometry, shift=shift) for e in (pooled, plain))
        assert ours < 0.5 * theirs
        assert ours < 0.5


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_pooled_features_do_not_see_shifts_by_their_stride_away_from_the_edge(seed):
    torch.manual_seed(seed)
    encoder = PooledConvEncoder(GEOMETRIES["spectrum"], channels=(8, 16, 16))
    assert sensitivity(encoder, GEOMETRIES["spectrum"], shift=4) < 1e-3
    assert sensitivity(encoder, GEOMETRIES["spectrum"], shift=-8) < 1e-3


def test_spectra_are_convolved_along_themselves_only():
    encoder = PooledConvEncoder(GEOMETRIES["spectrum"], channels=(4, 4, 4))
    assert [layer.kernel_size for layer in encoder.layers] == [(1, 5), (1, 5), (1, 3)]
