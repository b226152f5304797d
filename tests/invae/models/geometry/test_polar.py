"""The polar grid: areas, turns, correlations."""

import math

import numpy as np
import pytest
import torch

from invae.models.batch import Geometry, Patches
from invae.models.geometry.polar import PolarGrid, correlate, from_harmonics
from invae.models.geometry.pose import Rotation, pixel_grid


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def grid_of(size: int, **options: bool) -> PolarGrid:
    return PolarGrid(Geometry(1, size, size), n_angles=32, **options).double()


@pytest.mark.parametrize("size", [(16, 16), (17, 17), (12, 30)])
def test_areas_sum_to_the_disc(size):
    grid = PolarGrid(Geometry(1, *size), n_angles=64)
    area = float(grid.area.sum()) * 64
    assert area == pytest.approx(math.pi * (min(size) / 2) ** 2, rel=1e-5)


def test_a_disc_in_the_frame_counts_as_its_pixels():
    size, radius = 64, 20.0
    y, x = (grid - (size - 1) / 2 for grid in np.ogrid[:size, :size])
    disc = torch.tensor((np.hypot(y, x) <= radius).astype(float))
    whole = grid_of(size).integrate(disc[None, None])
    assert float(whole) == pytest.approx(float(disc.sum()), rel=0.01)


def test_around_the_patch_every_pixel_of_the_frame_counts():
    ones = torch.ones(1, 1, 24, 24, dtype=torch.float64)
    whole = grid_of(24, circumscribed=True).integrate(ones)
    assert float(whole) == pytest.approx(24**2, rel=0.01)


@pytest.mark.parametrize("size", [16, 17])
@pytest.mark.parametrize("circumscribed", [False, True])
def test_a_quarter_turn_of_the_patch_rolls_the_polar_image(size, circumscribed):
    grid, patch = grid_of(size, circumscribed=circumscribed), images(3, 2, size, size)
    valid = images(3, 2, size, size, seed=1) > -1
    before = grid.observe(Patches(patch, valid))
    after = grid.observe(Patches(patch.rot90(1, (2, 3)), valid.rot90(1, (2, 3))))
    assert before.fraction is not None
    assert after.fraction is not None
    torch.testing.assert_close(after.values, before.values.roll(8, -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(after.fraction, before.fraction.roll(8, -1), atol=1e-6, rtol=0)


def test_a_quarter_turn_also_turns_the_centre():
    grid, patch = grid_of(16), images(2, 1, 16, 16)
    centre = torch.tensor([[0.3, -0.1], [0.05, 0.2]], dtype=torch.float64)
    turned = torch.stack((-centre[:, 1], centre[:, 0]), dim=-1)
    before, after = grid.observe(Patches(patch), centre), grid.observe(
        Patches(patch.rot90(1, (2, 3))), turned
    )  # fmt: skip
    torch.testing.assert_close(after.values, before.values.roll(8, -1), atol=1e-6, rtol=0)


def test_outside_the_frame_nothing_is_seen():
    grid, patch = grid_of(16), torch.ones(1, 1, 16, 16, dtype=torch.float64)
    centre = torch.tensor([[0.0, 1.0]], dtype=torch.float64)  # on the right edge
    view = grid.observe(Patches(patch), centre)
    assert view.fraction is not None
    assert float(view.fraction[..., 0].max()) < 1e-6 or float(view.fraction[0, 0, 1:, 0].max()) == 0
    half = float((view.fraction * grid.area).sum())
    assert half == pytest.approx(math.pi * 8**2 / 2, rel=0.02)


def test_the_fft_correlation_is_the_brute_force_one():
    pattern, field = images(2, 3, 5, 16), images(2, 3, 5, 16, seed=1)
    slow = torch.stack([(pattern * field.roll(k, -1)).sum((1, 2, 3)) for k in range(16)], dim=-1)
    torch.testing.assert_close(correlate(pattern, field, n_turns=16), slow)


def by_fft(pattern: torch.Tensor, field: torch.Tensor, n_turns: int) -> torch.Tensor:
    """The correlation with complex Fourier transforms."""
    n_angles = pattern.shape[-1]
    fields = torch.fft.rfft(field).conj().unflatten(0, (len(pattern), -1))
    spectrum = (torch.fft.rfft(pattern).unsqueeze(1) * fields).sum((2, 3)).flatten(0, 1)
    if n_turns > n_angles:
        spectrum = torch.cat((spectrum[..., :-1], 0.5 * spectrum[..., -1:]), dim=-1)
    return torch.fft.irfft(spectrum, n=n_turns) * (n_turns / n_angles)


@pytest.mark.parametrize("n_turns", [16, 64])
@pytest.mark.parametrize("n_frequencies", [None, 4, 9])
def test_the_correlation_and_its_gradients_are_those_of_ffts(n_turns, n_frequencies):
    pattern = images(2, 3, 5, 16).requires_grad_()
    numbers = images(4, 3, 5, 2 * (n_frequencies or 9), seed=1).requires_grad_()
    field, weight = from_harmonics(numbers, n_points=16), images(4, n_turns, seed=2)
    slow = by_fft(pattern, field, n_turns)
    fast = correlate(pattern, field, n_turns=n_turns, n_frequencies=n_frequencies)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(
        *(
            torch.autograd.grad((weight * scores).sum(), (pattern, numbers), retain_graph=True)
            for scores in (fast, slow)
        )
    )


def test_a_function_of_harmonics_is_the_inverse_fft():
    numbers = images(3, 2 * 9)
    whole = torch.fft.irfft(torch.view_as_complex(numbers.unflatten(-1, (9, 2))), n=16)
    torch.testing.assert_close(from_harmonics(numbers, n_points=16), whole)
    few = numbers[:, : 2 * 4]
    some = torch.fft.irfft(torch.view_as_complex(few.unflatten(-1, (4, 2)).contiguous()), n=16)
    torch.testing.assert_close(from_harmonics(few, n_points=16), some)


@pytest.mark.parametrize("circumscribed", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("moved", [False, True])
def test_moments_are_sums_over_the_sampled_patch(circumscribed, masked, moved):
    grid, patch = grid_of(16, circumscribed=circumscribed), images(3, 2, 16, 16)
    centre = torch.tensor([[0.3, -0.1], [0.05, 0.2], [0, 0]], dtype=torch.float64)
    valid = images(3, 2, 16, 16, seed=1) > -1 if masked else None
    values = patch if valid is None else patch * valid
    weight = torch.ones_like(patch) if valid is None else valid.double()
    place = centre if moved else None
    _, frame, moments = grid.observe_with_moments(Patches(values, valid), place)
    powers = (weight, values, values**2)
    torch.testing.assert_close(frame, torch.stack([p.sum((2, 3)) for p in powers], dim=1))
    by_channel = None if place is None else place.repeat_interleave(2, dim=0)
    slow = [
        grid.integrate(power.flatten(0, 1).unsqueeze(1), by_channel).view(3, 2) for power in powers
    ]
    # The weights of the pixels have the digits of float32, as positions and areas have.
    torch.testing.assert_close(moments, torch.stack(slow, dim=1), rtol=1e-5, atol=1e-5)


def test_turns_between_the_directions_are_interpolated_exactly():
    angle = torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)
    pattern = (2 * angle).cos() + 0.5 * (7 * angle).sin()
    field = (2 * angle + 0.3).cos() - (7 * angle).cos()
    fine = correlate(pattern.expand(1, 1, 1, -1), field.expand(1, 1, 1, -1), n_turns=64)
    turn = torch.arange(64, dtype=torch.float64) * (2 * math.pi / 64)
    turned = (2 * (angle - turn[:, None]) + 0.3).cos() - (7 * (angle - turn[:, None])).cos()
    torch.testing.assert_close(fine[0], (pattern * turned).sum(-1))


def test_as_many_turns_as_directions_leaves_the_highest_frequency_alone():
    pattern = images(1, 1, 1, 8)
    fine = correlate(pattern, pattern, n_turns=32)
    torch.testing.assert_close(fine[:, ::4], correlate(pattern, pattern, n_turns=8))


def test_a_field_read_at_a_quarter_turn_is_rot90():
    grid = grid_of(17, circumscribed=True)
    coords = pixel_grid(Geometry(1, 17, 17)).double()[None]
    field = images(1, 1, grid.n_radii, 32)
    quarter = torch.tensor([[math.pi / 2]], dtype=torch.float64)
    upright = grid.interpolate(field, coords).reshape(17, 17)
    turned = grid.interpolate(field, Rotation().pull_back(coords, quarter)).reshape(17, 17)
    torch.testing.assert_close(turned, upright.rot90(), atol=1e-5, rtol=0)


def test_a_smooth_picture_survives_the_way_to_the_polar_grid_and_back():
    size = 32
    y, x = (torch.arange(size, dtype=torch.float64) - 15.5 for _ in range(2))
    picture = torch.sin(y[:, None] / 6) + torch.cos(x[None] / 5 + 0.4)
    grid = PolarGrid(Geometry(1, size, size), n_angles=128).double()
    coords = pixel_grid(Geometry(1, size, size)).double()[None]
    back = grid.interpolate(grid.sample(picture[None, None]), coords).reshape(size, size)
    inner = grid.support(coords).reshape(size, size) == 1
    assert float((back - picture)[inner].abs().max()) < 0.05
