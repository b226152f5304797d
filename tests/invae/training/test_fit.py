"""The loop: what it yields, when it stops, how it fails, and that a killed one ends like an undisturbed one."""

import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from invae.config import ModelConfig, TrainingConfig
from invae.errors import InputError, TrainingDiverged
from invae.models.build import build
from invae.models.objective import Objective
from invae.training.batches import Batches
from invae.training.checkpoint import CHECKPOINT_FILE, read_checkpoint, write_checkpoint
from invae.training.fit import Fit, GradientClip, Plan, WeightAverage
from invae.training.history import Epoch
from invae.training.learner import VAELearner
from invae.training.signal_sources import ArraySource
from invae.training.standardisation import set_scale

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def letters(draw_letters):
    return draw_letters(80, seed=2, size=(16, 16)).patches


def begin(
    patches,
    *,
    family: str = "rtVAE",
    seed: int = 0,
    held_out: int = 16,
    objective: Mapping[str, object] | None = None,
    **training,
) -> Fit:
    source = ArraySource(patches)
    asked = ModelConfig.model_validate({"family": family, "objective": objective or {}})
    model = build(asked, source.geometries["image"], seed=seed)
    sites = np.arange(len(source))
    set_scale(model, source, sites)
    n_held_out = min(held_out, len(source) - 1)
    parts = [Batches(source, s, 16, CPU) for s in (sites[n_held_out:], sites[:n_held_out])]
    config = TrainingConfig.model_validate({"epochs": 4, **training})
    plan = Plan.of(config, n_steps=len(parts[0]))
    return Fit(VAELearner(model, Objective.of(asked)), *parts, plan=plan, seed=seed)


def weights(fit: Fit) -> dict[str, torch.Tensor]:
    return fit.learner.module.state_dict()


def test_epochs_tell_every_term_on_both_sides(letters):
    epochs = list(begin(letters).epochs())
    assert [e.epoch for e in epochs] == [0, 1, 2, 3]
    terms = {"elbo", "log_likelihood", "kl_content", "kl_angle", "kl_shift"}
    for epoch in epochs:
        assert set(epoch.training) == set(epoch.held_out) == terms
        total = sum(v for k, v in epoch.held_out.items() if k.startswith("kl"))
        assert epoch.held_out["elbo"] == pytest.approx(epoch.held_out["log_likelihood"] - total)
        assert epoch.patches_per_second > 0


def test_the_rate_rises_and_falls_to_nearly_nothing(letters):
    rates = [e.learning_rate for e in begin(letters, epochs=10).epochs()]
    assert rates[-1] < 0.05 * max(rates) < max(rates) <= 3e-3
    constant = [e.learning_rate for e in begin(letters, schedule="constant").epochs()]
    assert set(constant) == {3e-3}


def test_a_small_set_gets_more_epochs_unless_they_are_counted():
    plans = [
        Plan.of(TrainingConfig(patience=10), n_steps=100),
        Plan.of(TrainingConfig(patience=10), n_steps=2),
        Plan.of(TrainingConfig(epochs=5, patience=3), n_steps=2),
    ]
    assert [(plan.n_epochs, plan.patience) for plan in plans] == [(60, 10), (750, 125), (5, 3)]


def test_validation_changes_nothing_and_repeats_itself(letters):
    fit = begin(letters)
    list(fit.epochs())
    before = {name: value.clone() for name, value in weights(fit).items()}
    moments = [s["exp_avg"].clone() for s in fit.optimizer.state.values()]
    assert fit.validate() == fit.validate()
    assert all(torch.equal(before[name], value) for name, value in weights(fit).items())
    after = [s["exp_avg"] for s in fit.optimizer.state.values()]
    assert all(map(torch.equal, moments, after))


RISING = {"content_capacity": {"maximum": 3.0, "end": 0.6}}


@pytest.mark.parametrize(
    "settings",
    [{}, {"objective": RISING}, {"averaging": 0.9}],
    ids=["plain", "rising", "averaging"],
)
@pytest.mark.parametrize("killed_after", [1, 3])
def test_a_killed_training_goes_on_to_the_same_bits(letters, tmp_path, killed_after, settings):
    undisturbed = begin(letters, **settings)
    list(undisturbed.epochs())
    killed = begin(letters, **settings)
    for epoch in killed.epochs():
        write_checkpoint(tmp_path, killed)
        if epoch.epoch + 1 == killed_after:
            break
    torch.manual_seed(123)  # what was drawn meanwhile does not matter
    resumed = begin(letters, **settings)
    assert read_checkpoint(tmp_path, resumed)
    list(resumed.epochs())
    assert resumed.history == undisturbed.history
    assert all(torch.equal(weights(undisturbed)[k], v) for k, v in weights(resumed).items())
    one, other = (f.optimizer.state_dict()["state"] for f in (undisturbed, resumed))
    assert one.keys() == other.keys()
    for index, state in one.items():
        assert all(torch.equal(state[key], other[index][key]) for key in state)


def test_without_a_checkpoint_training_begins_at_the_beginning(letters, tmp_path):
    assert not read_checkpoint(tmp_path, begin(letters))


def test_a_checkpoint_is_whole_or_not_there(letters, tmp_path):
    fit = begin(letters, epochs=1)
    list(fit.epochs())
    write_checkpoint(tmp_path, fit)
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT_FILE]


def test_the_best_epoch_is_what_remains(letters):
    fit = begin(letters, epochs=12, learning_rate=0.05, schedule="constant")
    epochs = list(fit.epochs())
    best = max(epochs, key=lambda e: e.score)
    assert best.best
    assert fit.validate()["elbo"] == pytest.approx(best.score, rel=1e-6)


def test_training_stops_when_the_score_has_stopped_rising(letters):
    fit = begin(letters, epochs=40, patience=3, learning_rate=1e-30)  # too small to move a weight
    epochs = list(fit.epochs())
    assert [e.best for e in epochs] == [True, False, False, False]
    assert list(fit.epochs()) == []


def test_the_expected_length_is_that_of_the_stop_once_the_score_has_not_risen_for_a_while(letters):
    fit = begin(letters, epochs=40, patience=6, learning_rate=1e-30)
    assert fit.n_expected() == 40
    expected = [fit.n_expected() for _ in fit.epochs()]
    assert expected == [40, 40, 7, 7, 7, 7, 7]
    assert len(fit.history) == 7


def test_no_epoch_counts_before_the_schedules_have_arrived(letters):
    """A training that cannot get better waits for its patience after the ramp, not in it."""
    fit = begin(letters, objective=RISING, epochs=10, patience=2, learning_rate=1e-30)
    epochs = list(fit.epochs())
    assert [e.epoch for e in epochs if e.best] == [5]
    assert len(epochs) == 8
    aims = [e.held_out["capacity_content"] for e in epochs]
    assert aims == pytest.approx([min(3.0, 0.5 * (e.epoch + 1)) for e in epochs])


def test_the_last_epoch_counts_even_if_a_capacity_arrives_only_there(letters):
    rising = {"content_capacity": {"maximum": 3.0, "end": 1.0}}
    fit = begin(letters, objective=rising, epochs=5, patience=1)
    epochs = list(fit.epochs())
    assert [e.epoch for e in epochs if e.best] == [4]
    assert fit.validate()["elbo"] == pytest.approx(epochs[-1].score, rel=1e-6)


def test_the_content_takes_up_what_its_capacity_allows(letters):
    held = {"content_capacity": {"maximum": 1.5, "gamma": 100.0, "end": 0.5}}
    last = list(begin(letters, objective=held, family="rVAE", epochs=40).epochs())[-1]
    assert last.training["kl_content"] == pytest.approx(1.5, abs=0.3)


def test_without_held_out_sites_epochs_are_compared_by_their_training(letters):
    epochs = list(begin(letters, held_out=0).epochs())
    assert epochs[-1].held_out == {}
    assert epochs[-1].score == epochs[-1].training["elbo"]


def test_divergence_is_named_with_its_epoch_and_a_remedy(letters):
    fit = begin(letters)
    assert isinstance(fit.learner, VAELearner)
    fit.learner.module.main.standardise.scale.fill_(math.nan)
    with pytest.raises(
        TrainingDiverged,
        match=r"elbo became nan in epoch 0; lower the learning rate \(it is 0\.003\)",
    ):
        list(fit.epochs())


@pytest.mark.parametrize("n", [1, 3])
def test_fewer_samples_than_a_batch_train(letters, n):
    fit = begin(letters[:n], held_out=0, epochs=3, family="rVAE")
    before = {name: value.clone() for name, value in weights(fit).items()}
    epochs = list(fit.epochs())
    assert all(math.isfinite(e.training["elbo"]) and e.training["elbo"] != 0 for e in epochs)
    assert any(not torch.equal(before[name], value) for name, value in weights(fit).items())


def test_a_jump_of_the_gradient_is_clipped_to_the_usual_length():
    weight = torch.nn.Parameter(torch.zeros(4))
    clip = GradientClip([weight], ratio=2.0)
    for _ in range(10):
        weight.grad = torch.ones(4)
        clip()
        assert torch.equal(weight.grad, torch.ones(4))
    weight.grad = torch.full((4,), 1000.0)
    clip()
    assert float(weight.grad.norm()) == pytest.approx(4.0)


def test_the_running_mean_forgets_the_start_and_is_the_model_only_while_it_is_in_use():
    weight = torch.nn.Parameter(torch.zeros(1))
    average = WeightAverage([weight], decay=0.5)
    expected = 0.0
    for step, decay in enumerate((0.1, 2 / 11, 3 / 12, 4 / 13)):
        weight.data.fill_(step + 1.0)
        average.update()
        expected = decay * expected + (1 - decay) * (step + 1)
    with average.in_use():
        assert weight.item() == pytest.approx(expected)
    assert weight.item() == 4.0


def test_without_a_ratio_no_gradient_is_clipped():
    weight = torch.nn.Parameter(torch.zeros(4))
    clip = GradientClip([weight], ratio=None)
    for size in (1.0, 1000.0):
        weight.grad = torch.full((4,), size)
        clip()
        assert torch.equal(weight.grad, torch.full((4,), size))


def test_brain_floats_train_too(letters):
    epochs = list(begin(letters, precision="bfloat16", epochs=3).epochs())
    assert epochs[-1].training["elbo"] > epochs[0].training["elbo"]


COMPILED = """
import numpy as np
from invae import InvariantVAE
patches = np.random.default_rng(0).normal(size=(80, 1, 16, 16))
for compiled in (False, True):
    vae = InvariantVAE("rVAE", training={"epochs": 2, "compile": compiled}, device="cpu")
    print(vae.fit(patches).history[-1].score)
"""


@pytest.mark.slow
def test_a_compiled_model_learns_the_same():
    """In its own process: shapes are checked there by nobody, and the compiler cannot see through that check."""
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILED],
        capture_output=True,
        text=True,
        check=True,
    )
    plain, compiled = map(float, answer.stdout.split())
    assert compiled == pytest.approx(plain, rel=1e-4)


@pytest.mark.gpu
def test_a_gpu_learns_the_same(letters):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    fit = begin(letters, epochs=2, precision="float32")
    gpu = torch.device("cuda")
    fit.learner.module.to(gpu)
    loaders: tuple[Any, ...] = (fit.training, fit.held_out)
    parts = [Batches(b.source, b.sites, 16, gpu) for b in loaders]
    fit = Fit(fit.learner, *parts, plan=fit.plan, seed=0)
    epochs = list(fit.epochs())
    assert epochs[-1].training["elbo"] > epochs[0].training["elbo"]


def test_epochs_survive_json_without_their_times(letters):
    epoch = next(begin(letters, epochs=1).epochs())
    assert Epoch(**epoch.to_json()) == epoch
    assert not {"seconds", "patches_per_second"} & set(epoch.to_json())


def test_scales_are_robust_and_known_to_the_model(letters):
    patches = 50 * letters + 7
    patches[0, 0, 0, 0] = 1e6  # a spark
    source = ArraySource(patches)
    model = build(ModelConfig(family="rVAE"), source.geometries["image"], seed=0)
    set_scale(model, source, np.arange(len(source)))
    calm = 50 * letters + 7
    assert model.main.standardise.scale.item() == pytest.approx(calm.std(), rel=0.1)
    assert model.main.standardise.offset.item() == pytest.approx(
        calm.mean(), abs=0.1 * float(calm.std())
    )


def test_patches_that_are_all_the_same_teach_nothing():
    with pytest.raises(InputError, match=r"all patches are constant \(3\)"):
        begin(np.full((20, 1, 16, 16), 3.0))
