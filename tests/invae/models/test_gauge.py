"""Which way up decoded patterns are."""

import math

import pytest
import torch

from invae.config import ModelConfig
from invae.models.build import build
from invae.models.gauge import turned
from invae.models.generators import DiscGenerator
from invae.models.objective import evaluate
from invae.models.patches import Geometry, Patches
from invae.models.polar import rolled

SIZE = 24


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
        model.generator.settle(evaluate(model, patches).completed)


def test_a_turned_field_is_found_turned_by_that(model):
    disc = model.generator
    assert isinstance(disc, DiscGenerator)
    field = disc.field({"content": torch.randn(4, 2)}).detach()
    angle = torch.tensor([0.3, -2.0, 3.0, 0.0])
    times = field[0, :, :, 0].numel()
    moved = rolled(field.flatten(0, 2), angle.repeat_interleave(times)).view_as(field)
    found, likeness = turned(moved, field, grid=disc.grid)
    assert (torch.cos(found - angle) > 1 - 1e-4).all()
    torch.testing.assert_close(likeness, torch.ones(4), atol=1e-2, rtol=0)


def test_settling_changes_angles_and_neither_pictures_nor_the_elbo(model, patches):
    with torch.no_grad():
        before = evaluate(model, patches)
        picture = model.decode(before.completed).mean
        settle(model, patches)
        after = evaluate(model, patches)
        torch.testing.assert_close(model.decode(after.completed).mean, picture, atol=2e-2, rtol=0)
    torch.testing.assert_close(after.terms.elbo, before.terms.elbo, rtol=1e-3, atol=0.1)
    assert len(model.generator.gauge.offset) == len(patches)


def test_settled_patterns_lie_alike(model, patches):
    """Two fields of the same content, one decoded turned, would be the same; nearest landmarks agree in their angle."""
    settle(model, patches)
    disc = model.generator
    with torch.no_grad():
        pattern = disc.pattern(evaluate(model, patches).completed)
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
        angle, again = (evaluate(m, patches).completed["angle"] for m in (model, other.eval()))
    assert torch.equal(angle, again)


def test_a_prior_about_zero_leaves_nothing_to_settle(patches):
    config = ModelConfig.model_validate({"family": "rVAE", "rotation": {"prior_sd": 1.0}})
    model = build(config, Geometry(1, SIZE, SIZE), seed=0)
    settle(model, patches)
    assert len(model.generator.turning.gauge.offset) == 0
