"""Folders of models: one written before signals had names opens, says what it said, and is written again the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from invae import InvariantVAE
from invae.errors import InputError, StoreError
from invae.models.batch import Geometry
from invae.results.contents import info
from invae.training.model_folder import load, save

OLD = Path(__file__).with_name("model_of_before_signals")
ANSWERS = OLD.with_suffix(".json")
"""Latents of the five patches below, as the code said them that wrote the folder."""


def patches() -> np.ndarray:
    """Gaussian lines on a tilted background, at angles of their own."""
    y, x = np.mgrid[:8, :8] - 3.5
    angle = np.random.default_rng(0).uniform(-3, 3, 40)
    across = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    return (np.exp(-((across / 1.5) ** 2)) * (1 + 0.3 * np.tanh(y))).astype(np.float32)[:5]


def test_a_model_of_before_signals_had_names_says_what_it_said():
    latents = InvariantVAE.load(OLD, device="cpu").encode(patches())
    answers = json.loads(ANSWERS.read_text())
    assert set(answers) == set(map(str, latents.data_vars))
    for name, values in answers.items():
        np.testing.assert_allclose(latents[name], values, rtol=2e-5, atol=2e-5, err_msg=name)


def test_it_is_written_again_with_equal_weights_names_and_texts(tmp_path):
    save(tmp_path, load(OLD))
    for file in OLD.iterdir():
        if file.suffix == ".json":
            assert json.loads((tmp_path / file.name).read_text()) == json.loads(file.read_text())
        else:
            assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_what_it_holds_can_be_shown():
    assert '"height": 8' in info(OLD)
    assert "jrtVAE" in info(OLD)


def test_signals_of_another_shape_are_refused():
    trained = load(OLD)
    trained.refuse_other({"spectrum": Geometry(1, 1, 300)})
    with pytest.raises(InputError, match="9 × 8"):
        trained.refuse_other({"image": Geometry(1, 9, 8)})


def test_weights_of_another_model_are_refused(tmp_path):
    save(tmp_path, load(OLD))
    card = json.loads((tmp_path / "model.json").read_text())
    card["config"]["latent_dim"] = 3
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(StoreError, match="no model that can be loaded"):
        load(tmp_path, device=torch.device("cpu"))
