"""Folders of models: one written before signals had names opens, says what it said, and is written again the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from invae import InvariantVAE, dims
from invae.errors import ConfigError, InputError, StoreError
from invae.models.batch import Geometry
from invae.results.contents import info
from invae.storage import store
from invae.training.model_folder import load, refuse_unfit, save

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


def spectra_over(path: Path, axis: np.ndarray, units: str = "eV") -> Path:
    """A store of spectra with peaks that move."""
    at = np.random.default_rng(0).uniform(0.3, 0.7, (40, 1))
    values = np.exp(-((np.linspace(0, 1, len(axis)) - at) ** 2) / 0.02)[:, None, None]
    variables = {
        "patch": (dims.PATCH, values.astype(np.float32)),
        "valid": (dims.PATCH, values > -1),
    }
    place = {name: ("site", np.arange(40)) for name in ("frame", "y", "x")}
    coords = {"patch_y": np.zeros(1), "patch_x": ("patch_x", axis, {"units": units}), "channel": ["eels"], **place}  # fmt: skip
    told = {"spectrum_axis": "energy", "window": 1, "footprint": 1, "notes": []}
    store.write_dataset(path, xr.Dataset(variables, coords, told))
    return path


def test_spectra_on_another_axis_than_that_of_the_model_are_refused_in_one_line(tmp_path):
    electronvolts = np.linspace(0.4, 1.2, 24)
    own = spectra_over(tmp_path / "own.zarr", electronvolts)
    model = InvariantVAE("VAE", latent_dim=2, training={"epochs": 1}, device="cpu")
    model.fit(own).save(tmp_path / "model")
    same = InvariantVAE.load(tmp_path / "model", device="cpu")
    assert same.encode(own).sizes["site"] == 40
    others = {"moved": (electronvolts + 0.1,), "volts": (electronvolts, "V"), "back": (electronvolts[::-1],)}  # fmt: skip
    for name, axis in others.items():
        other = spectra_over(tmp_path / f"{name}.zarr", *axis)
        words = rf"{name}.zarr: spectra have the axis energy .*, the model has energy 0.4–1.2 eV in 24 channels"
        with pytest.raises(InputError, match=words) as refused:
            same.encode(other)
        assert "\n" not in str(refused.value)
        with pytest.raises(InputError, match=words):
            refuse_unfit(tmp_path / "model", store.open_store(other), patches=other)


@pytest.mark.parametrize("family", ["rVAE", "shearVAE", "jrtVAE"])
def test_families_that_turn_patches_refuse_spectra_before_the_training(family):
    model = InvariantVAE(family, latent_dim=2, training={"epochs": 1}, device="cpu")
    with pytest.raises(ConfigError, match="patches of one row, such as spectra, have no angle"):
        model.fit(np.ones((20, 24), np.float32) * np.linspace(0, 1, 24, dtype=np.float32))
