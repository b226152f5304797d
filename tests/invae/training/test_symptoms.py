"""The numbers for a verdict: measured at the end of a training, stored with the model, known for every family."""

import json
from pathlib import Path

import numpy as np
import pytest

from invae import InvariantVAE
from invae.config import ModelConfig
from invae.config.synthetic import CardsConfig
from invae.errors import StoreError
from invae.synthetic import cards
from invae.training.initialisation import without_surplus
from invae.training.mixture_merging import merge, parts_of
from invae.training.model_folder import load, load_start, load_symptoms, save
from invae.training.symptoms import Seen, _held_out_errors, _position
from tests.invae.training.test_model_folder import OLD

SIDE = 16


def blobs(n: int, *, move: float = 0.0, seed: int = 0) -> np.ndarray:
    """Round blobs of different width (n, y, x), somewhere about the centre."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    dy, dx = rng.uniform(-move, move, (2, n, 1, 1))
    width = rng.uniform(1.5, 2.5, (n, 1, 1))
    images = np.exp(-((y - dy) ** 2 + (x - dx) ** 2) / 2 / width**2)
    return (images + 0.02 * rng.normal(size=images.shape)).astype(np.float32)


def fitted(images: np.ndarray, family: str = "VAE", **options) -> InvariantVAE:
    training = {"epochs": options.pop("epochs", 3), "held_out": options.pop("held_out", 0.2)}
    return InvariantVAE(family, training=training, device="cpu", **options).fit(images)


def seen(values: np.ndarray, content: np.ndarray, **more) -> Seen:
    """Sites without mask whose residual is zero."""
    values = values[:, None]
    whole = np.ones_like(values)
    given = {"label": None, "angle": None, **more}
    return Seen(
        values, whole > 0, whole, 0 * values, content, content**2, error=content[:, 0], **given
    )


@pytest.mark.parametrize(
    "family", ["AE", "VAE", "rVAE", "AVAE", "jVAE", "jrVAE", "ssregVAE", "cVAE"]
)
def test_every_family_has_its_numbers_and_a_verdict(family, tmp_path):
    images, values = blobs(60), np.linspace(0, 1, 60)
    vae = InvariantVAE(family, n_classes=2 if family[0] == "j" else None, training={"epochs": 1})
    vae.fit(
        images,
        y=values if family == "ssregVAE" else None,
        condition=values if family == "cVAE" else None,
    )
    numbers = vae.trained.symptoms
    assert numbers is not None
    assert numbers.n_training + numbers.n_held_out == 60
    assert len(numbers.kl_content) == (0 if family == "AE" else 2)
    assert (numbers.classes is None) == (family[0] != "j")
    assert vae.verdict().light in ("amber", "red")  # one epoch has taught nothing
    vae.save(tmp_path / "model")
    again = InvariantVAE.load(tmp_path / "model", device="cpu")
    assert again.verdict() == vae.verdict()


def test_a_model_of_before_has_no_numbers_and_is_not_known(tmp_path):
    assert load_symptoms(OLD) is None
    assert load_start(OLD) is None
    assert InvariantVAE.load(OLD, device="cpu").verdict().findings[0].name == "unknown"
    save(tmp_path, load(OLD))
    assert not (tmp_path / "symptoms.json").exists()


@pytest.mark.parametrize("name", ["symptoms.json", "start.safetensors"])
def test_numbers_that_cannot_be_read_are_named(tmp_path, name):
    (tmp_path / name).write_text("{}")
    read = {"symptoms.json": load_symptoms, "start.safetensors": load_start}[name]
    with pytest.raises(StoreError, match=f"{name} cannot be read"):
        read(tmp_path)


def test_the_patterns_of_the_model_without_classes_are_kept(tmp_path):
    vae = fitted(blobs(100), "jVAE", n_classes=2)
    vae.save(tmp_path)
    start, kept = vae.trained.start, load_start(tmp_path)
    assert start is not None
    assert kept is not None
    np.testing.assert_array_equal(kept.sites, vae.trained.split.training)
    np.testing.assert_allclose(kept.patterns, start.patterns, rtol=1e-5, atol=1e-5)
    card = json.loads((tmp_path / "symptoms.json").read_text())
    assert sum(card["classes"]["sizes"]) == len(kept.sites)


def test_without_held_out_sites_the_verdict_says_so():
    verdict = fitted(blobs(60), held_out=0.0).verdict()
    assert "no sites were held out" in str(verdict)


def test_principal_components_are_fitted_to_training_sites_alone():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(2, SIDE * SIDE))
    own, other = (
        (rng.normal(size=(n, 1)) * directions[k]).reshape(n, SIDE, SIDE)
        for n, k in ((80, 0), (40, 1))
    )
    nothing = np.zeros((80, 1))
    errors = _held_out_errors(seen(own, nothing), seen(other, nothing[:40]), n_numbers=1)
    same = _held_out_errors(seen(own, nothing), seen(own, nothing), n_numbers=1)
    assert errors["error_pca"] == pytest.approx(errors["error_mean"], rel=0.1)
    assert same["error_pca"] == pytest.approx(0, abs=1e-3)


def test_content_that_follows_position_is_found_and_the_family_with_shift_named():
    images = blobs(200, move=4.0)
    total = images.clip(0).sum((1, 2))
    across = (images.clip(0).sum(1) @ np.arange(SIDE)) / total
    config = ModelConfig.model_validate({"family": "jVAE", "n_classes": 2})
    found = _position(seen(images, np.column_stack((across, across**0))), config)
    assert found is not None
    assert found.spread > 1.5
    assert found.content > 0.9
    assert found.remedy == "jtVAE"
    other = _position(seen(images, np.random.default_rng(0).normal(size=(200, 2))), config)
    assert other is not None
    assert other.content < 0.1


@pytest.mark.parametrize("family", ["tVAE", "rtVAE"])
def test_models_with_shift_and_patches_without_object_have_no_position(family):
    shifts = ModelConfig.model_validate({"family": family})
    content = np.zeros((50, 2))
    assert _position(seen(blobs(50, move=4), content), shifts) is None
    y = np.indices((SIDE, SIDE))[0]
    walls = np.stack([(y > at).astype(float) for at in np.linspace(3, 12, 50)])
    assert _position(seen(walls, content), ModelConfig.model_validate({"family": "VAE"})) is None


def kinds_of(*centres: float, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Patterns (site, 3) of kinds along the first axis, and the kind of every site."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, len(centres), n)
    patterns = rng.normal(size=(n, 3))
    patterns[:, 0] += np.array(centres)[kind]
    return patterns, kind


def test_groups_of_one_kind_are_joined_and_their_probabilities_added():
    patterns, kind = kinds_of(0, 12)
    parts = parts_of(patterns, seed=0)
    found = without_surplus(parts, merge(parts, 5).probability, patterns)
    assert found.shape == (600, 2)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found.argmax(1) == kind).mean() in (0.0, 1.0)


def test_groups_that_are_apart_are_left_as_they_are():
    patterns, _ = kinds_of(0, 12)
    parts = parts_of(patterns, seed=0)
    probability = merge(parts, 2).probability
    assert without_surplus(parts, probability, patterns) is probability


def test_groups_are_kept_where_finer_ones_are_as_many_kinds():
    """Groups that are not pure have no valley between them; the kinds have one."""
    patterns, kind = kinds_of(0, 10, 20)
    mixed = np.where(np.random.default_rng(1).random(600) < 0.4, (kind + 1) % 3, kind)
    probability = np.eye(3)[mixed]
    parts = parts_of(patterns, seed=0)
    assert without_surplus(parts, probability, patterns) is probability


def suits(n_per_suit: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    config = CardsConfig(n_per_suit=n_per_suit, angle=120, shear=10, shift=0.0, size=28)
    drawn = cards.draw(config, seed=seed)
    return drawn["image"].to_numpy(), drawn["suit"].to_numpy().astype(int)


def share_of_majority(found: np.ndarray, truth: np.ndarray) -> float:
    counts = np.zeros((found.max() + 1, truth.max() + 1))
    np.add.at(counts, (found, truth), 1)
    return counts.max(1).sum() / len(truth)


@pytest.mark.slow
def test_surplus_classes_are_joined_too_few_are_said_and_the_right_number_is_green(tmp_path: Path):
    images, suit = suits(150, seed=5)
    lights = {}
    for asked in (3, 4, 8):
        vae = InvariantVAE("jrVAE", n_classes=asked, device="cpu", training={"epochs": 20})
        found = vae.fit(images).encode(images)
        lights[asked] = {f.name: f.light for f in vae.verdict().findings}
        if asked > 3:
            assert found.sizes["class"] == 4
            assert share_of_majority(found["class"].to_numpy(), suit) >= 0.99
    assert lights[3]["classes_whole"] == "red"
    assert lights[8]["surplus"] == "amber"
    assert "surplus" not in lights[4]
    assert (lights[4]["classes_apart"], lights[4]["classes_whole"]) == ("green", "green")
