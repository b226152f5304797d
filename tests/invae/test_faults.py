"""Faults seen in public autoencoders for microscopy (SCIENCE 9), one test each, through the door that people use.

What a fault needs beyond that is tested where its code is tested.
"""

import math
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from invae import InvariantVAE
from invae.config import ModelConfig
from invae.errors import ConfigError, InputError
from invae.models.batch import Geometry, Patches
from invae.models.build import build
from invae.models.encoding import encode_batch
from invae.models.geometry.circle import AnglePosterior, CirclePrior, circle_grid
from invae.models.geometry.pose import Rotation, pixel_grid
from invae.models.signals import Signals
from invae.training.split import Places, split_blocks

FAMILIES = ["VAE", "rVAE", "rtVAE", "jrVAE"]
SQUARE = Geometry(1, 12, 12)


def config(family: str, **values: object) -> ModelConfig:
    numbers = {"n_classes": 3} if family[0] in "js" else {}
    return ModelConfig.model_validate({"family": family, **numbers, **values})


def quick(
    family: str = "rVAE", *, seed: int = 0, training: object = None, **options: object
) -> InvariantVAE:
    numbers = {"n_classes": 3} if family[0] in "js" else {}
    chosen = {"epochs": 2, "batch_size": 16, **dict(training or {})}  # type: ignore[call-overload]
    return InvariantVAE(family, seed=seed, training=chosen, device="cpu", **numbers, **options)  # type: ignore[arg-type]


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def letters(draw_letters) -> np.ndarray:
    return draw_letters(60, seed=3, size=(12, 12), noise=0.05).patches.clip(0, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_changes_the_initial_weights_and_nothing_else_does(family):
    torch.manual_seed(1)
    first = weights(build(config(family), SQUARE, seed=0))
    torch.manual_seed(2)
    assert same(first, weights(build(config(family), SQUARE, seed=0)))
    assert not same(first, weights(build(config(family), SQUARE, seed=1)))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_samples_than_a_batch_are_trained_on(letters, n):
    vae = quick(training={"held_out": 0, "batch_size": 64}).fit(letters[:n])
    fresh = weights(build(vae.config, SQUARE, seed=0))
    assert not same(fresh, weights(vae.trained.model))
    assert all(math.isfinite(e.score) and e.score != 0 for e in vae.history)


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluating_moves_no_weight(letters, family):
    vae = quick(family).fit(letters)
    before = weights(vae.trained.model)
    vae.encode(letters)
    vae.traversal(2)
    assert same(before, weights(vae.trained.model))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_labels_are_used_however_many_there_are(share):
    """A label says which of two equally bright halves has the name 0: no other way to know it."""
    rng = np.random.default_rng(0)
    right = rng.integers(0, 2, 200)
    patches = rng.normal(0, 0.2, (200, 8, 8))
    patches[right == 1, :4] += 1
    patches[right == 0, 4:] += 1
    agreements = []
    for names in (right, 1 - right):
        labels = np.where(rng.random(200) < share, names, -1)
        vae = InvariantVAE(
            "ssVAE", n_classes=2, training={"epochs": 15, "batch_size": 20}, device="cpu"
        )
        found = vae.fit(patches, y=labels).encode(patches)["class"]
        agreements.append(float((found == names)[labels < 0].mean()))
    assert min(agreements) > 0.9


@pytest.mark.parametrize("kind", ["bernoulli", "continuous-bernoulli"])
@pytest.mark.parametrize("outside", [-0.01, 1.01])
def test_a_likelihood_of_probabilities_refuses_other_values(letters, kind, outside):
    spoiled = letters.copy()
    spoiled[5, 0, 2, 2] = outside
    vae = quick(likelihood={"kind": kind})
    with pytest.raises(InputError, match=r"takes 0 to 1"):
        vae.fit(spoiled)
    vae.fit(letters)
    with pytest.raises(InputError, match=r"takes 0 to 1"):
        vae.encode(spoiled)


def test_a_batch_whose_angles_sum_to_zero_is_turned(letters):
    coords = pixel_grid(SQUARE).expand(2, -1, -1)
    turned = Rotation().pull_back(coords, torch.tensor([[0.5], [-0.5]]))
    assert (turned - coords).abs().amax((1, 2)).min() > 0.1
    vae = quick(pose_inference="amortised").fit(letters)
    angles = np.array([0.5, -0.5])
    upright, posed = (vae.decode(np.zeros((2, 2)), angle=a) for a in (np.zeros(2), angles))
    assert float(abs(posed - upright).max(["channel", "y", "x"]).min()) > 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"rotation": {"prior": 1}},
        {"training": {"epoch": 3}},
        {"objective": {"entropy": 1}},
        {"objective": {"content_capacity": {"max": 1}}},
        {"encoder": {"kind": "conv", "hiden": [3]}},
        {"family": "rvae"},
    ],
)
def test_a_misspelt_option_is_refused(options):
    with pytest.raises(ConfigError) as caught:
        InvariantVAE(**options)
    assert "\n" not in str(caught.value)
    with pytest.raises(TypeError):
        InvariantVAE(rotaton={})  # type: ignore[call-arg]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(8, 18), (18, 8)])
def test_a_patch_that_is_not_square_is_neither_sheared_nor_a_crash(family, shape):
    """A quarter turn keeps lengths: one pixel is as long down as it is across."""
    coords = pixel_grid(Geometry(1, *shape)).expand(1, -1, -1)
    turned = Rotation().pull_back(coords, torch.tensor([[math.pi / 2]]))
    torch.testing.assert_close(turned.norm(dim=-1), coords.norm(dim=-1))
    steps = [
        abs(float(coords[0, 0, 1] - coords[0, 1, 1])),
        float(coords[0, shape[1], 0] - coords[0, 0, 0]),
    ]
    assert steps[0] == pytest.approx(steps[1])
    patches = np.random.default_rng(0).normal(size=(60, *shape))
    assert np.isfinite(quick(family).fit(patches).encode(patches)["elbo"]).all()


def test_priors_are_not_lost_on_the_way_to_the_disk(letters, tmp_path):
    asked: dict[str, Any] = {"rotation": {"prior_sd": 0.7}, "translation": {"prior_sd": 0.3}}
    vae = quick("rtVAE", **asked).fit(letters)
    vae.save(tmp_path)
    loaded = InvariantVAE.load(tmp_path, device="cpu")
    assert loaded.trained.model.priors == vae.trained.model.priors
    assert loaded.trained.model.priors["angle"] == CirclePrior(0.7)
    assert loaded.config.translation.prior_sd == 0.3
    xr.testing.assert_identical(loaded.encode(letters), vae.encode(letters))


def test_a_model_is_loaded_without_a_pickle(letters, tmp_path, monkeypatch):
    quick().fit(letters).save(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} <= {".json", ".safetensors"}
    assert not any(zipfile.is_zipfile(p) for p in tmp_path.iterdir())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for place, name in (
        (pickle, "load"),
        (pickle, "loads"),
        (pickle, "Unpickler"),
        (torch, "load"),
    ):
        monkeypatch.setattr(place, name, refuse)
    assert InvariantVAE.load(tmp_path, device="cpu").encode(letters).sizes["site"] == len(letters)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16, np.uint8, bool])
def test_statistics_run_on_this_numpy_whatever_the_type_of_the_data(letters, dtype):
    assert int(np.__version__.split(".")[0]) >= 2
    patches = (letters > 0.5).astype(dtype) if dtype is bool else (100 * letters).astype(dtype)
    vae = quick().fit(patches)
    said = vae.encode(patches)
    assert all(np.isfinite(said[name]).all() for name in said.data_vars)
    assert all(np.isfinite(limit) for limits in vae.trained.content_range for limit in limits)


def test_encoding_puts_one_batch_on_the_device_at_a_time(letters, monkeypatch):
    vae = quick().fit(letters)
    sizes: list[int] = []
    move = Patches.to

    def watched(patches: Patches, place: object) -> Patches:
        sizes.append(len(patches))
        return move(patches, place)

    monkeypatch.setattr(Patches, "to", watched)
    vae.encode(np.tile(letters, (25, 1, 1, 1)))
    assert sum(sizes) == 25 * len(letters)
    assert max(sizes) <= 512


@pytest.mark.parametrize("family", FAMILIES)
def test_a_standard_deviation_is_not_its_logarithm(family):
    """An encoder that says log sd = log 0.2 everywhere has an sd of 0.2."""
    model = build(config(family), SQUARE, seed=0)
    patches = Patches(torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0)))
    posterior = model.infer(Signals.of_image(patches)).posterior["content"]
    said = encode_batch(model, Signals.of_image(patches))["content_sd"]
    np.testing.assert_allclose(said, posterior.log_sd.exp().detach().numpy(), rtol=1e-5)  # type: ignore[attr-defined]
    assert (said > 0).all()


@pytest.mark.parametrize("inference", ["exact", "gumbel"])
def test_classes_are_not_drawn_by_chance_when_evaluating(inference):
    model = build(config("jVAE", class_inference=inference), SQUARE, seed=0)
    patches = Patches(torch.rand(40, 1, 12, 12, generator=torch.Generator().manual_seed(0)))
    torch.manual_seed(0)
    first = encode_batch(model, Signals.of_image(patches))
    torch.manual_seed(1)
    again = encode_batch(model, Signals.of_image(patches))
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert (first["class"] == first["class_probability"].argmax(-1)).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_split_is_no_random_one_over_overlapping_patches(seed):
    """Dense patches, each overlapping hundreds: none that is trained on shares a pixel with one that is held out."""
    y, x = (grid.ravel().astype(float) for grid in np.mgrid[0:120:3, 0:120:3])
    window = 24.0
    split = split_blocks(Places(np.zeros(len(y), int), y, x, window), share=0.15, seed=seed)
    away = np.maximum(*(np.abs(v[split.training, None] - v[None, split.held_out]) for v in (y, x)))
    assert len(split.held_out) > 0
    assert away.min() >= window


@pytest.mark.parametrize("angle", [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
def test_an_angle_beyond_half_a_circle_is_not_folded(angle):
    """The sign of an angle is lost by its cosine alone."""
    grid = circle_grid(256, like=torch.zeros(1))
    found = AnglePosterior.from_scores(20 * torch.cos(grid - angle).unsqueeze(0), CirclePrior())
    assert float(found.angle) == pytest.approx(angle, abs=1e-3)
    assert float(found.mean) == pytest.approx(angle, abs=1e-3)


def test_a_full_turn_of_patches_comes_back_as_a_full_turn_of_angles(letters):
    model = build(config("rVAE"), SQUARE, seed=0)
    values = torch.from_numpy(letters[:8])
    angles = [
        encode_batch(model, Signals.of_image(Patches(values.rot90(k, (2, 3)).contiguous())))[
            "angle"
        ]
        for k in range(4)
    ]
    steps = np.diff(np.unwrap(np.stack([*angles, angles[0]]), axis=0), axis=0)
    np.testing.assert_allclose(steps, math.pi / 2, atol=1e-3)


@pytest.mark.parametrize("family", ["rVAE", "affineVAE"])
def test_a_search_keeps_the_best_pose_of_every_patch_and_not_of_the_batch(letters, family):
    """What is found for a patch does not depend on the patches beside it."""
    vae = quick(family, pose_inference="refined", search={"scanned": 4, "restarts": 3}).fit(letters)
    together = vae.encode(letters[:6])
    alone = xr.concat([vae.encode(letters[i : i + 1]) for i in range(6)], dim="site")
    xr.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3)
