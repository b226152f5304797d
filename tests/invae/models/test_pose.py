"""Poses: signs, inverses and composition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invae.models.patches import Geometry
from invae.models.pose import Rotation, Translation, pixel_grid, pull_back

angles = st.floats(-10, 10)
shifts = st.tuples(st.floats(-2, 2), st.floats(-2, 2))
settings.register_profile("fixed", derandomize=True, max_examples=40, deadline=None)
settings.load_profile("fixed")

COORDS = torch.randn(1, 7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def one(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_a_quarter_turn_of_the_grid_is_rot90():
    grid = pixel_grid(Geometry(1, 6, 6)).double()
    index = torch.arange(36).reshape(6, 6)
    back = Rotation().pull_back(grid[None], one(math.pi / 2))[0]
    row, column = (back * 3 + 2.5).round().long().unbind(-1)
    assert np.array_equal(index[row, column].reshape(6, 6), np.rot90(index.numpy()))


def test_a_positive_shift_moves_the_pattern_down_and_right():
    grid = pixel_grid(Geometry(1, 5, 5)).double()
    pattern = torch.zeros(5, 5)
    pattern[1, 1] = 1
    back = Translation().pull_back(grid[None], one(2 / 2.5, 1 / 2.5))[0]
    row, column = (back * 2.5 + 2).round().long().unbind(-1)
    inside = (row >= 0) & (column >= 0)
    moved = torch.where(inside, pattern[row.clamp(0), column.clamp(0)], 0).reshape(5, 5)
    assert moved[3, 2] == 1
    assert moved.sum() == 1


@pytest.mark.parametrize(("height", "width"), [(8, 20), (20, 8), (7, 7), (1, 4)])
def test_pixels_are_square_whatever_the_patch(height, width):
    grid = pixel_grid(Geometry(1, height, width)).reshape(height, width, 2)
    step = 2 / max(height, width)
    assert torch.allclose(grid.diff(dim=0)[..., 0], torch.tensor(step), atol=1e-6)
    assert torch.allclose(grid.diff(dim=1)[..., 1], torch.tensor(step), atol=1e-6)
    assert torch.allclose(grid.mean((0, 1)), torch.zeros(2), atol=1e-6)


@given(angle=angles)
def test_a_turn_is_undone_by_its_inverse(angle):
    pose = Rotation()
    there = pose.pull_back(COORDS, one(angle))
    assert torch.allclose(pose.pull_back(there, pose.inverse(one(angle))), COORDS)
    assert torch.allclose(there.norm(dim=-1), COORDS.norm(dim=-1))


@given(first=angles, second=angles)
def test_turns_add_up(first, second):
    pose = Rotation()
    twice = pose.pull_back(pose.pull_back(COORDS, one(first)), one(second))
    assert torch.allclose(twice, pose.pull_back(COORDS, one(first + second)))


@given(first=shifts, second=shifts)
def test_shifts_add_up_in_any_order(first, second):
    pose = Translation()
    one_way = pose.pull_back(pose.pull_back(COORDS, one(*first)), one(*second))
    other_way = pose.pull_back(pose.pull_back(COORDS, one(*second)), one(*first))
    assert torch.allclose(one_way, other_way)
    assert torch.allclose(pose.pull_back(one_way, -one(*first) - one(*second)), COORDS)


@given(angle=angles, shift=shifts)
def test_a_turned_shift_is_the_shift_of_the_turned(angle, shift):
    """Turning the frame by φ turns the angle by φ and the shift with it."""
    poses = {"shift": Translation(), "angle": Rotation()}
    quarter = one(math.pi / 2)
    seen = pull_back(
        Rotation().pull_back(COORDS, quarter), poses, {"shift": one(*shift), "angle": one(angle)}
    )
    y, x = shift
    turned = {"shift": one(-x, y), "angle": one(angle) + quarter}
    assert torch.allclose(seen, pull_back(COORDS, poses, turned), atol=1e-7)


def test_a_batch_whose_angles_sum_to_zero_is_turned():
    both = torch.tensor([[0.5], [-0.5]], dtype=torch.float64)
    turned = Rotation().pull_back(COORDS.expand(2, -1, -1), both)
    assert (turned - COORDS).abs().amax(dim=(1, 2)).min() > 0.1
