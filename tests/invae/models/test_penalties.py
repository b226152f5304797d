"""Penalties: the built-in ones act, those of a user are found by name, and what cannot be used is one line."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from invae import InvariantVAE
from invae.config import ModelConfig, TrainingConfig
from invae.config.objective import PenaltyConfig
from invae.errors import ConfigError, InputError
from invae.models.batch import Annotations, Geometry, Patches
from invae.models.build import build
from invae.models.encoding import encode_batch
from invae.models.evaluation import evaluate
from invae.models.latents import Point
from invae.models.objective import Objective
from invae.models.penalties import PenaltyView, follow, load_penalties, smooth
from invae.models.signals import Signals
from invae.training.annotations import SiteAnnotations
from invae.training.model_folder import Trained, load, save
from invae.training.signal_sources import ArraySource
from invae.training.split import split_sites
from invae.training.train import train_on

CPU = torch.device("cpu")
N_ROWS = 14
"""Sites along each side of a field."""


@pytest.fixture(autouse=True)
def users_module() -> Iterator[None]:
    """The folder of the tests is where the user's own code lies."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)
    sys.modules.pop("penalties_of_a_user", None)


def view(content: torch.Tensor, **known: torch.Tensor) -> PenaltyView:
    """A batch with a chosen content."""
    patches = Patches(torch.zeros(len(content), 1, 4, 4), known=Annotations(**known))
    return PenaltyView(
        {"content": content}, {"content": Point(content)}, Signals.of_image(patches), no_picture
    )


def no_picture(latents: object) -> Any:
    """Fails a penalty that decodes without need."""
    raise AssertionError("nobody asked for a picture")


def field(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places on a square grid of spacing 1 [frame, pixel, pixel], and a content that nobody ordered."""
    y, x = torch.meshgrid(*[torch.arange(float(N_ROWS))] * 2, indexing="ij")
    place = torch.stack((torch.zeros_like(y), y, x), dim=-1).flatten(0, 1)
    noise = torch.randn(len(place), 1, generator=torch.Generator().manual_seed(seed))
    return place, noise


def test_content_that_follows_costs_nothing_whatever_its_scale():
    value = torch.linspace(0, 9, 10).unsqueeze(-1)
    same = follow(view(7 - 3 * value, target=value), sign=-1)
    assert float(same.abs().max()) < 1e-5
    against = follow(view(7 - 3 * value, target=value))
    assert against.tolist() == pytest.approx([2.0] * 10, abs=1e-4)


def test_by_difference_the_content_takes_the_scale_too():
    value = torch.tensor([[1.0], [3.0]])
    costs = follow(view(torch.tensor([[-1.0], [2.0]]), target=value), by="difference")
    assert costs.tolist() == pytest.approx([0.0, 1.0], abs=1e-4)


@pytest.mark.parametrize("by", ["correlation", "difference"])
def test_sites_without_the_variable_are_left_in_peace(by):
    content = torch.tensor([[0.0], [1.0], [2.0], [50.0]], requires_grad=True)
    value = torch.tensor([[2.0], [1.0], [4.0], [math.nan]])
    costs = follow(view(content, target=value), by=by)
    costs.mean().backward()
    assert content.grad is not None
    assert costs[3].item() == content.grad[3].item() == 0
    assert (content.grad[:3] != 0).any()


@pytest.mark.parametrize("n_known", [0, 1])
def test_a_batch_in_which_nothing_is_known_teaches_nothing(n_known):
    content = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = torch.full((4, 1), math.nan)
    value[:n_known] = 3.0
    follow(view(content, target=value)).sum().backward()
    assert content.grad is not None
    assert content.grad.isfinite().all()
    assert (content.grad[n_known:] == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_field_without_order_costs_about_one_and_a_smooth_one_little(seed):
    place, noise = field(seed)
    rough = smooth(view(noise, place=place), length=1.0).mean()
    slope = smooth(view(place[:, 1:2] / N_ROWS, place=place), length=1.0).mean()
    assert float(rough) == pytest.approx(1.0, abs=0.15)
    assert float(slope) < 0.1


def test_shrinking_or_moving_the_content_does_not_make_it_smoother():
    place, noise = field(0)
    costs = [smooth(view(f * noise + f, place=place), length=1.0) for f in (1.0, 0.1)]
    torch.testing.assert_close(costs[0], costs[1], rtol=1e-3, atol=1e-4)


def test_the_cost_does_not_depend_on_how_many_sites_chance_has_brought():
    place, noise = field(0)
    ramp = place[:, 1:2] + noise
    whole = float(smooth(view(ramp, place=place), length=1.0).mean())
    thinned = []
    for seed in range(20):
        chosen = torch.from_numpy(np.random.default_rng(seed).permutation(len(place))[:64])
        part = view(ramp[chosen], place=place[chosen])
        thinned.append(float(smooth(part, length=1.0).mean()))
    assert np.mean(thinned) == pytest.approx(whole, rel=0.2)


def test_sites_far_apart_and_in_other_frames_are_no_neighbours():
    apart = torch.tensor([[0.0, 0, 0], [0, 0, 30], [5, 0, 0]])
    content = torch.tensor([[0.0], [1.0], [3.0]])
    assert (smooth(view(content, place=apart), length=2.0) == 0).all()
    assert (smooth(view(content, place=apart), length=2.0, frames=5.0)[[0, 2]] > 0).all()


def bars(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy patches of the sites of a field, and the brightness of their upper and lower halves: a wave, and chance."""
    rng = np.random.default_rng(seed)
    place = field(0)[0].numpy()[:, 1:] * 2 * np.pi / N_ROWS
    wave = np.sin(place + rng.uniform(0, 2 * np.pi, 2)).sum(1)
    level = np.stack((wave, rng.normal(size=len(wave))), axis=1)
    patches = rng.normal(0, 0.3, (len(level), 1, 8, 8)) + level.repeat(4, axis=1)[:, None, :, None]
    return patches.astype(np.float32), level


def train(seed: int, patches: np.ndarray, known: SiteAnnotations, *penalties: object) -> Trained:
    source = ArraySource(patches, known=known)
    return train_on(
        source,
        split_sites(len(source), share=0.1, seed=seed),
        model=ModelConfig.model_validate({"family": "VAE", "objective": {"penalties": penalties}}),
        training=TrainingConfig(epochs=20, batch_size=49),
        seed=seed,
        device=CPU,
        channels=("0",),
    )


def content(trained: Trained, patches: np.ndarray) -> np.ndarray:
    return encode_batch(trained.model, Signals.of_image(Patches(torch.from_numpy(patches))))[
        "content"
    ]


@pytest.mark.parametrize("by", ["correlation", "difference"])
def test_a_model_is_made_to_follow_a_known_variable(by):
    patches, level = bars(seed=5)
    target = (level[:, :1] + level[:, 1:]).astype(np.float32)
    target[::3] = math.nan
    known = SiteAnnotations(target=target)
    asked = {"function": "follow", "weight": 30.0, "options": {"dimension": 1, "by": by}}
    free, made = train(1, patches, known), train(1, patches, known, asked)
    unknown = slice(None, None, 3)
    right = level.sum(1)[unknown]
    r_free, r_made = (
        np.corrcoef(content(t, patches)[unknown, 1], right)[0, 1] for t in (free, made)
    )
    assert r_made > 0.9
    assert abs(r_free) < r_made
    costs = [epoch.training["penalty_follow"] for epoch in made.history]
    assert costs[-1] < 0.3 * costs[0]


def test_a_field_is_made_smoother_unseen_ones_too():
    patches, _ = bars(seed=6)
    unseen, _ = bars(seed=7)
    place, _ = field(0)
    known = SiteAnnotations(place=place.numpy())
    asked = {"function": "smooth", "weight": 30.0, "options": {"length": 2.0}}
    free, made = train(2, patches, known), train(2, patches, known, asked)
    found = (torch.from_numpy(content(t, unseen)) for t in (free, made))
    rough = [float(smooth(view(c, place=place), length=2.0).mean()) for c in found]
    assert rough[1] < 0.8 * rough[0]
    assert "penalty_smooth" in made.history[-1].held_out


def test_places_and_variables_come_in_through_the_estimator():
    patches, level = bars(seed=8)
    place = field(0)[0].numpy()
    coords = {name: ("site", place[:, k]) for k, name in enumerate(("frame", "y", "x"))}
    labelled = xr.DataArray(patches[:, 0], dims=("site", "patch_y", "patch_x"), coords=coords)
    penalties = [{"function": "smooth", "options": {"length": 2.0}}, {"function": "follow"}]
    vae = InvariantVAE(
        "VAE", objective={"penalties": penalties}, training={"epochs": 1}, device="cpu"
    )
    history = vae.fit(labelled, y=level[:, 0]).history
    assert {"penalty_smooth", "penalty_follow"} <= set(history[0].training)
    with pytest.raises(InputError, match="learns from no labels; leave y out"):
        InvariantVAE("VAE", device="cpu").fit(labelled, y=level[:, 0])


def test_a_function_of_a_user_is_found_by_name_and_sees_the_reconstruction():
    patches, _ = bars(seed=7)
    asked = {"function": "penalties_of_a_user:dark", "weight": 500.0, "options": {"level": 0.5}}
    free, made = train(3, patches, SiteAnnotations()), train(3, patches, SiteAnnotations(), asked)
    excess = []
    for trained in (free, made):
        found = evaluate(trained.model, Signals.of_image(Patches(torch.from_numpy(patches))))
        picture = trained.model.decode(found.completed).mean
        excess.append(((picture - 0.5).clamp(min=0) ** 2).mean().item())
    assert excess[1] < 0.5 * excess[0]


def test_a_saved_model_needs_no_code_of_its_penalties(tmp_path, monkeypatch):
    patches, _ = bars(seed=7)
    save(tmp_path, train(3, patches, SiteAnnotations(), {"function": "penalties_of_a_user:dark"}))
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(Path(__file__).parent)])
    sys.modules.pop("penalties_of_a_user")
    assert content(load(tmp_path), patches).shape == (len(patches), 2)
    assert "penalties_of_a_user" not in sys.modules


def test_a_picture_is_decoded_only_when_it_is_asked_for():
    (penalty,) = load_penalties([PenaltyConfig(function="penalties_of_a_user:content_squared")])
    assert penalty(view(torch.ones(3, 2))).tolist() == [2.0, 2.0, 2.0]


def test_the_same_function_twice_has_two_lines_in_the_history():
    asked = [PenaltyConfig(function="smooth", options={"length": n}) for n in (1.0, 2.0)]
    assert [penalty.name for penalty in load_penalties(asked)] == ["smooth", "smooth_2"]


@pytest.mark.parametrize("family", ["rVAE", "rtVAE", "jrVAE", "ssregVAE", "AE"])
def test_a_penalty_sees_every_latent_of_every_family(family):
    numbers = {"n_classes": 3} if family[0] == "j" else {"n_targets": 1} if "reg" in family else {}
    penalties = [{"function": "penalties_of_a_user:dark"}]
    config = ModelConfig.model_validate(
        {"family": family, **numbers, "objective": {"penalties": penalties}}
    )
    model = build(config, Geometry(1, 8, 8), seed=0)
    patches = Patches(torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    found = evaluate(
        model, Signals.of_image(patches), model.noise(5, torch.Generator().manual_seed(0))
    )
    assert set(found.completed) >= set(model.priors)
    loss = Objective.of(config).loss(found, progress=0.5)
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("penalty", "complaint"),
    [
        ({"function": "folow"}, "'folow' does not exist; choose follow, smooth"),
        ({"function": "no_such_module:f"}, "module 'no_such_module' cannot be imported"),
        ({"function": "penalties_of_a_user:nothing"}, "has no function 'nothing'"),
        ({"function": "penalties_of_a_user:NO_FUNCTION"}, "has no function 'NO_FUNCTION'"),
        (
            {"function": "penalties_of_a_user:dark", "options": {"levl": 1}},
            r"options \{'levl': 1\} do not fit \(got an unexpected keyword argument 'levl'\)",
        ),
        ({"function": "smooth"}, "missing a required argument: 'length'"),
    ],
)
def test_what_cannot_be_called_is_refused_before_training(penalty, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        load_penalties([PenaltyConfig.model_validate(penalty)])
    assert "\n" not in str(caught.value)


def test_a_function_that_gives_something_else_is_named():
    (penalty,) = load_penalties([PenaltyConfig(function="penalties_of_a_user:without_patches")])
    with pytest.raises(
        ConfigError, match=r"'without_patches' returned \(\); a tensor of shape \(3,\)"
    ):
        penalty(view(torch.ones(3, 2)))


@pytest.mark.parametrize(
    ("options", "kind", "complaint"),
    [
        ({}, InputError, "needs the target of every site"),
        ({"variable": "labels"}, ConfigError, "variable 'labels' is unknown"),
        ({"variable": "place", "column": 3}, ConfigError, "number 3 of the place, which has 3"),
        ({"variable": "place", "dimension": 2}, ConfigError, "number 2 of the content"),
        ({"variable": "place", "by": "rank"}, ConfigError, "by 'rank' is unknown"),
        ({"variable": "place", "sign": 2}, ConfigError, "sign 2 must be 1 or -1"),
    ],
)
def test_what_cannot_be_followed_is_refused(options, kind, complaint):
    with pytest.raises(kind, match=complaint):
        follow(view(torch.ones(3, 2), place=torch.zeros(3, 3)), **options)


def test_a_field_without_length_is_refused():
    with pytest.raises(ConfigError, match=r"length 0 and frames 0\.5 must be above 0"):
        smooth(view(torch.ones(3, 2), place=torch.zeros(3, 3)), length=0.0)
