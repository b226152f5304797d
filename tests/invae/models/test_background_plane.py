"""Planes in the noise: the densities are those of the full covariance, on pixels and at every angle of the disc."""

import math

import numpy as np
import pytest
import torch

from invae.models.background_plane import on_disc, on_pixels
from invae.models.batch import Geometry
from invae.models.geometry.polar import PolarGrid

LOG_SD, LOG_SLOPE = (torch.tensor([[[value]]]) for value in (-0.7, -0.4))


def test_pixels_have_the_density_of_the_full_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    residual = torch.randn(3, 1, 6, 8, generator=generator, dtype=torch.float64)
    sd, slope = LOG_SD.exp().item(), LOG_SLOPE.exp().item()
    y, x = (
        np.broadcast_to(np.linspace(-1, 1, n).reshape(shape), (6, 8)).ravel()
        for n, shape in ((6, (6, 1)), (8, (1, 8)))
    )
    covariance = sd**2 * np.eye(48) + slope**2 * (np.outer(y, y) + np.outer(x, x))
    whole = torch.distributions.MultivariateNormal(
        torch.zeros(48, dtype=torch.float64), torch.from_numpy(covariance)
    )
    alone = torch.distributions.Normal(0.0, sd).log_prob(residual).sum((1, 2, 3))
    added = on_pixels(
        residual, torch.ones_like(residual), log_sd=LOG_SD.double(), log_slope=LOG_SLOPE.double()
    )
    torch.testing.assert_close(alone + added, whole.log_prob(residual.reshape(3, 48)))


@pytest.fixture
def grid() -> PolarGrid:
    return PolarGrid(Geometry(1, 16, 16), n_angles=32)


def gains(grid: PolarGrid, values: torch.Tensor, field: torch.Tensor, *, masked: bool):
    fraction = torch.ones_like(values) if masked else None
    return on_disc(grid, values, field, fraction, n_turns=128, log_sd=LOG_SD, log_slope=LOG_SLOPE)


def test_every_angle_of_the_disc_has_the_gain_of_the_turned_field(grid: PolarGrid) -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(2, 1, grid.n_radii, 32, generator=generator)
    field = torch.randn(4, 1, grid.n_radii, 32, generator=generator)
    everywhere = gains(grid, values, field, masked=False)
    for step in (0, 5, 17):
        turned = torch.roll(field, step, dims=-1)
        upright = gains(grid, values, turned, masked=False)[:, 0]
        torch.testing.assert_close(everywhere[:, 4 * step], upright, rtol=1e-4, atol=1e-4)


def test_a_mask_that_hides_nothing_changes_nothing(grid: PolarGrid) -> None:
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(2, 1, grid.n_radii, 32, generator=generator)
    field = torch.randn(2, 1, grid.n_radii, 32, generator=generator)
    # at the directions of the grid; between them a masked field is interpolated by its Fourier series
    whole, masked = (gains(grid, values, field, masked=hide)[:, ::4] for hide in (False, True))
    torch.testing.assert_close(whole, masked, rtol=1e-3, atol=1e-3)


def test_a_plane_is_more_probable_with_planes_and_white_noise_less(grid: PolarGrid) -> None:
    radius = grid.coords[..., 1] / grid.coords.norm(dim=-1).max()
    plane = radius.expand(1, 1, -1, -1)
    nothing = torch.zeros(1, 1, grid.n_radii, 32)
    assert gains(grid, plane, nothing, masked=False).min() > 0
    assert gains(grid, nothing, nothing, masked=False).max() < 0
    ratio = (grid.area * radius**2).sum() * (2 * (LOG_SLOPE - LOG_SD)).exp()
    assert gains(grid, nothing, nothing, masked=False)[0, 0].item() == pytest.approx(
        -math.log1p(ratio.item()), rel=1e-4
    )


@pytest.mark.parametrize(("true", "lowest", "highest"), [(0.5, 0.4, 0.6), (0.0, 0.0, 0.05)])
def test_the_slope_is_learned(true: float, lowest: float, highest: float) -> None:
    """From 400 residuals of white noise of sd 0.3 and planes."""
    generator = torch.Generator().manual_seed(3)
    residual = 0.3 * torch.randn(400, 1, 12, 12, generator=generator)
    ramp, slopes = (
        torch.linspace(-1, 1, 12),
        true * torch.randn(2, 400, 1, 1, 1, generator=generator),
    )
    residual = residual + slopes[0] * ramp[:, None] + slopes[1] * ramp
    log_slope = torch.full((1, 1, 1), -2.0, requires_grad=True)
    optimiser = torch.optim.Adam([log_slope], lr=0.1)
    for _ in range(120):
        optimiser.zero_grad()
        gained = on_pixels(
            residual,
            torch.ones_like(residual),
            log_sd=torch.full((1, 1, 1), math.log(0.3)),
            log_slope=log_slope,
        )
        (-gained.mean()).backward()
        optimiser.step()
    assert lowest <= log_slope.exp().item() <= highest
