"""Refined poses: found for every patch by a search, from angles that a small network proposes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from invae.config import ModelConfig, TrainingConfig
from invae.errors import ConfigError
from invae.models.batch import Geometry, Patches
from invae.models.build import build
from invae.models.encoding import encode_batch
from invae.models.evaluation import evaluate
from invae.models.geometry.circle import CirclePrior
from invae.models.geometry.pose import POSES, pixel_grid, pull_back
from invae.models.latents import NormalPrior
from invae.models.likelihoods import Bernoulli, Gaussian, Noise
from invae.models.objective import Objective
from invae.models.pose_search.estimate import AngleEstimate, PoseEstimate, cost
from invae.models.pose_search.gauss_newton import GaussNewton
from invae.models.pose_search.posed_image import Frame, affine
from invae.models.pose_search.search import Trials
from invae.models.signals import Signals
from invae.models.vae import VAE
from invae.training.signal_sources import ArraySource
from invae.training.split import Split
from invae.training.train import train_on

SIDE = 24
SHAPE = Geometry(1, SIDE, SIDE)
PRIORS = {
    "shift": NormalPrior(0.1),
    "angle": CirclePrior(),
    "scale": NormalPrior(0.2),
    "shear": NormalPrior(0.2),
}
POSE = {"shift": [0.1, -0.06], "angle": [0.12], "scale": [0.08], "shear": [-0.09]}


def drawn(coords: torch.Tensor) -> torch.Tensor:
    """A smooth shape without any symmetry at points (y, x): a hook of three blobs."""
    blobs = ((-0.45, -0.1, 0.22), (0.2, -0.15, 0.3), (0.35, 0.35, 0.2))
    return sum(
        (
            torch.exp(-((coords - torch.tensor([y, x])) ** 2).sum(-1) / (2 * sd**2))
            for y, x, sd in blobs
        ),
        torch.zeros(()),
    )


def hooks(poses: dict[str, torch.Tensor], geometry: Geometry = SHAPE) -> torch.Tensor:
    """The shape in a pose, as patches."""
    n = len(next(iter(poses.values())))
    coords = pixel_grid(geometry).expand(n, -1, -1)
    maps = {name: POSES[name] for name in POSES if name in poses}
    values = drawn(pull_back(coords, maps, poses))
    values = values.view(n, 1, geometry.height, geometry.width)
    signs = torch.tensor([1.0, -0.7, 0.4])[: geometry.n_channels]
    return values * signs.view(1, -1, 1, 1)


def row(pose: dict[str, list[float]]) -> torch.Tensor:
    return torch.tensor(
        [[v for name in PRIORS for v in pose.get(name, [0.0] * (1 + (name == "shift")))]]
    )


def refined_pose(noise: Noise, patches: Patches, geometry: Geometry, *, steps: int) -> torch.Tensor:
    """The pose after Gauss-Newton steps from rest, for the true image."""
    gauss_newton = GaussNewton(PRIORS, Frame(geometry))
    image = hooks({"angle": torch.zeros(len(patches), 1)}, geometry)
    pose = torch.zeros(len(patches), 5)
    for _ in range(steps):
        upright = gauss_newton.frame.undone(patches, gauss_newton.pull(pose))
        pose = pose + gauss_newton.step(upright, image, noise, pose)[0]
    return pose


@pytest.mark.parametrize(
    "geometry", [SHAPE, Geometry(3, 20, 28)], ids=["square", "channels, not square"]
)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("name", POSE)
def test_steps_lead_to_the_known_pose(name, masked, geometry):
    poses = {name: torch.tensor([POSE[name]])}
    values = hooks(poses, geometry)
    valid = torch.rand(values.shape, generator=torch.Generator().manual_seed(1)) > 0.15
    patches = Patches(values * valid, valid) if masked else Patches(values)
    noise = Gaussian(geometry.n_channels, sd=0.02)
    pose = refined_pose(noise, patches, geometry, steps=8)
    torch.testing.assert_close(
        pose, row({name: POSE[name]}), atol=0.03 if masked else 0.015, rtol=0
    )


def test_steps_lead_to_four_poses_at_once():
    values = hooks({name: torch.tensor([value]) for name, value in POSE.items()})
    pose = refined_pose(Gaussian(1, sd=0.02), Patches(values), SHAPE, steps=12)
    torch.testing.assert_close(pose, row(POSE), atol=0.02, rtol=0)


def test_steps_climb_the_likelihood_of_counts_and_probabilities_too():
    geometry, angle = SHAPE, torch.tensor([[0.2]])
    noise = Bernoulli(1)
    values = noise.mean(hooks({"angle": angle}))
    pose = refined_pose(noise, Patches(values), geometry, steps=10)
    # The priors of the other poses hold; the angle has none.
    assert float(pose[0, 2]) == pytest.approx(0.2, abs=0.03)


def test_a_pose_undone_gives_the_upright_patch_back():
    poses = {name: torch.tensor([value]) for name, value in POSE.items()}
    maps = dict(POSES)
    upright = Frame(SHAPE).undone(Patches(hooks(poses)), affine(maps, poses))
    expected = hooks({"angle": torch.zeros(1, 1)})
    assert float((upright.values - expected)[..., 4:-4, 4:-4].abs().max()) < 0.03


def test_a_map_and_its_inverse_cancel():
    pull = affine(dict(POSES), {name: torch.tensor([value]) for name, value in POSE.items()})
    points = pixel_grid(SHAPE)
    there = Frame(SHAPE).mapped(pull)
    back = there.flatten(1, 2) @ pull.inverse.matrix.mT + pull.inverse.offset.unsqueeze(1)
    torch.testing.assert_close(back[0], points, atol=1e-5, rtol=0)
    assert float(pull.area * pull.inverse.area) == pytest.approx(1, abs=1e-5)


def test_the_best_restart_is_each_images_own():
    """Peers take the restart that is best for the batch as a whole."""
    elbo = torch.tensor([1.0, 5.0, 0.0, 9.0, 2.0, 3.0])  # three patches, two restarts each
    pose = torch.arange(6.0).unsqueeze(-1)
    blank = Patches(torch.zeros(6, 1, 2, 2))
    trials = Trials(pose, elbo, {}, blank, blank.values, pose)
    assert trials.best(1, of=2).pose.flatten().tolist() == [1, 3, 5]
    other = replace(trials, pose=pose + 10, elbo=elbo.flip(0))
    better, where = trials.improved(other)
    assert where.tolist() == [True, False, True, False, True, False]
    assert better.pose.flatten().tolist() == [10, 1, 12, 3, 14, 5]


def test_an_estimated_pose_costs_its_log_prior_density():
    value = torch.tensor([[0.0], [0.3]])
    assert cost(value, CirclePrior()).tolist() == [0, 0]
    assert cost(value, NormalPrior(0.1)).tolist() == pytest.approx([0, 4.5])
    assert cost(value, CirclePrior(0.1)).tolist() == pytest.approx([0, 4.5], abs=1e-4)
    assert PoseEstimate(value, value).kl(NormalPrior(0.3)).tolist() == pytest.approx([0, 0.5])


def test_angles_beyond_half_a_turn_are_not_folded():
    value = torch.tensor([[math.radians(200)], [math.radians(-170)]])
    angle = AngleEstimate(value, value, resultant=torch.ones(2)).angle
    assert torch.rad2deg(angle).tolist() == pytest.approx([-160, -170], abs=1e-3)


def batch(n: int, *, seed: int, largest: float = math.pi) -> tuple[torch.Tensor, torch.Tensor]:
    """Hooks at random angles with a little noise, and the angles."""
    generator = torch.Generator().manual_seed(seed)
    angle = (2 * torch.rand(n, 1, generator=generator) - 1) * largest
    values = hooks({"angle": angle})
    return values + 0.03 * torch.randn(values.shape, generator=generator), angle


def trained(config: dict[str, object], values: torch.Tensor, *, epochs: int, seed: int = 0) -> VAE:
    return train_on(
        ArraySource(values.numpy()),
        Split(np.arange(len(values)), np.arange(0)),
        model=ModelConfig.model_validate(config),
        training=TrainingConfig(epochs=epochs, batch_size=50, learning_rate=3e-3),
        seed=seed,
        device=torch.device("cpu"),
        channels=("0",),
    ).model


TURNING = {"family": "AVAE", "poses": ("rotation",), "encoder": {"kind": "dense", "hidden": (32,)}}


@pytest.fixture(scope="module")
def upright() -> VAE:
    """A model trained on upright hooks only."""
    config = {**TURNING, "search": {"training": False}}
    return trained(config, batch(400, seed=5, largest=0.05)[0], epochs=20)


@pytest.fixture(scope="module")
def turning() -> VAE:
    """A model trained with the search on turned hooks only."""
    return trained(TURNING, batch(600, seed=6)[0], epochs=25)


def test_what_was_learned_upright_is_found_at_any_angle(upright):
    values, angle = batch(200, seed=7)
    latents = encode_batch(upright, Signals.of_image(Patches(values)))
    offset = np.angle(np.exp(1j * (latents["angle"] - angle.numpy()[:, 0])))
    assert np.abs(offset).max() < 0.15
    assert np.abs(latents["angle"]).max() > 3


def test_a_model_trained_on_turned_patches_settles_for_one_upright(turning):
    values, angle = batch(200, seed=8)
    latents = encode_batch(turning, Signals.of_image(Patches(values)))
    offset = np.exp(1j * (latents["angle"] - angle.numpy()[:, 0]))
    assert np.abs(offset.mean()) > 0.98


def test_refined_poses_explain_no_less_than_proposed_ones(upright):
    values, _ = batch(100, seed=9)
    patches = Patches(values)
    with torch.no_grad():
        refined = evaluate(upright, Signals.of_image(patches))
        standardised = upright.main.standardise(patches)
        search = upright.main.search
        assert search is not None
        angle = search.proposer(standardised).angle.modes(1)[0]
        pull = search.gauss_newton.pull(angle)
        inference = upright.main.recogniser(
            search.gauss_newton.frame.undone(standardised, pull), None
        )
        amortised = upright.evidence(
            {**inference.latents, "angle": angle}, Signals.of_image(patches)
        ).log_likelihood
        amortised = amortised - inference.posterior["content"].kl(NormalPrior())
    assert (refined.terms.elbo >= amortised - 1e-2).all()


def test_more_tries_and_steps_explain_no_less(upright):
    patches = Patches(batch(60, seed=10)[0])
    search = upright.main.search
    assert search is not None
    few = search.config
    with torch.no_grad():
        before = evaluate(upright, Signals.of_image(patches)).terms.elbo
        search.config = few.model_copy(update={"scanned": 4, "restarts": 4, "steps": 3})
        after = evaluate(upright, Signals.of_image(patches)).terms.elbo
        search.config = few
    assert (after >= before - 1e-2).all()


def test_a_patch_is_found_alike_alone_and_in_a_batch(upright):
    values, _ = batch(10, seed=11)
    together = encode_batch(upright, Signals.of_image(Patches(values)))["angle"]
    alone = np.concatenate(
        [encode_batch(upright, Signals.of_image(Patches(v[None])))["angle"] for v in values]
    )
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_evaluating_is_pure_with_or_without_gradients(upright):
    patches = Patches(batch(10, seed=12)[0])
    weights = {name: value.clone() for name, value in upright.state_dict().items()}
    torch.manual_seed(0)
    first = evaluate(upright, Signals.of_image(patches))
    torch.manual_seed(1)
    with torch.no_grad():
        again = evaluate(upright, Signals.of_image(patches))
    assert all(torch.equal(weights[name], value) for name, value in upright.state_dict().items())
    torch.testing.assert_close(first.terms.elbo.detach(), again.terms.elbo)
    assert torch.equal(first.latents["angle"], again.latents["angle"])


def test_no_gradient_goes_through_the_search(turning):
    patches = Patches(batch(6, seed=13)[0])
    noise = turning.noise(6, torch.Generator().manual_seed(0))
    evaluation = evaluate(turning, Signals.of_image(patches), noise)
    assert not evaluation.latents["angle"].requires_grad
    assert turning.main.search is not None
    weights = list(turning.main.search.proposer.parameters())
    gradients = torch.autograd.grad(
        -evaluation.terms.elbo.mean(), weights, allow_unused=True, retain_graph=True
    )
    assert all(gradient is None for gradient in gradients)
    Objective().loss(evaluation, progress=1.0).backward()
    assert all(weight.grad is not None for weight in weights)


@pytest.mark.parametrize(
    ("config", "geometry"),
    [
        ({"family": "AVAE"}, Geometry(3, 9, 14)),
        ({"family": "jrtVAE", "n_classes": 3, "pose_inference": "refined"}, Geometry(1, 12, 12)),
        ({"family": "tVAE", "pose_inference": "refined"}, Geometry(1, 1, 20)),
        ({"family": "rVAE", "pose_inference": "refined", "decoder": {"kind": "polar"}}, SHAPE),
        ({"family": "crVAE", "n_conditions": 2, "pose_inference": "refined"}, SHAPE),
        ({"family": "ssregrVAE", "n_targets": 1, "pose_inference": "refined"}, SHAPE),
    ],
)
def test_one_masked_patch_of_any_shape_will_do(config, geometry):
    model = build(ModelConfig.model_validate(config), geometry, seed=0)
    generator = torch.Generator().manual_seed(0)
    shape = (1, geometry.n_channels, geometry.height, geometry.width)
    values, valid = (torch.rand(shape, generator=generator) for _ in range(2))
    patches = Patches(values, valid > 0.2)
    if model.standardise_condition.offset.numel():
        patches = replace(patches, known=replace(patches.known, condition=torch.zeros(1, 2)))
    evaluation = evaluate(model, Signals.of_image(patches), model.noise(1, generator))
    Objective().loss(evaluation, progress=1.0).backward()
    assert evaluation.terms.elbo.isfinite().all()
    assert all(
        np.isfinite(value).all()
        for value in encode_batch(model, Signals.of_image(patches)).values()
    )


def test_without_a_pose_there_is_nothing_to_search_for():
    with pytest.raises(ConfigError, match="VAE has no pose to infer; leave pose_inference out"):
        build(
            ModelConfig.model_validate({"family": "VAE", "pose_inference": "refined"}),
            SHAPE,
            seed=0,
        )


def test_a_search_tries_at_least_one_pose():
    with pytest.raises(ValueError, match="scanned"):
        ModelConfig.model_validate({"family": "AVAE", "search": {"scanned": 0}})
