"""Decoders: the same field whatever way it is asked for."""

from typing import Any

import pytest
import torch

from invae.models.batch import Geometry
from invae.models.canvas import Canvas
from invae.models.geometry.polar import PolarGrid
from invae.models.geometry.pose import Rotation, Translation, pixel_grid
from invae.models.networks.decoders import (
    ConvDecoder,
    DenseDecoder,
    FromGrid,
    OnGrid,
    PolarDecoder,
    SpatialDecoder,
)

GEOMETRIES = {
    "square": Geometry(1, 16, 16),
    "odd, three channels": Geometry(3, 15, 13),
    "spectrum": Geometry(1, 1, 50),
}
CODE = torch.linspace(-1, 1, 8).view(4, 2)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
@pytest.mark.parametrize("channels", [(8,), (8, 8, 4)])
def test_convolutions_give_an_image_of_any_shape(geometry, channels):
    decoder = ConvDecoder(geometry, n_code=2, channels=channels)
    image = decoder(CODE)
    assert image.shape == (4, geometry.n_channels, geometry.height, geometry.width)
    image.sum().backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in decoder.parameters())


def hollow(decoder: Any) -> torch.nn.Module:
    """The same decoder, whose last hidden layer says nothing."""
    with torch.no_grad():
        decoder.layers.layers[-1].weight.zero_()
    return decoder


@pytest.mark.parametrize("skip", [False, True])
def test_with_skip_paths_the_code_reaches_the_last_layer_by_itself(skip):
    geometry = Geometry(1, 8, 8)
    dense = DenseDecoder(geometry, n_code=2, hidden=(16, 16), skip=skip)
    spatial = SpatialDecoder(n_code=2, n_channels=1, hidden=(16, 16), skip=skip)
    polar = PolarDecoder(
        PolarGrid(geometry, n_angles=16), n_code=2, n_channels=1, hidden=(16, 16), harmonics=4, skip=skip
    )  # fmt: skip
    coords = pixel_grid(geometry).expand(4, -1, -1)
    fields = (hollow(dense)(CODE), hollow(spatial)(coords, CODE), hollow(polar)(CODE))
    for field in fields:
        assert (float((field[0] - field[1]).detach().abs().max()) > 1e-4) == skip


def test_skip_paths_are_the_only_weights_they_add():
    plain, skip = (
        DenseDecoder(Geometry(1, 4, 4), n_code=3, hidden=(8, 8), skip=s) for s in (False, True)
    )
    more = {n for n, _ in skip.named_parameters()} - {n for n, _ in plain.named_parameters()}
    assert more == {"layers.skips.0.weight", "layers.skips.1.weight"}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_a_coordinate_network_says_the_same_on_the_canvas_as_on_the_pixels(geometry):
    margin = (0 if geometry.height == 1 else 2, 3)
    canvas = Canvas(geometry, margin=margin)
    network = SpatialDecoder(n_code=2, n_channels=geometry.n_channels, hidden=(16,))
    whole = OnGrid(network, canvas)(CODE)
    direct = network(pixel_grid(geometry).expand(4, -1, -1), CODE)
    rows, columns = (slice(m, m + n) for m, n in zip(margin, canvas.frame, strict=True))
    torch.testing.assert_close(whole[..., rows, columns].flatten(2), direct)


def test_a_decoded_canvas_can_be_moved_and_turned():
    geometry = Geometry(1, 15, 15)
    canvas = Canvas(geometry, margin=(3, 3))
    decoder = FromGrid(DenseDecoder(canvas.geometry, n_code=2, hidden=(16,)), canvas)
    image = decoder.decoder(CODE)
    grid = pixel_grid(geometry).expand(4, -1, -1)
    shift = torch.tensor([[2.0, -3.0]]).expand(4, -1) / canvas.half_side
    moved = decoder(Translation().pull_back(grid, shift), CODE).unflatten(-1, (15, 15))
    torch.testing.assert_close(moved, image[..., 1:16, 6:21], rtol=1e-4, atol=1e-5)
    quarter = torch.full((4, 1), torch.pi / 2)
    turned = decoder(Rotation().pull_back(grid, quarter), CODE).unflatten(-1, (15, 15))
    torch.testing.assert_close(
        turned, image[..., 3:18, 3:18].rot90(1, (2, 3)), rtol=1e-4, atol=1e-4
    )
