"""The objective: each term has the value of its formula, acts where it should, and nowhere else."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from invae.config import ModelConfig
from invae.errors import ConfigError
from invae.models.batch import Annotations, Geometry, Patches
from invae.models.build import build
from invae.models.evaluation import Evaluation, Terms, evaluate
from invae.models.latents import Categorical, Normal, PartlyKnown
from invae.models.objective import Objective
from invae.models.objective_terms import class_entropy, cross_entropy, surprise
from invae.models.signals import Signals

N = 6


def model_config(family: str = "rVAE", **values: object) -> ModelConfig:
    return ModelConfig.model_validate({"family": family, **values})


def objective(family: str = "rVAE", *, beta: float = 1.0, **values: object) -> Objective:
    n_classes = {"n_classes": 4} if family[0] in "js" else {}
    return Objective.of(model_config(family, beta=beta, objective=values, **n_classes))


def evaluation_of(**values: object) -> Evaluation:
    """A batch with chosen divergences of the content and of the class [nats per patch]."""
    kl = {name: torch.full((N,), float(value)) for name, value in values.items()}  # type: ignore[arg-type]
    patches = Patches(torch.zeros(N, 1, 8, 8))
    model = build(model_config(), Geometry(1, 8, 8), seed=0)
    return Evaluation(
        Terms(torch.full((N,), -10.0), kl), {}, {}, Signals.of_image(patches), model.decode
    )


def cost(asked: Objective, progress: float, **kl: float) -> float:
    return float(asked.loss(evaluation_of(**kl), progress=progress))


def test_as_it_stands_the_loss_is_minus_the_elbo():
    evaluation = evaluation_of(content=2.0, angle=1.0)
    assert float(Objective().loss(evaluation, progress=0.3)) == pytest.approx(13.0)
    assert float(evaluation.terms.elbo.mean()) == pytest.approx(-13.0)


def test_beta_weighs_the_content_alone_and_its_schedule_counts_shares():
    asked = objective(beta=4.0, beta_schedule={"kind": "linear", "until": 0.5})
    costs = [cost(asked, share, content=2.0, angle=1.0) for share in (0.0, 0.25, 0.5, 1.0)]
    assert costs == pytest.approx([11.0, 15.0, 19.0, 19.0])


@pytest.mark.parametrize("latent", ["content", "class"])
def test_a_capacity_costs_its_distance_whatever_the_side(latent):
    capacity: dict[str, Any] = {f"{latent}_capacity": {"maximum": 1.2, "gamma": 5.0, "end": 0.5}}
    asked = objective("jVAE", **capacity)
    costs = [cost(asked, 1.0, **{latent: kl}) for kl in (0.2, 1.2, 2.2)]
    assert costs == pytest.approx([15.0, 10.0, 15.0])
    assert cost(asked, 0.25, **{latent: 0.6}) == pytest.approx(10.0)


def test_a_capacity_holds_the_mean_over_the_batch_and_not_every_patch():
    asked = objective(content_capacity={"maximum": 2.0})
    evaluation = evaluation_of(content=2.0)
    spread = Terms(
        evaluation.terms.log_likelihood, {"content": torch.tensor([0.0, 4.0] * (N // 2))}
    )
    uneven = Evaluation(spread, {}, {}, evaluation.batch, evaluation.decode)
    assert asked.loss(uneven, progress=1.0) == asked.loss(evaluation, progress=1.0)


def test_equal_classes_have_the_largest_entropy():
    equal = torch.full((N, 4), -math.log(4))
    one = torch.log_softmax(torch.tensor([[30.0, 0, 0, 0]] * N), dim=-1)
    each = torch.log_softmax(40.0 * torch.eye(4).repeat(2, 1), dim=-1)
    entropies = [float(class_entropy(p).mean) for p in (equal, one, each)]
    assert entropies == pytest.approx([math.log(4), 0, math.log(4)], abs=1e-5)


def test_a_dying_class_is_called_back():
    weights = torch.tensor([[3.0, 0.0, 0.0]] * N, requires_grad=True)
    (-class_entropy(torch.log_softmax(weights, dim=-1)).mean).backward()
    assert weights.grad is not None
    assert (weights.grad[:, 0] > 0).all()
    assert (weights.grad[:, 1:] < 0).all()


def test_only_labelled_patches_have_a_cross_entropy():
    log_prob = torch.log(torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]))
    tally = cross_entropy(log_prob, torch.tensor([0, -1, 1]))
    assert float(tally.mean) == pytest.approx(-(math.log(0.9) + math.log(0.8)) / 2)
    assert int(tally.count) == 2
    assert float(cross_entropy(log_prob, torch.full((3,), -1)).mean) == 0


def test_only_known_targets_have_a_surprise():
    known = torch.tensor([[1.5], [math.nan], [0.0]])
    posterior = Normal(torch.ones(3, 1), torch.log(torch.full((3, 1), 0.5)))
    density = torch.distributions.Normal(1.0, 0.5)
    expected = -float(density.log_prob(torch.tensor(1.5)) + density.log_prob(torch.tensor(0.0))) / 2
    assert float(surprise(PartlyKnown(posterior, known)).mean) == pytest.approx(expected)


def test_labels_are_of_the_first_discrete_latent():
    """Four joint states of 2 × 2 classes, the last latent fastest: label 1 is the third and the fourth."""
    joint = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    known = Annotations(labels=torch.tensor([1]))
    evaluation = Evaluation(
        Terms(torch.zeros(1), {}),
        {},
        {"class": Categorical(joint, joint)},
        Signals.of_image(Patches(torch.zeros(1, 1, 8, 8), known=known)),
        evaluation_of().decode,
    )
    asked = Objective.of(model_config("jVAE", n_classes=(2, 2)))
    assert float(asked.loss(evaluation, progress=0.0)) == pytest.approx(-math.log(0.7))


@pytest.mark.parametrize("inference", ["exact", "gumbel"])
def test_labels_teach_the_classes_of_a_model(inference):
    config = model_config(
        "ssVAE", n_classes=3, class_inference=inference, objective={"classification": 50.0}
    )
    model = build(config, Geometry(1, 8, 8), seed=0)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (24,), generator=generator)
    values = torch.rand(24, 1, 8, 8, generator=generator) * 0.3
    values[torch.arange(24), 0, 2 * labels] += 1  # a bright line whose place is the class
    patches = Patches(values, known=Annotations(labels=labels))
    optimizer, asked = torch.optim.Adam(model.parameters(), lr=3e-3), Objective.of(config)
    for _ in range(60):
        evaluation = evaluate(model, Signals.of_image(patches), model.noise(24, generator))
        loss = asked.loss(evaluation, progress=1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    posterior = evaluate(model, Signals.of_image(Patches(values))).class_log_probability
    assert posterior is not None
    assert torch.equal(posterior.argmax(-1), labels)


def test_the_history_names_what_is_there_and_nothing_else():
    plain = Objective().weigh(evaluation_of(content=1.0, angle=1.0), progress=0.5).terms
    assert set(plain) == {"elbo", "log_likelihood", "kl_content", "kl_angle"}
    asked = objective(
        "jVAE", class_capacity={"maximum": 1.0, "end": 1.0}, beta_schedule={"kind": "linear"}
    )
    terms = asked.weigh(evaluation_of(content=1.0), progress=0.25).terms
    assert float(terms["beta"].mean) == pytest.approx(0.5)
    assert float(terms["capacity_class"].mean) == pytest.approx(0.25)


def test_everything_has_arrived_when_the_last_of_it_has():
    assert Objective().settled_from == 0
    asked = objective(
        "jVAE", class_capacity={"maximum": 1.0, "end": 0.8}, beta_schedule={"kind": "linear"}
    )
    assert asked.settled_from == pytest.approx(0.8)


def test_the_loss_keeps_nothing_from_call_to_call():
    asked = objective(beta_schedule={"kind": "linear"})
    early = cost(asked, 0.1, content=3.0)
    cost(asked, 1.0, content=3.0)
    assert cost(asked, 0.1, content=3.0) == early


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (
            {"family": "jVAE", "n_classes": 4, "objective": {"class_capacity": {"maximum": 2}}},
            r"class_capacity.maximum 2 .*1\.3863 nats.*n_classes \(4,\)",
        ),
        (
            {"family": "VAE", "beta": 3, "objective": {"content_capacity": {"maximum": 2}}},
            "beta 3 .*content_capacity",
        ),
        (
            {
                "family": "VAE",
                "objective": {
                    "content_capacity": {"maximum": 2},
                    "beta_schedule": {"kind": "cyclic"},
                },
            },
            "beta_schedule 'cyclic' .*content_capacity",
        ),
        ({"family": "VAE", "objective": {"class_entropi": 1}}, "class_entropi"),
        ({"objective": {"penalties": [{"function": "a b"}]}}, "should match pattern"),
    ],
)
def test_contradictions_are_refused_with_the_configuration(model, complaint):
    with pytest.raises(ValidationError, match=complaint):
        ModelConfig.model_validate(model)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"class_entropy": 1.0}, "VAE has no classes: leave objective.class_entropy out"),
        ({"class_capacity": {"maximum": 1.0}}, "leave objective.class_capacity out"),
        ({"classification": 2.0}, "leave objective.classification out"),
        ({"regression": 2.0}, "VAE has no target: leave objective.regression out"),
    ],
)
def test_a_weight_that_acts_on_nothing_is_refused(asked, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Objective.of(model_config("VAE", objective=asked))


def test_a_capacity_is_checked_again_when_the_labels_have_told_how_many_classes_there_are():
    config = model_config("ssVAE", objective={"class_capacity": {"maximum": 1.0}})
    with pytest.raises(ConfigError, match=r"0\.6931 nats that n_classes \(2,\)"):
        Objective.of(config.model_copy(update={"n_classes": (2,)}))
