"""The shifted peaks of SCIENCE 3: the true values are recovered on unseen signals."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from invae.config import ModelConfig, TrainingConfig
from invae.config.synthetic import ShiftsConfig
from invae.models.batch import Patches
from invae.models.encoding import encode_batch
from invae.models.signals import Signals
from invae.synthetic import shifts
from invae.training.signal_sources import ArraySource
from invae.training.split import split_sites
from invae.training.train import train_on


def signals(n: int, *, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Patches one pixel high, and the truth about them."""
    drawn = shifts.draw(ShiftsConfig(n_signals=n), seed=seed)
    truth = {name: drawn[name].to_numpy() for name in ("position", "width")}
    return drawn["image"].to_numpy()[:, None].astype(np.float32), truth


def explained(known: np.ndarray, wanted: np.ndarray) -> float:
    """Share of the variance that a linear map explains, judged on the second half."""
    half = len(known) // 2
    fitted = LinearRegression().fit(known[:half], wanted[:half])
    return float(fitted.score(known[half:], wanted[half:]))


def scores(n: int, *, epochs: int, seed: int) -> dict[str, float]:
    """Scores, on 1,000 other signals, of a model trained on `n` signals."""
    source = ArraySource(signals(n, seed=seed)[0])
    trained = train_on(
        source,
        split_sites(n, share=0.1, seed=seed),
        model=ModelConfig.model_validate({"family": "tVAE", "pose_inference": "exact"}),
        training=TrainingConfig.model_validate({"epochs": epochs, "batch_size": 50}),
        seed=seed,
        device=torch.device("cpu"),
        channels=("signal",),
    )
    patches, truth = signals(1000, seed=seed + 1000)
    latents = encode_batch(trained.model, Signals.of_image(Patches(torch.from_numpy(patches))))
    return {
        "position": explained(latents["shift"][:, 1:], truth["position"]),
        "width": explained(latents["content"], truth["width"]),
        "leak": explained(latents["content"], truth["position"]),
    }


def test_places_of_peaks_are_found_after_little_training():
    result = scores(1000, epochs=10, seed=3)
    assert result["position"] > 0.97
    assert result["width"] > 0.85
    assert result["leak"] < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_places_and_widths_of_peaks_are_recovered(seed):
    result = scores(5000, epochs=30, seed=seed)
    assert result["position"] > 0.99
    assert result["width"] > 0.95
    assert result["leak"] < 0.02
