"""What every family must satisfy; a new family adds one row."""

import math

import numpy as np
import pytest
import torch

from invae.config import ModelConfig, TrainingConfig
from invae.embed import encode_batch
from invae.errors import ConfigError, InputError
from invae.models.build import build
from invae.models.families import FAMILIES
from invae.models.generators import DiscGenerator
from invae.models.objective import Objective, evaluate
from invae.models.patches import Geometry, Patches
from invae.models.vae import VAE
from invae.training.batches import ArraySource
from invae.training.saved import Trained, load, save
from invae.training.split import split_sites
from invae.training.train import train_on

SMALL_ENCODER = {"kind": "conv", "channels": [8, 16]}
SMALL_POOLED = {"kind": "conv", "channels": [8, 8], "pooled": True}
SMALL_DENSE = {"kind": "dense", "hidden": [32]}
SMALL_SPATIAL = {"kind": "spatial", "hidden": [32, 32]}

ROWS: dict[str, dict[str, object]] = {
    "AE": {"family": "AE"},
    "VAE": {"family": "VAE"},
    "VAE, dense": {"family": "VAE", "encoder": {"kind": "dense", "hidden": [32]}},
    "VAE, Bernoulli": {"family": "VAE", "likelihood": {"kind": "bernoulli"}},
    "VAE, continuous Bernoulli": {
        "family": "VAE",
        "likelihood": {"kind": "continuous-bernoulli"},
        "decoder": {"kind": "conv", "channels": [8, 8]},
    },
    "tVAE": {"family": "tVAE", "encoder": SMALL_POOLED, "decoder": SMALL_DENSE},
    "tVAE, coordinate network": {
        "family": "tVAE",
        "encoder": SMALL_POOLED,
        "decoder": SMALL_SPATIAL,
    },
    "tVAE, canvas decoder": {
        "family": "tVAE",
        "pose_inference": "amortised",
        "encoder": SMALL_ENCODER,
        "decoder": {"kind": "canvas", "layers": {"kind": "dense", "hidden": [32], "skip": True}},
    },
    "tVAE, polar decoder": {"family": "tVAE", "decoder": {"kind": "polar", "hidden": [32]}},
    "rVAE, exact": {"family": "rVAE"},
    "rVAE, exact, Bernoulli": {"family": "rVAE", "likelihood": {"kind": "bernoulli"}},
    "rVAE, exact, Poisson": {"family": "rVAE", "likelihood": {"kind": "poisson"}},
    "rVAE, exact, prior on the angle": {"family": "rVAE", "rotation": {"prior_sd": 1.0}},
    "rVAE, exact, disc around the patch": {"family": "rVAE", "rotation": {"disc": "circumscribed"}},
    "rVAE, exact, coordinate network": {"family": "rVAE", "decoder": SMALL_SPATIAL},
    "rVAE, exact, fixed noise": {"family": "rVAE", "likelihood": {"kind": "gaussian", "sd": 0.3}},
    "rtVAE, exact": {"family": "rtVAE"},
    "rtVAE, exact, conv encoder": {"family": "rtVAE", "encoder": SMALL_ENCODER},
    "rVAE, amortised": {
        "family": "rVAE",
        "pose_inference": "amortised",
        "encoder": SMALL_ENCODER,
        "decoder": SMALL_SPATIAL,
    },
    "rVAE, amortised, polar encoder": {
        "family": "rVAE",
        "pose_inference": "amortised",
        "encoder": {"kind": "polar", "channels": [8, 8]},
        "decoder": SMALL_SPATIAL,
    },
    "rtVAE, amortised, prior on the angle": {
        "family": "rtVAE",
        "pose_inference": "amortised",
        "rotation": {"prior_sd": 0.5},
        "encoder": SMALL_ENCODER,
        "decoder": SMALL_SPATIAL,
    },
}
GEOMETRIES = {
    "square": Geometry(1, 16, 16),
    "odd": Geometry(1, 15, 15),
    "not square": Geometry(1, 8, 20),
    "three channels": Geometry(3, 16, 16),
}
# Exact to rounding: the content cannot see the turn, the angle follows it.
INVARIANT = [n for n in ROWS if "exact" in n and "prior" not in n and "conv" not in n]
INVARIANT += ["rVAE, amortised, polar encoder"]


def made(row: str, geometry: Geometry | None = None, *, seed: int = 0) -> VAE:
    config = ModelConfig.model_validate(ROWS[row])
    return build(config, geometry or Geometry(1, 16, 16), seed=seed)


def some(geometry: Geometry, n: int = 5, *, seed: int = 0, masked: bool = False) -> Patches:
    """Probabilities, so that every likelihood takes them."""
    generator = torch.Generator().manual_seed(seed)
    shape = (n, geometry.n_channels, geometry.height, geometry.width)
    values = torch.rand(shape, generator=generator)
    valid = torch.rand(shape, generator=generator) > 0.2 if masked else None
    return Patches(values if valid is None else values * valid, valid)


def train(row: str, values: np.ndarray, *, seed: int = 0, **training: float) -> Trained:
    source = ArraySource(values)
    return train_on(
        source,
        split_sites(len(source), share=0.1, seed=seed),
        model=ModelConfig.model_validate(ROWS[row]),
        training=TrainingConfig.model_validate({"epochs": 2, "batch_size": 16, **training}),
        seed=seed,
        device=torch.device("cpu"),
        channels=tuple(str(c) for c in range(source.geometry.n_channels)),
    )


@pytest.fixture(scope="module")
def letters(draw_letters) -> np.ndarray:
    """Values between 0 and 1."""
    return draw_letters(60, seed=1, size=(16, 16), noise=0.05).patches.clip(0, 1)


def test_every_family_has_a_row():
    assert {row["family"] for row in ROWS.values()} == set(FAMILIES)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("row", ROWS)
def test_any_geometry_and_a_single_patch_will_do(row, geometry, masked):
    model, patches = made(row, geometry), some(geometry, 1, masked=masked)
    noise = model.noise(1, torch.Generator().manual_seed(0))
    found = evaluate(model, patches, noise)
    loss = Objective().loss(found, progress=1.0)
    loss.backward()
    assert loss.isfinite()
    assert all(w.grad.isfinite().all() for w in model.parameters() if w.grad is not None)
    assert all(float(kl.detach().min()) > -1e-4 for kl in found.terms.kl.values())
    said = encode_batch(model, patches)
    assert all(np.isfinite(values).all() for values in said.values())


@pytest.mark.parametrize("row", ROWS)
def test_no_tensor_is_left_behind(row):
    """A constant that is no buffer fails here, without a GPU."""
    model = made(row).to("meta")
    noise = {name: torch.empty(5, size, device="meta") for name, size in model.drawn.items()}
    patches = some(GEOMETRIES["square"], masked=True).to("meta")
    assert evaluate(model, patches, noise).terms.elbo.is_meta


@pytest.mark.parametrize("row", ROWS)
def test_every_weight_is_used(row):
    model = made(row)
    patches = some(GEOMETRIES["square"])
    found = evaluate(model, patches, model.noise(5, torch.Generator().manual_seed(0)))
    Objective().loss(found, progress=1.0).backward()
    # Only a disc has something around it.
    spare = () if isinstance(model.generator, DiscGenerator) else ("background", "texture")
    for name, weight in model.named_parameters():
        if weight.requires_grad and not name.endswith(spare):
            assert weight.grad is not None, f"{name} is trained by nothing"


@pytest.mark.parametrize("row", ROWS)
def test_the_seed_decides_everything(row, letters):
    torch.manual_seed(1)
    first = train(row, letters)
    torch.manual_seed(2)
    again, other = train(row, letters), train(row, letters, seed=1)
    weights = [t.model.state_dict() for t in (first, again, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[0][name], weights[2][name]) for name in weights[0])
    assert first.history == again.history


def test_building_a_model_leaves_other_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    made("rtVAE, exact")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("row", ROWS)
def test_a_saved_model_says_the_same(row, letters, tmp_path):
    trained = train(row, letters, epochs=1)
    save(tmp_path, trained)
    loaded = load(tmp_path)
    patches = Patches(torch.from_numpy(letters))
    before, after = (encode_batch(t.model, patches) for t in (trained, loaded))
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert loaded.model.priors == trained.model.priors
    assert loaded.card() == trained.card()
    assert np.array_equal(loaded.split.held_out, trained.split.held_out)
    assert not [p for p in tmp_path.iterdir() if p.suffix not in {".json", ".safetensors"}]


@pytest.mark.parametrize("row", ROWS)
def test_evaluating_changes_nothing_and_draws_nothing(row):
    model, patches = made(row), some(GEOMETRIES["square"])
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = (encode_batch(model, patches) for _ in range(2))
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


@pytest.mark.parametrize("row", ROWS)
def test_the_elbo_rises(row, letters):
    trained = train(row, letters, epochs=8, learning_rate=3e-3)
    elbo = [epoch.training["elbo"] for epoch in trained.history]
    assert elbo[-1] > elbo[0]


@pytest.mark.parametrize("size", [16, 15])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("row", INVARIANT)
def test_a_turned_patch_keeps_its_content_and_turns_its_angle(row, n_channels, masked, size):
    geometry = Geometry(n_channels, size, size)
    model, patches = made(row, geometry), some(geometry, 40, masked=masked)
    # Patches of noise have nearly equal peaks at several angles; a ramp gives them a direction.
    ramp = torch.linspace(-2, 2, size)
    patches = Patches((0.2 * patches.values + 0.2 * ramp + 0.4).clamp(0, 1), patches.valid)
    turned = Patches(
        patches.values.rot90(1, (2, 3)),
        None if patches.valid is None else patches.valid.rot90(1, (2, 3)),
    )
    before, after = encode_batch(model, patches), encode_batch(model, turned)
    spread = before["content"].std(0)
    assert (np.abs(after["content"] - before["content"]) < 1e-3 * spread).all()
    offset = after["angle"] - before["angle"] - math.pi / 2
    assert np.cos(offset).min() > 1 - 1e-6
    if "shift" in before:
        expected = np.stack((-before["shift"][:, 1], before["shift"][:, 0]), axis=-1)
        np.testing.assert_allclose(after["shift"], expected, atol=1e-4)
    np.testing.assert_allclose(after["elbo"], before["elbo"], rtol=1e-4)


@pytest.mark.parametrize("row", [n for n in ROWS if "exact" not in n and "amortised" in n])
def test_drawn_angles_that_sum_to_zero_still_turn(row):
    model = made(row)
    latents = {"content": torch.zeros(2, 2), "shift": torch.zeros(2, 2)}
    upright = model.decode({**latents, "angle": torch.zeros(2, 1)}).mean
    turned = model.decode({**latents, "angle": torch.tensor([[0.5], [-0.5]])}).mean
    assert (turned - upright).abs().amax((1, 2, 3)).min() > 1e-4


@pytest.mark.parametrize("row", [n for n in ROWS if ROWS[n]["family"] != "AE"])
def test_the_posterior_has_an_sd_and_not_its_log(row):
    said = encode_batch(made(row), some(GEOMETRIES["square"]))
    assert (said["content_sd"] > 0).all()
    assert (said["content_sd"] < 3).all()


def test_a_code_has_no_sd():
    assert "content_sd" not in encode_batch(made("AE"), some(GEOMETRIES["square"]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_and_may_be_masked(value, letters):
    broken = letters.copy()
    broken[7, 0, 3, 3] = value
    with pytest.raises(InputError, match="1 values are NaN or infinite, the first in patch 7"):
        ArraySource(broken)
    ArraySource(broken, np.isfinite(broken))


def test_an_autoencoder_of_full_likelihood_is_better_than_no_model(letters):
    trained = train("AE", letters, epochs=30, learning_rate=5e-3)
    said = encode_batch(trained.model, Patches(torch.from_numpy(letters)))
    assert np.sqrt((said["reconstruction_error"] ** 2).mean()) < letters.std()


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"family": "rVAE", "decoder": {"kind": "dense"}}, "cannot be turned"),
        (
            {"family": "tVAE", "pose_inference": "amortised", "decoder": {"kind": "dense"}},
            "cannot be moved",
        ),
        (
            {"family": "rtVAE", "encoder": {"kind": "conv", "pooled": True}},
            "a pooled encoder cannot tell where",
        ),
        (
            {"family": "skip-VAE", "decoder": {"kind": "conv"}},
            "a conv decoder has no skip paths",
        ),
        ({"family": "VAE", "decoder": {"kind": "spatial"}}, "has no pose for a spatial decoder"),
    ],
)
def test_parts_that_do_not_fit_are_refused(asked, complaint):
    with pytest.raises(ConfigError, match=complaint):
        build(ModelConfig.model_validate(asked), Geometry(1, 16, 16), seed=0)
