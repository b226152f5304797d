"""The table of terms: every row acts in a model that can have it, and a new row is all that a new term needs."""

import numpy as np
import pytest
import torch

from invae.config import ModelConfig
from invae.errors import ConfigError
from invae.models.build import build
from invae.models.evaluation import Evaluation, evaluate
from invae.models.loss import Tally
from invae.models.objective import Objective
from invae.models.objective_terms import TERMS, Term
from invae.models.signals import Signals
from tests.invae.models.walk import SQUARE, some, strokes, train

MODELS = {
    "class_entropy": {
        "family": "jVAE",
        "n_classes": 3,
        "objective": {"class_entropy": 0.5, "classification": 0.0},
    },
    "classification": {"family": "ssVAE", "n_classes": 3},
    "regression": {"family": "ssregVAE", "n_targets": 2},
    "proposal": {"family": "rVAE", "pose_inference": "refined"},
}
"""A model for every term."""
WEIGHTS = {"class_entropy": -0.5, "classification": 1.0, "regression": 1.0, "proposal": 1.0}


def evaluated(model: dict[str, object]) -> tuple[Objective, Evaluation]:
    config = ModelConfig.model_validate(model)
    patches = Signals.of_image(some(config))
    vae = build(config, SQUARE, seed=0)
    with torch.no_grad():
        return Objective.of(config), evaluate(vae, patches, vae.noise(5, torch.Generator()))


def test_every_term_has_a_model_here():
    assert set(MODELS) == set(WEIGHTS) == set(TERMS)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_in_the_loss_with_its_weight_and_alone_if_the_model_has_no_other(name):
    objective, evaluation = evaluated(MODELS[name])
    loss = objective.weigh(evaluation, progress=1.0)
    assert set(loss.terms) & set(TERMS) == {name}
    others = float(loss.value) + float(evaluation.terms.elbo.mean())
    assert others == pytest.approx(WEIGHTS[name] * float(loss.terms[name].mean), abs=1e-3)


@pytest.mark.parametrize("name", ["classification", "regression"])
def test_a_term_of_weight_0_is_left_out(name):
    model = {**MODELS[name], "objective": {name: 0.0}}
    objective, evaluation = evaluated(model)
    assert name not in objective.weigh(evaluation, progress=1.0).terms


@pytest.mark.parametrize("name", [name for name, term in TERMS.items() if term.needs])
def test_a_weight_without_its_classes_or_target_is_refused(name):
    config = ModelConfig.model_validate({"family": "VAE", "objective": {name: 0.5}})
    with pytest.raises(ConfigError, match=f"VAE .*{TERMS[name].needs}.*objective.{name}"):
        Objective.of(config)


def test_a_new_term_is_one_row(monkeypatch):
    """It is minimised, and the history has it under its name."""

    def content_squared(evaluation: Evaluation, n_classes: tuple[int, ...]) -> Tally:
        return Tally.of(evaluation.latents["content"].square().mean(-1))

    row = Term(lambda config: 100.0, content_squared)
    config = ModelConfig.model_validate({"family": "VAE"})
    free = train(config, strokes(), epochs=8)
    monkeypatch.setitem(TERMS, "content_squared", row)  # type: ignore[arg-type]
    held = train(config, strokes(), epochs=8)
    values = [epoch.held_out["content_squared"] for epoch in held.history]
    assert "content_squared" not in free.history[-1].held_out
    assert np.isfinite(values).all()
    assert values[-1] < 0.5 * values[0]
