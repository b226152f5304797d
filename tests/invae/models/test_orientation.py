"""The gauge: the zero of the angle of decoded patterns."""

import math
from typing import Any

import pytest
import torch

from invae.config import ModelConfig
from invae.models.batch import Geometry, Patches
from invae.models.build import build
from invae.models.evaluation import evaluate
from invae.models.generators import DiscGenerator
from invae.models.geometry.polar import PolarGrid, rolled
from invae.models.orientation import turned
from invae.models.signals import Signals

SIZE = 24
POINTING = ModelConfig.model_validate(
    {
        "family": "rVAE",
        "rotation": {"zero": "dipole"},
        "decoder": {"kind": "polar", "harmonics": 2},  # smooth, so that pixels show the direction
    }
)


@pytest.fixture
def model():
    made = build(ModelConfig(family="rVAE"), Geometry(1, SIZE, SIZE), seed=0)
    return made.eval()


@pytest.fixture
def patches() -> Patches:
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-1, 1, SIZE)
    noise = torch.rand(30, 1, SIZE, SIZE, generator=generator)
    return Patches(0.3 * noise + ramp)


def settle(model, patches: Patches) -> None:
    with torch.no_grad():
        model.main.generator.settle(evaluate(model, Signals.of_image(patches)).completed)


def test_a_turned_field_is_found_turned_by_that(model):
    disc = model.main.generator
    assert isinstance(disc, DiscGenerator)
    field = disc.field({"content": torch.randn(4, 2)}).detach()
    angle = torch.tensor([0.3, -2.0, 3.0, 0.0])
    times = field[0, :, :, 0].numel()
    moved = rolled(field.flatten(0, 2), angle.repeat_interleave(times)).view_as(field)
    inferred, likeness = turned(moved, field, grid=disc.grid)
    assert (torch.cos(inferred - angle) > 1 - 1e-4).all()
    torch.testing.assert_close(likeness, torch.ones(4), atol=1e-2, rtol=0)


def test_settling_changes_angles_and_neither_pictures_nor_the_elbo(model, patches):
    with torch.no_grad():
        before = evaluate(model, Signals.of_image(patches))
        picture = model.decode(before.completed).mean
        settle(model, patches)
        after = evaluate(model, Signals.of_image(patches))
        torch.testing.assert_close(model.decode(after.completed).mean, picture, atol=2e-2, rtol=0)
    torch.testing.assert_close(after.terms.elbo, before.terms.elbo, rtol=1e-3, atol=0.1)
    assert len(model.main.generator.gauge.offset) == len(patches)


def test_settled_patterns_lie_alike(model, patches):
    """Two fields of the same content, one decoded turned, would be the same; nearest landmarks agree in their angle."""
    settle(model, patches)
    disc = model.main.generator
    with torch.no_grad():
        pattern = disc.pattern(evaluate(model, Signals.of_image(patches)).completed)
        first = pattern[:1].expand_as(pattern)
        offset, likeness = turned(pattern, first, grid=disc.grid)
    alike = likeness > 0.95
    assert alike.sum() > 1
    assert (torch.cos(offset[alike]) > math.cos(0.3)).all()


def test_a_settled_model_is_loaded_with_its_landmarks(model, patches):
    settle(model, patches)
    other = build(ModelConfig(family="rVAE"), Geometry(1, SIZE, SIZE), seed=1)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        angle, again = (
            evaluate(m, Signals.of_image(patches)).completed["angle"] for m in (model, other.eval())
        )
    assert torch.equal(angle, again)


def direction(view: torch.Tensor, grid: PolarGrid) -> torch.Tensor:
    """Where the brighter side of fields on the polar grid lies [rad]."""
    y, x = -grid.coords[..., 0], grid.coords[..., 1]
    radius = torch.hypot(y, x)
    weighted = view.sum(1)
    return torch.atan2((weighted * y / radius).sum((1, 2)), (weighted * x / radius).sum((1, 2)))


@pytest.fixture
def pointing():
    """A model whose angles are the directions of the brighter side."""
    return build(POINTING, Geometry(1, SIZE, SIZE), seed=0).eval()


def test_the_dipole_gauge_changes_angles_and_neither_pictures_nor_the_elbo(pointing, patches):
    with torch.no_grad():
        before = evaluate(pointing, Signals.of_image(patches))
        picture = pointing.decode(before.completed).mean
        settle(pointing, patches)
        after = evaluate(pointing, Signals.of_image(patches))
        torch.testing.assert_close(pointing.decode(after.completed).mean, picture, atol=2e-2, rtol=0)  # fmt: skip
    torch.testing.assert_close(after.terms.elbo, before.terms.elbo, rtol=1e-3, atol=0.1)


@pytest.mark.parametrize("degrees", [0, 73, 180, -100])
def test_in_the_dipole_gauge_the_angle_is_the_direction_of_the_brighter_side(
    pointing, patches, degrees
):
    settle(pointing, patches)
    angle = torch.full((5, 1), math.radians(degrees))
    content = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        drawn = pointing.decode({"content": content, "angle": angle}).mean
        upright = pointing.main.generator.pattern({"content": content, "angle": angle})
    grid = pointing.main.generator.grid
    inferred = direction(grid.observe(Patches(drawn)).values, grid)
    assert (torch.cos(inferred - angle[:, 0]) > math.cos(0.1)).all()
    torch.testing.assert_close(direction(upright, grid), torch.zeros(5), atol=1e-4, rtol=0)


def test_a_model_in_the_dipole_gauge_is_loaded_in_it(pointing, patches):
    settle(pointing, patches)
    other = build(POINTING, Geometry(1, SIZE, SIZE), seed=1)
    other.load_state_dict(pointing.state_dict())
    with torch.no_grad():
        angle, again = (
            evaluate(m, Signals.of_image(patches)).completed["angle"]
            for m in (pointing, other.eval())
        )
    assert torch.equal(angle, again)


def test_a_prior_about_zero_leaves_nothing_to_settle(patches):
    config = ModelConfig.model_validate({"family": "rVAE", "rotation": {"prior_sd": 1.0}})
    model: Any = build(config, Geometry(1, SIZE, SIZE), seed=0)
    settle(model, patches)
    assert len(model.main.generator.turning.gauge.offset) == 0
