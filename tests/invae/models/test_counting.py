"""Few electrons: rates that range over two decades, recovered from the counts."""

import numpy as np
import pytest
import torch

from invae.config import ModelConfig, TrainingConfig
from invae.errors import InputError
from invae.models.batch import Patches
from invae.models.evaluation import evaluate
from invae.models.likelihoods import limits_of
from invae.models.signals import Signals
from invae.training.signal_sources import ArraySource
from invae.training.split import split_sites
from invae.training.train import train_on

SIZE = (16, 16)


def test_rates_and_angles_are_found_behind_few_counts(draw_letters):
    letters = draw_letters(500, seed=5, size=SIZE, noise=0.0)
    rate = 0.1 * np.exp(4.6 * letters.patches)
    counts = np.random.default_rng(6).poisson(rate).astype(np.float32)
    model = ModelConfig.model_validate(
        {"family": "rVAE", "likelihood": {"kind": "poisson"}, "pose_inference": "exact"}
    )
    source = ArraySource(counts, limits=limits_of(model.likelihood))
    trained = train_on(
        source,
        split_sites(len(source), share=0.1, seed=0),
        model=model,
        training=TrainingConfig.model_validate(
            {"epochs": 20, "batch_size": 25, "learning_rate": 3e-3}
        ),
        seed=0,
        device=torch.device("cpu"),
        channels=("electrons",),
    ).model
    with torch.no_grad():
        evaluation = evaluate(trained, Signals.of_image(Patches(torch.from_numpy(counts))))
        picture = trained.decode(evaluation.completed)
    inside = picture.support.unsqueeze(1).numpy() == 1
    wrong, noisy = (
        np.mean((np.sqrt(values) - np.sqrt(rate))[inside] ** 2)
        for values in (picture.mean.numpy(), counts)
    )
    assert wrong < 0.4 * noisy
    offset = evaluation.completed["angle"].squeeze(-1).numpy() - letters.angle
    assert abs(np.exp(1j * offset).mean()) > 0.9


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [(2.5, "such as 2.5 are no counts, a Poisson"), (-3.0, "span -3 to .*, a Poisson")],
)
def test_what_cannot_be_counted_is_refused(broken, complaint):
    counts = np.ones((4, 1, 8, 8), np.float32)
    counts[2, 0, 1, 1] = broken
    limits = limits_of(ModelConfig.model_validate({"likelihood": {"kind": "poisson"}}).likelihood)
    with pytest.raises(InputError, match=complaint):
        ArraySource(counts, limits=limits)
    ArraySource(counts, counts == 1, limits=limits)
