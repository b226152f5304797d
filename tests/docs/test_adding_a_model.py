"""The page about adding a model is true: its module adds families, which take the walk of all others."""

import importlib
import math
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch

from invae import InvariantVAE
from invae.config import ModelConfig
from invae.config.family import families
from invae.errors import ConfigError
from invae.models.families import Family
from invae.models.geometry.pose import Pose
from tests.docs.blocks import DOCS, python_blocks
from tests.invae.models.walk import (
    SQUARE,
    WALK,
    a_turned_patch_keeps_its_content_and_turns_its_angle,
    strokes,
)

MODULE, USE, PROOF, *_ = python_blocks(DOCS / "adding-a-model.md")
SMALL = {"decoder": {"kind": "spatial", "hidden": [32, 32]}}
CONV = {"encoder": {"kind": "conv", "channels": [8, 8]}}
POLAR = {"encoder": {"kind": "polar", "channels": [8, 8]}}
ROWS: dict[str, dict[str, object]] = {
    "STRETCHED": {**SMALL, **CONV},
    "TURNED_AND_STRETCHED": {**SMALL, **POLAR},
    "CLASSES_GIVEN_A_CONDITION": {**SMALL, **POLAR, "n_classes": 2, "n_conditions": 1},
}


@pytest.fixture(scope="module")
def stretch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module on the page, where a user would have it."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "stretch.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("stretch")
    sys.path.remove(str(folder))
    sys.modules.pop("stretch", None)


def config(name: str) -> ModelConfig:
    return ModelConfig.model_validate({"family": f"stretch:{name}", **ROWS[name]})


def test_every_family_on_the_page_has_a_row(stretch):
    assert {name for name, what in vars(stretch).items() if isinstance(what, Family)} == {*ROWS}
    assert not {name for name in families() if "stretch" in name}


def test_the_page_proves_a_family_as_it_says():
    assert "for step in WALK" in PROOF


@pytest.mark.parametrize("step", WALK, ids=lambda step: step.__name__)
@pytest.mark.parametrize("name", ROWS)
def test_a_family_from_outside_takes_the_walk(stretch, name, step):
    step(config(name))


def test_a_turn_is_followed_and_a_stretch_does_not_see_it(stretch):
    turning = config("TURNED_AND_STRETCHED")
    a_turned_patch_keeps_its_content_and_turns_its_angle(turning, SQUARE, masked=False)


def test_the_pose_on_the_page_is_undone_by_its_inverse(stretch):
    pose, coords = stretch.Stretching(), torch.randn(1, 9, 2, dtype=torch.float64)
    params = torch.full((1, 1), 0.4, dtype=torch.float64)
    assert isinstance(pose, Pose)
    there = pose.pull_back(coords, params)
    torch.testing.assert_close(pose.pull_back(there, pose.inverse(params)), coords)
    torch.testing.assert_close(there.prod(-1), coords.prod(-1))


def test_the_blocks_on_the_page_run(stretch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(USE, "adding-a-model.md", "exec"), names)
    found, longer = names["found"], names["longer"]
    assert set(found.data_vars) >= {"angle", "stretch", "stretch_sd"}  # type: ignore[attr-defined]
    assert found["stretch"].attrs["long_name"] == "stretch of the pattern"  # type: ignore[index]
    assert np.isfinite(longer).all()  # type: ignore[call-overload]


def test_stretched_patches_are_told_from_others(stretch):
    """A disc of Gaussian intensity, longer along x or along y: the latent orders them."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*[np.linspace(-1, 1, 16)] * 2, indexing="ij")
    truth = rng.normal(0, 0.3, 200)[:, None, None]
    patches = np.exp(-8 * ((y * np.exp(truth)) ** 2 + (x * np.exp(-truth)) ** 2))
    vae = InvariantVAE(
        "stretch:STRETCHED", latent_dim=1, training={"epochs": 25, "batch_size": 25}, device="cpu"
    )
    found = vae.fit(patches).encode(patches)["stretch"]
    assert abs(np.corrcoef(found, truth.ravel())[0, 1]) > 0.9


def test_a_family_of_a_module_that_is_not_imported_is_not_imported_by_its_name(stretch, tmp_path):
    vae = InvariantVAE("stretch:STRETCHED", training={"epochs": 1}, device="cpu").fit(strokes())
    vae.save(tmp_path)
    card = tmp_path / "model.json"
    card.write_text(card.read_text().replace("stretch:STRETCHED", "antigravity:FLY"))
    with pytest.raises(ConfigError, match="is of a module that is not imported; import antigrav"):
        InvariantVAE.load(tmp_path)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"family": "stretch:NOTHING"}, "stretch has no family 'NOTHING'"),
        ({"family": "stretch:Stretching"}, "stretch has no family 'Stretching'"),
        (
            {"family": "stretch:STRETCHED", "pose_inference": "refined"},
            "stretch of stretch:STRETCHED cannot be searched for",
        ),
        (
            {"family": "stretch:STRETCHED", "pose_inference": "exact"},
            "stretch of stretch:STRETCHED cannot be inferred exactly",
        ),
    ],
)
def test_what_cannot_be_is_refused(stretch, options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        InvariantVAE(**options, device="cpu").fit(strokes())


def test_a_stretch_of_zero_is_the_upright_pattern(stretch):
    vae = InvariantVAE("stretch:STRETCHED", training={"epochs": 1}, device="cpu").fit(strokes())
    content = np.zeros((1, 2))
    upright, at_zero = (
        vae.decode(content, own_poses=own) for own in (None, {"stretch": np.zeros(1)})
    )
    np.testing.assert_array_equal(upright, at_zero)
    longer = vae.decode(content, own_poses={"stretch": np.array([math.log(2)])})
    assert float(np.abs(longer - upright).max()) > 1e-4
