"""Encoders: what their features see, and what they do not."""

import pytest
import torch

from invae.models.encoders import ConvEncoder, PooledConvEncoder
from invae.models.patches import Geometry, Patches

GEOMETRIES = {"image": Geometry(1, 32, 32), "spectrum": Geometry(2, 1, 64)}


def spots(geometry: Geometry, *, width: float, shift: int) -> Patches:
    """A smooth spot of some width, some pixels beside the centre."""
    y, x = (torch.arange(n) - (n - 1) / 2 for n in (geometry.height, geometry.width))
    image = torch.exp(-0.5 * (y[:, None] ** 2 + (x - shift) ** 2) / width**2)
    return Patches(image.expand(1, geometry.n_channels, -1, -1))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_pooled_features_tell_widths_and_hardly_places(geometry, seed):
    torch.manual_seed(seed)
    encoder = PooledConvEncoder(geometry, channels=(8, 16, 16))
    here = encoder(spots(geometry, width=2.0, shift=0), None).plain
    wider = encoder(spots(geometry, width=3.0, shift=0), None).plain
    for shift in (1, 2, 3, 4, 5):
        there = encoder(spots(geometry, width=2.0, shift=shift), None).plain
        assert float((there - here).norm()) < 0.3 * float((wider - here).norm())


def test_a_plain_encoder_does_see_places():
    torch.manual_seed(0)
    geometry = GEOMETRIES["image"]
    encoder = ConvEncoder(geometry, channels=(8, 16), n_vectors=1)
    here, there, wider = (
        encoder(spots(geometry, width=w, shift=s), None).plain for w, s in ((2, 0), (2, 5), (3, 0))
    )
    assert float((there - here).norm()) > 0.3 * float((wider - here).norm())


def test_spectra_are_convolved_along_themselves_only():
    encoder = PooledConvEncoder(GEOMETRIES["spectrum"], channels=(4, 4, 4))
    assert [layer.kernel_size for layer in encoder.layers] == [(1, 5), (1, 5), (1, 3)]
