"""A batch in pieces: the same bits with any number of threads, the gradient of the whole batch, and one piece changes nothing."""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from invae import InvariantVAE
from invae.config import ModelConfig, ProcessConfig, TrainingConfig
from invae.models.build import build
from invae.models.objective import Objective
from invae.stages.stages import config_hash
from invae.training.batches import Batches
from invae.training.distributed import Part
from invae.training.fit import Fit, Plan
from invae.training.learner import VAELearner
from invae.training.pieces import Pieces
from invae.training.signal_sources import ArraySource
from invae.training.standardisation import set_scale

CPU = torch.device("cpu")
PATCHES = np.random.default_rng(3).normal(size=(300, 1, 12, 12)).astype(np.float32)


def learner_of(family: str, objective: Mapping[str, object] | None = None) -> VAELearner:
    settings = {"family": family, "objective": objective or {}}
    if family[0] == "j":
        settings["n_classes"] = 3
    asked = ModelConfig.model_validate(settings)
    source = ArraySource(PATCHES)
    model = build(asked, source.geometries["image"], seed=1)
    set_scale(model, source, np.arange(len(source)))
    return VAELearner(model, Objective.of(asked))


def digest_of_training(*, pieces: int, workers: int, batch: int = 256, n: int = 276) -> str:
    """SHA-256 of all weights, moments and terms of a short training."""
    learner, source = learner_of("rVAE"), ArraySource(PATCHES[:n])
    training, held_out = (Batches(source, s, batch, CPU) for s in (np.arange(20, n), np.arange(20)))
    config = TrainingConfig(pieces=pieces, batch_size=batch, epochs=3)
    plan = Plan.of(config, n_steps=len(training))
    fit = Fit(learner, training, held_out, plan=plan, seed=5, workers=workers)
    terms = [str(epoch.to_json()) for epoch in fit.epochs()]
    values = [*learner.module.state_dict().values()]
    values += [s["exp_avg"] for s in fit.optimizer.state.values()]
    whole = sha256("".join(terms).encode())
    for value in values:
        whole.update(value.numpy().tobytes())
    return whole.hexdigest()


def gradients(learner: VAELearner, *, pieces: int, workers: int = 1) -> list[torch.Tensor]:
    """Gradients of a batch of 256."""
    batch = ArraySource(PATCHES).take(np.arange(256))
    noise = learner.noise(256, torch.Generator().manual_seed(2))
    weights = list(learner.module.parameters())

    def loss_of(part: Part):
        own = {name: value[part.place] for name, value in noise.items()}
        return learner.loss(batch.take(part.place), own, progress=1.0)

    learner.module.zero_grad()
    made = Pieces(weights, most=pieces)
    with made.computed_by(workers):
        losses = made.backward(loss_of, 256, share=1.0)
    assert len(losses) == pieces
    return [w.grad.clone() for w in weights if w.grad is not None]


def test_the_number_of_threads_changes_no_bit():
    one = digest_of_training(pieces=4, workers=1)
    assert digest_of_training(pieces=4, workers=2) == one
    assert digest_of_training(pieces=4, workers=4) == one
    assert digest_of_training(pieces=2, workers=2) != one


def test_a_batch_that_is_too_small_stays_whole():
    whole = digest_of_training(pieces=1, workers=2, batch=128, n=120)
    assert digest_of_training(pieces=2, workers=2, batch=128, n=120) == whole


def test_one_piece_has_the_gradient_of_the_loss_bit_by_bit():
    learner = learner_of("rtVAE")
    batch = ArraySource(PATCHES).take(np.arange(256))
    noise = learner.noise(256, torch.Generator().manual_seed(2))
    learner.loss(batch, noise, progress=1.0).value.backward()
    expected = [w.grad.clone() for w in learner.module.parameters() if w.grad is not None]
    assert all(map(torch.equal, gradients(learner, pieces=1, workers=2), expected))


@pytest.mark.parametrize("family", ["VAE", "rtVAE", "jrVAE"])
def test_the_pieces_add_up_to_the_gradient_of_the_batch(family):
    learner = learner_of(family)
    four, one = (
        torch.cat([gradient.flatten() for gradient in gradients(learner, pieces=n, workers=2)])
        for n in (4, 1)
    )
    assert (four - one).norm() < 1e-4 * one.norm()


def test_a_capacity_is_that_of_each_piece():
    """|KL − capacity| of a piece is no mean over patches: pieces on both sides of the capacity do not cancel."""
    learner = learner_of("VAE", {"content_capacity": {"maximum": 5.0, "end": 0.5}})
    batch = ArraySource(PATCHES).take(np.arange(128))
    noise = learner.noise(128, torch.Generator().manual_seed(2))
    halves = [slice(0, 64), slice(64, 128)]

    def loss_of(part: Part):
        own = {name: value[part.place] for name, value in noise.items()}
        return learner.loss(batch.take(part.place), own, progress=1.0)

    costs = [loss_of(Part(half, 0.5)).value.item() for half in halves]
    made = Pieces(list(learner.module.parameters()), most=2)
    assert [one.value.item() for one in made.backward(loss_of, 128, share=1.0)] == costs


def test_pieces_are_in_the_key_only_if_there_are_several():
    plain = ProcessConfig()
    one = plain.model_copy(update={"training": TrainingConfig(pieces=1)})
    two = plain.model_copy(update={"training": TrainingConfig(pieces=2, batch_size=128)})
    larger = plain.model_copy(update={"training": TrainingConfig(batch_size=128)})
    assert config_hash(one) == config_hash(plain)
    assert len({config_hash(one), config_hash(two), config_hash(larger)}) == 3
    assert "pieces" not in TrainingConfig().model_dump()


def test_pieces_that_are_too_small_are_refused_with_what_fits():
    with pytest.raises(ValidationError, match=r"set batch_size=256 or pieces=2"):
        TrainingConfig(pieces=4, batch_size=130)


def test_the_estimator_trains_in_pieces():
    training = {"pieces": 2, "batch_size": 128, "epochs": 2}
    vae = InvariantVAE("rVAE", training=training, device="cpu").fit(PATCHES[:, 0])
    assert vae.encode(PATCHES[:, 0])["content"].notnull().all()
