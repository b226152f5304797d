"""What every family must satisfy; a new family adds one row."""

import numpy as np
import pytest
import torch

from invae.config import ModelConfig
from invae.config.family import families
from invae.models.batch import Geometry, Patches
from invae.models.encoding import encode_batch
from invae.models.signals import Signals
from tests.invae.models.walk import (
    SQUARE,
    WALK,
    a_turned_patch_keeps_its_content_and_turns_its_angle,
    made,
    strokes,
    train,
    untold,
)

SMALL_CONV = {"kind": "conv", "channels": [8, 8]}
SMALL_POOLED = {"kind": "conv", "channels": [8, 8], "pooled": True}
SMALL_ENCODER = {"kind": "polar", "channels": [8, 8]}
SMALL_DENSE = {"kind": "dense", "hidden": [32]}
SMALL_SPATIAL = {"kind": "spatial", "hidden": [32, 32]}
SMALL_POLAR = {"kind": "polar", "hidden": [32]}
SMALL_CANVAS = {"kind": "canvas", "layers": {"kind": "dense", "hidden": [32], "skip": True}}

PLAIN: dict[str, object] = {"encoder": SMALL_CONV, "decoder": SMALL_DENSE}
TURNING: dict[str, object] = {"encoder": SMALL_ENCODER, "decoder": SMALL_POLAR}
MOVING: dict[str, object] = {"encoder": SMALL_POOLED, "decoder": SMALL_DENSE}
POSED: dict[str, object] = {
    "pose_inference": "amortised", "encoder": SMALL_CONV, "decoder": SMALL_SPATIAL,
}  # fmt: skip
REFINED: dict[str, object] = {
    "pose_inference": "refined", "encoder": SMALL_CONV, "decoder": SMALL_DENSE,
    "search": {"n_angles": 16},
}  # fmt: skip
THREE: dict[str, object] = {"n_classes": 3}
GUMBEL: dict[str, object] = {**THREE, "class_inference": "gumbel"}
PARTS = {"": PLAIN, "r": TURNING, "t": MOVING, "rt": TURNING}
"""Small parts by the letters of a family's poses."""

ROWS: dict[str, dict[str, object]] = {
    "AE": {"family": "AE", **PLAIN},
    "VAE": {"family": "VAE", **PLAIN},
    "VAE, parts by default": {"family": "VAE"},
    "VAE, three content dimensions": {"family": "VAE", "latent_dim": 3, **PLAIN},
    "VAE, Bernoulli": {"family": "VAE", "likelihood": {"kind": "bernoulli"}},
    "VAE, continuous Bernoulli": {
        "family": "VAE",
        "likelihood": {"kind": "continuous-bernoulli"},
        "encoder": {"kind": "dense", "hidden": [32]},
        "decoder": {"kind": "conv", "channels": [8, 8]},
    },
    "tVAE": {"family": "tVAE", **MOVING},
    "tVAE, coordinate network": {
        "family": "tVAE", "encoder": SMALL_POOLED, "decoder": SMALL_SPATIAL,
    },
    "tVAE, amortised, canvas": {"family": "tVAE", **POSED, "decoder": SMALL_CANVAS},
    "tVAE, polar decoder": {"family": "tVAE", "decoder": SMALL_POLAR},
    "tVAE, refined": {"family": "tVAE", **REFINED},
    "rVAE, exact": {"family": "rVAE", **TURNING},
    "rVAE, exact, Bernoulli": {"family": "rVAE", "likelihood": {"kind": "bernoulli"}},
    "rVAE, exact, Poisson": {"family": "rVAE", "likelihood": {"kind": "poisson"}},
    "rVAE, exact, prior on the angle": {"family": "rVAE", "rotation": {"prior_sd": 1.0}},
    "rVAE, exact, disc around the patch": {"family": "rVAE", "rotation": {"disc": "circumscribed"}},
    "rVAE, exact, coordinate network": {
        "family": "rVAE", "encoder": SMALL_ENCODER, "decoder": SMALL_SPATIAL,
    },
    "rVAE, exact, fixed noise": {"family": "rVAE", "likelihood": {"kind": "gaussian", "sd": 0.3}},
    "rVAE, amortised": {"family": "rVAE", **POSED},
    "rVAE, amortised, polar encoder": {"family": "rVAE", **POSED, "encoder": SMALL_ENCODER},
    "rVAE, refined": {"family": "rVAE", **REFINED},
    "rtVAE, exact": {"family": "rtVAE", **TURNING},
    "rtVAE, exact, conv encoder": {
        "family": "rtVAE", "encoder": SMALL_CONV, "decoder": SMALL_POLAR,
    },
    "rtVAE, amortised, prior on the angle": {
        "family": "rtVAE", "rotation": {"prior_sd": 0.5}, **POSED,
    },
    "scaleVAE": {"family": "scaleVAE", **POSED},
    "shearVAE": {"family": "shearVAE", **POSED},
    "affineVAE, exact": {"family": "affineVAE", "encoder": SMALL_ENCODER, "decoder": SMALL_SPATIAL},
    "affineVAE, amortised": {"family": "affineVAE", **POSED},
    "VAE with two poses": {"family": "VAE", "poses": ["scale", "shift"], **POSED},
    "AVAE": {"family": "AVAE", **REFINED},
    "AVAE, upright while training": {
        "family": "AVAE", **REFINED, "search": {"n_angles": 16, "training": False},
    },
    **{f"skip-{p}VAE": {"family": f"skip-{p}VAE", **PARTS[p]} for p in PARTS},
    **{f"c{p}VAE": {"family": f"c{p}VAE", "n_conditions": 2, **PARTS[p]} for p in PARTS},
    **{f"j{p}VAE": {"family": f"j{p}VAE", **THREE, **PARTS[p]} for p in PARTS},
    **{f"ss{p}VAE": {"family": f"ss{p}VAE", **THREE, **PARTS[p]} for p in PARTS},
    **{f"ssreg{p}VAE": {"family": f"ssreg{p}VAE", "n_targets": 1, **PARTS[p]} for p in PARTS},
    "jVAE, Gumbel": {"family": "jVAE", **GUMBEL, **PLAIN},
    "jrVAE, Gumbel": {"family": "jrVAE", **GUMBEL, **TURNING},
    "jrVAE, amortised, Gumbel": {"family": "jrVAE", **GUMBEL, **POSED},
    "jrVAE, amortised": {"family": "jrVAE", **THREE, **POSED},
    "ssrVAE, Gumbel": {"family": "ssrVAE", **GUMBEL, **TURNING},
    "jrVAE, two discrete latents": {"family": "jrVAE", "n_classes": [3, 2], **TURNING},
    "ssVAE, two discrete latents, Gumbel": {
        "family": "ssVAE", "n_classes": [3, 2], "class_inference": "gumbel", **PLAIN,
    },
}  # fmt: skip
"""Every family, and the parts and ways of inference that go with it."""
EXACT = [
    "rVAE, exact", "rVAE, exact, Bernoulli", "rVAE, exact, Poisson", "rVAE, exact, coordinate network",
    "rVAE, exact, disc around the patch", "rVAE, amortised, polar encoder", "rtVAE, exact",
    "affineVAE, exact", "skip-rtVAE", "crtVAE", "jrVAE", "jrtVAE", "ssrtVAE", "ssregrtVAE",
    "jrVAE, Gumbel", "jrVAE, two discrete latents",
]  # fmt: skip
"""Rows whose content cannot see a turn."""


def config(row: str) -> ModelConfig:
    return ModelConfig.model_validate(ROWS[row])


def test_every_family_has_a_row():
    assert {row["family"] for row in ROWS.values()} == set(families())


@pytest.mark.parametrize("step", WALK, ids=lambda step: step.__name__)
@pytest.mark.parametrize("row", ROWS)
def test_a_family_takes_the_walk(row, step):
    step(config(row))


@pytest.mark.parametrize(
    ("geometry", "masked"),
    [(SQUARE, False), (Geometry(3, 15, 15), True)],
    ids=["whole", "odd, masked, three channels"],
)
@pytest.mark.parametrize("row", EXACT)
def test_a_turned_patch_keeps_its_content_and_turns_its_angle(row, geometry, masked):
    a_turned_patch_keeps_its_content_and_turns_its_angle(config(row), geometry, masked=masked)


def test_building_a_model_leaves_other_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    made(config("jrtVAE"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("row", ["rVAE, amortised", "rtVAE, amortised, prior on the angle"])
def test_drawn_angles_that_sum_to_zero_still_turn(row):
    model = made(config(row))
    latents = {"content": torch.zeros(2, 2), "shift": torch.zeros(2, 2)}
    upright = model.decode({**latents, "angle": torch.zeros(2, 1)}).mean
    turned = model.decode({**latents, "angle": torch.tensor([[0.5], [-0.5]])}).mean
    assert (turned - upright).abs().amax((1, 2, 3)).min() > 1e-4


def test_an_autoencoder_of_full_likelihood_is_better_than_no_model():
    trained = train(config("AE"), strokes(), epochs=30, learning_rate=5e-3)
    latents = encode_batch(
        trained.model, Signals.of_image(untold(Patches(torch.from_numpy(strokes()))))
    )
    assert "content_sd" not in latents
    assert np.sqrt((latents["reconstruction_error"] ** 2).mean()) < strokes().std()
