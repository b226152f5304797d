"""Peaks on an axis: position and width from the latent variables of a shift-VAE."""

from typing import Any

import numpy as np

from benchmarks import scores
from benchmarks.trial import Goal, Scores, Trial, shortened, train
from invae.config.synthetic import ShiftsConfig
from invae.synthetic import shifts

UNSEEN = 10_000


def recovered(trial: Trial, seed: int, quick: bool) -> Scores:
    """R² of position and width on unseen signals."""
    config = ShiftsConfig.model_validate(trial.settings["signals"])
    config = config.model_copy(update={"n_signals": 500}) if quick else config
    seen = shifts.draw(config, seed=seed)
    model = shortened(trial.settings["model"], quick=quick)
    training = train(model, seen["image"].to_numpy(), seed=seed)
    unseen = shifts.draw(config, seed=UNSEEN + seed)
    latents = training.model.encode(unseen["image"].to_numpy())
    shift = latents["shift"].to_numpy()[:, 1:]
    content = latents["content"].to_numpy()
    position, width = unseen["position"].to_numpy(), unseen["width"].to_numpy()
    powers = np.concatenate([content**power for power in (1, 2, 3)], axis=1)
    return {
        "r2_position": scores.linear_r2(shift, position),
        "r2_width": scores.linear_r2(content, width),
        "r2_width_cubic": scores.linear_r2(powers, width),
    } | training.cost


MODEL: dict[str, Any] = {
    "family": "tVAE",
    "latent_dim": 2,
    "translation": {"prior_sd": 0.2},
    "training": {"epochs": 40, "batch_size": 100, "patience": 100},
}
TRIALS = (
    Trial(
        name="shifts-tvae",
        words="shift-VAE (tVAE), 5,000 signals of 100 points, noise sd 0.001–0.1",
        run=recovered,
        settings={"signals": {}, "model": MODEL},
        goals=(
            Goal("r2_position", "R² of the position, linear in the shift alone", "–", 0.99),
            Goal("r2_width", "R² of the width, linear in the content", "–", 0.95),
            Goal("r2_width_cubic", "R² of the width, cubic in the content"),
        ),
    ),
)
