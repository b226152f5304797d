"""Poses: signs, inverses and composition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invae.models.batch import Geometry
from invae.models.geometry.pose import (
    POSES,
    Rotation,
    Scaling,
    Shearing,
    Translation,
    pixel_grid,
    pull_back,
)

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


def test_a_magnified_pattern_is_larger():
    """A disc of radius 1/4 magnified by 2 is one of radius 1/2."""
    grid = pixel_grid(Geometry(1, 64, 64)).double()
    back = Scaling().pull_back(grid[None], one(math.log(2)))[0]
    small, large = (points.norm(dim=-1) < 0.25 for points in (grid, back))
    assert int(large.sum()) == pytest.approx(4 * int(small.sum()), rel=0.05)
    assert torch.equal(large, grid.norm(dim=-1) < 0.5)


def test_a_positive_shear_moves_what_lies_below_to_the_right():
    grid = pixel_grid(Geometry(1, 9, 9)).double()
    column = torch.zeros(9, 9)
    column[:, 4] = 1
    back = Shearing().pull_back(grid[None], one(math.atan(0.5)))[0]
    row, place = (back * 4.5 + 4).round().long().unbind(-1)
    inside = (place >= 0) & (place < 9)
    sheared = torch.where(inside, column[row, place.clamp(0, 8)], 0).reshape(9, 9)
    assert sheared[8].argmax() == 6
    assert sheared[4].argmax() == 4
    assert sheared[0].argmax() == 2


@given(value=st.floats(-1.2, 1.2), other=st.floats(-1.2, 1.2))
@pytest.mark.parametrize("pose", [Scaling(), Shearing()], ids=["scale", "shear"])
def test_scale_and_shear_are_undone_by_their_inverses(pose, value, other):
    there = pose.pull_back(COORDS, one(value))
    assert torch.allclose(pose.pull_back(there, pose.inverse(one(value))), COORDS)
    if isinstance(pose, Scaling):
        both = pose.pull_back(there, one(other))
        assert torch.allclose(both, pose.pull_back(COORDS, one(value + other)))


def test_poses_act_in_their_order():
    """The upright pattern is sheared, magnified, turned and then shifted; points are pulled back the other way."""
    assert list(POSES) == ["shift", "angle", "scale", "shear"]
    latents = {"shift": one(0.3, -0.2), "angle": one(0.7), "scale": one(0.4), "shear": one(0.3)}
    y, x = (COORDS - torch.tensor([0.3, -0.2])).unbind(-1)
    y, x = math.cos(0.7) * y + math.sin(0.7) * x, math.cos(0.7) * x - math.sin(0.7) * y
    y, x = y / math.exp(0.4), x / math.exp(0.4)
    expected = torch.stack((y, x - math.tan(0.3) * y), dim=-1)
    assert torch.allclose(pull_back(COORDS, POSES, latents), expected)


def test_scale_commutes_with_turns_and_shear_does_not():
    turn, shear, scale = one(0.7), one(0.3), one(0.4)
    both = [
        pull_back(COORDS, {a: POSES[a], b: POSES[b]}, {"angle": turn, "scale": scale})
        for a, b in (("angle", "scale"), ("scale", "angle"))
    ]
    assert torch.allclose(both[0], both[1])
    both = [
        pull_back(COORDS, {a: POSES[a], b: POSES[b]}, {"angle": turn, "shear": shear})
        for a, b in (("angle", "shear"), ("shear", "angle"))
    ]
    assert not torch.allclose(both[0], both[1])
