"""The walk: what every family must satisfy, one function each; and small patches with all that a family may be told."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from invae.config import ModelConfig, TrainingConfig
from invae.latent_table import LATENTS
from invae.models.batch import Annotations, Geometry, Patches
from invae.models.build import build
from invae.models.encoding import encode_batch
from invae.models.evaluation import evaluate
from invae.models.generators import DiscGenerator, EveryClass, Generator
from invae.models.objective import Objective
from invae.models.signals import Signals
from invae.models.vae import VAE
from invae.training.annotations import SiteAnnotations
from invae.training.model_folder import Trained, load, save
from invae.training.signal_sources import ArraySource
from invae.training.split import split_sites
from invae.training.train import train_on

SQUARE = Geometry(1, 16, 16)
SHAPES = {
    "square": (SQUARE, False),
    "odd, masked": (Geometry(1, 15, 15), True),
    "not square, masked": (Geometry(1, 8, 20), True),
    "three channels": (Geometry(3, 16, 16), False),
}
"""Shapes of patches, and whether some pixels are masked."""


def made(config: ModelConfig, geometry: Geometry = SQUARE, *, seed: int = 0) -> VAE:
    """A model with fresh weights."""
    return build(config, geometry, seed=seed)


def known_of(config: ModelConfig, n: int, *, seed: int = 0) -> SiteAnnotations:
    """All annotations that the model takes; every other label and target is unknown."""
    rng = np.random.default_rng(seed)
    labels = target = condition = None
    if config.n_classes:
        labels = np.where(np.arange(n) % 2, -1, rng.integers(0, config.n_classes[0], n))
    if config.n_targets:
        target = rng.normal(size=(n, config.n_targets)).astype(np.float32)
        target[1::2] = np.nan
    if config.n_conditions:
        condition = rng.normal(size=(n, config.n_conditions)).astype(np.float32)
    return SiteAnnotations(labels=labels, target=target, condition=condition)


def some(
    config: ModelConfig, geometry: Geometry = SQUARE, n: int = 5, *, masked: bool = False
) -> Patches:
    """Patches of probabilities, so that every likelihood takes them, with all annotations that the model takes."""
    generator = torch.Generator().manual_seed(0)
    shape = (n, geometry.n_channels, geometry.height, geometry.width)
    values = torch.rand(shape, generator=generator)
    known = known_of(config, n).take(np.arange(n))
    if not masked:
        return Patches(values, known=known)
    valid = torch.rand(shape, generator=generator) > 0.2
    return Patches(values * valid, valid, known)


def untold(patches: Patches) -> Patches:
    """The same patches, of which nothing but the condition is known."""
    return Patches(patches.values, patches.valid, Annotations(condition=patches.known.condition))


@cache
def strokes(n: int = 60, *, size: int = 16) -> np.ndarray:
    """Two kinds of strokes at any angle (site, 1, y, x), between 0 and 1."""
    rng = np.random.default_rng(1)
    y, x = np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2, indexing="ij")
    angle = rng.uniform(-math.pi, math.pi, n)[:, None, None]
    along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    arm = np.where(np.arange(n) % 2, 0.0, 0.3 * size)[:, None, None]
    image = np.exp(-((across / 1.5) ** 2) - (along / (0.3 * size)) ** 4)
    image = image + np.exp(-(((across - arm) / 2) ** 2) - ((along - 3) / 2) ** 2)
    image = image + 0.05 * rng.normal(size=image.shape)
    return image.clip(0, 1).astype(np.float32)[:, None]


def train(config: ModelConfig, values: np.ndarray, *, seed: int = 0, **training: object) -> Trained:
    """A model trained on patches with all annotations that it takes."""
    source = ArraySource(values, known=known_of(config, len(values)))
    return train_on(
        source,
        split_sites(len(source), share=0.1, seed=seed),
        model=config,
        training=TrainingConfig.model_validate({"epochs": 4, "batch_size": 16, **training}),
        seed=seed,
        device=torch.device("cpu"),
        channels=tuple(str(c) for c in range(source.geometries["image"].n_channels)),
    )


@cache
def trained(configuration: str) -> Trained:
    """A model trained on strokes; once for all steps of a walk."""
    return train(ModelConfig.model_validate_json(configuration), strokes())


def inner(generator: Generator) -> Generator:
    """The generator that speaks of one class at a time."""
    return generator.generator if isinstance(generator, EveryClass) else generator


def any_shape_and_a_single_patch_will_do(config: ModelConfig) -> None:
    for geometry, masked in SHAPES.values():
        model, patches = made(config, geometry), some(config, geometry, 1, masked=masked)
        noise = model.noise(1, torch.Generator().manual_seed(0))
        evaluation = evaluate(model, Signals.of_image(patches), noise)
        loss = Objective.of(config).loss(evaluation, progress=1.0)
        loss.backward()
        assert loss.isfinite()
        assert all(w.grad.isfinite().all() for w in model.parameters() if w.grad is not None)
        assert all(float(kl.detach().min()) > -1e-4 for kl in evaluation.terms.kl.values())
        latents = encode_batch(model, Signals.of_image(untold(patches)))
        assert all(np.isfinite(values).all() for values in latents.values())


def no_tensor_is_left_behind(config: ModelConfig) -> None:
    """A constant that is no buffer fails here, without a GPU."""
    model = made(config).to("meta")
    noise = {name: torch.empty(5, size, device="meta") for name, size in model.drawn.items()}
    patches = some(config, masked=True).to("meta")
    assert evaluate(model, Signals.of_image(patches), noise).terms.elbo.is_meta


def every_weight_is_used(config: ModelConfig) -> None:
    model, patches = made(config), some(config)
    evaluation = evaluate(
        model, Signals.of_image(patches), model.noise(5, torch.Generator().manual_seed(0))
    )
    Objective.of(config).loss(evaluation, progress=1.0).backward()
    # Only a disc has something around it.
    assert model.main.generator is not None
    disc = isinstance(inner(model.main.generator), DiscGenerator)
    spare = () if disc else ("background", "texture")
    for name, weight in model.named_parameters():
        if weight.requires_grad and not name.endswith(spare):
            assert weight.grad is not None, f"{name} is trained by nothing"


def the_seed_decides_everything(config: ModelConfig) -> None:
    torch.manual_seed(1)
    first = trained(config.model_dump_json())
    torch.manual_seed(2)
    again = train(config, strokes())
    fresh, other = (made(config, seed=seed).state_dict() for seed in (0, 1))
    weights = [t.model.state_dict() for t in (first, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(fresh[name], other[name]) for name in fresh)
    assert first.history == again.history


def a_saved_model_says_the_same(config: ModelConfig) -> None:
    before = trained(config.model_dump_json())
    with TemporaryDirectory() as folder:
        save(Path(folder), before)
        after = load(Path(folder))
        assert {p.suffix for p in Path(folder).iterdir()} == {".json", ".safetensors"}
    patches = untold(some(config, n=20))
    latents = [encode_batch(t.model, Signals.of_image(patches)) for t in (before, after)]
    assert set(latents[0]) == set(latents[1])
    for name, values in latents[0].items():
        np.testing.assert_array_equal(values, latents[1][name])
    assert after.model.priors == before.model.priors
    assert after.card() == before.card()
    assert np.array_equal(after.split.held_out, before.split.held_out)


def evaluating_changes_nothing_and_draws_nothing(config: ModelConfig) -> None:
    model, patches = made(config), some(config)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = (encode_batch(model, Signals.of_image(patches)) for _ in range(2))
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


def the_elbo_rises(config: ModelConfig) -> None:
    elbo = [epoch.training["elbo"] for epoch in trained(config.model_dump_json()).history]
    assert elbo[-1] > elbo[0]


def what_is_said_has_its_names_and_ranges(config: ModelConfig) -> None:
    """The sd is no log sd, probabilities sum to 1, every pose is reported."""
    model = made(config)
    latents = encode_batch(model, Signals.of_image(untold(some(config))))
    if "content_sd" in latents:
        assert ((latents["content_sd"] > 0) & (latents["content_sd"] < 3)).all()
    assert set(model.poses) <= set(latents)
    for name in set(LATENTS) & set(latents):
        low, high = LATENTS[name].interval
        assert ((latents[name] >= low) & (latents[name] <= high + 1e-6)).all(), name
    if "angle" in latents:
        assert ((latents["angle_resultant"] >= 0) & (latents["angle_resultant"] <= 1)).all()
    for name in (n for n in latents if n.endswith("_probability")):
        np.testing.assert_allclose(latents[name].sum(-1), 1, rtol=1e-5)
        np.testing.assert_array_equal(
            latents[name.removesuffix("_probability")], latents[name].argmax(-1)
        )


WALK: tuple[Callable[[ModelConfig], None], ...] = (
    any_shape_and_a_single_patch_will_do,
    no_tensor_is_left_behind,
    every_weight_is_used,
    the_seed_decides_everything,
    a_saved_model_says_the_same,
    evaluating_changes_nothing_and_draws_nothing,
    the_elbo_rises,
    what_is_said_has_its_names_and_ranges,
)
"""Every step, in the order in which a mistake shows first."""


def a_turned_patch_keeps_its_content_and_turns_its_angle(
    config: ModelConfig, geometry: Geometry, *, masked: bool
) -> None:
    """Exact to rounding: content, class, scale and shear cannot see the turn; angle and shift follow it."""
    model, patches = made(config, geometry), untold(some(config, geometry, 40, masked=masked))
    # Patches of noise have nearly equal peaks at several angles; a ramp gives them a direction.
    ramp = torch.linspace(-2, 2, geometry.width)
    values = (0.2 * patches.values + 0.2 * ramp + 0.4).clamp(0, 1)
    valid = patches.valid
    upright = Patches(values if valid is None else values * valid, valid, patches.known)
    turned = Patches(
        upright.values.rot90(1, (2, 3)),
        None if valid is None else valid.rot90(1, (2, 3)),
        patches.known,
    )
    before, after = (
        encode_batch(model, Signals.of_image(upright)),
        encode_batch(model, Signals.of_image(turned)),
    )
    for name in {"content", "scale", "shear", "target"} & set(before):
        spread = before[name].std(0)
        assert (np.abs(after[name] - before[name]) < 1e-3 * spread + 1e-5).all(), name
    for name in (n for n in before if n.endswith("_probability")):
        np.testing.assert_allclose(after[name], before[name], atol=2e-3)
    offset = after["angle"] - before["angle"] - math.pi / 2
    assert np.cos(offset).min() > 1 - 1e-6
    if "shift" in before:
        expected = np.stack((-before["shift"][:, 1], before["shift"][:, 0]), axis=-1)
        np.testing.assert_allclose(after["shift"], expected, atol=1e-4)
    np.testing.assert_allclose(after["elbo"], before["elbo"], rtol=1e-4)
