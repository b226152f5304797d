"""One process of a training that several share; writes what it ended with."""

import json
import sys

import numpy as np
import torch

from invae.config import ModelConfig, TrainingConfig
from invae.training import processes
from invae.training.batches import ArraySource
from invae.training.fit import Epoch
from invae.training.saved import Trained
from invae.training.split import Split
from invae.training.train import train_on

CPU = torch.device("cpu")
N_SITES, N_HELD_OUT = 83, 17
MODELS = {
    "rVAE": {"family": "rVAE", "latent_dim": 2, "pose_inference": "exact"},
    "jVAE": {"family": "jVAE", "latent_dim": 2, "n_classes": [2]},
}


def patches() -> np.ndarray:
    """Bright spots at chance places."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:12, :12]
    centres = rng.uniform(3, 9, size=(N_SITES, 2, 1, 1))
    spots = np.exp(-((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2) / 4)
    return (spots + 0.05 * rng.normal(size=spots.shape))[:, None].astype("f4")


def trained(family: str, team: processes.Team = processes.ALONE) -> Trained:
    """A short training, with batches that do not divide by the number of processes."""
    sites = np.arange(N_SITES)
    return train_on(
        ArraySource(patches()),
        Split(sites[N_HELD_OUT:], sites[:N_HELD_OUT]),
        model=ModelConfig.model_validate(MODELS[family]),
        training=TrainingConfig(epochs=4, batch_size=16, class_start="fresh"),
        seed=3,
        device=CPU,
        channels=("t",),
        team=team,
    )


def told(epochs: list[Epoch]) -> list[dict[str, object]]:
    """The history as JSON values."""
    return [epoch.to_json() for epoch in epochs]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with processes.team(CPU) as found:
        ended = trained(sys.argv[1], found)
    total = sum(float(v.double().abs().sum()) for v in ended.model.state_dict().values())
    print(json.dumps({"history": told(ended.history), "weights": total}))
