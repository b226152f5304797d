"""One process of a training that several share; writes what it ended with.

Words: the family, and what happens to the last process in the middle of the second epoch, if anything.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from invae.config import ModelConfig, TrainingConfig
from invae.errors import WorkerLost
from invae.training import distributed
from invae.training.history import Epoch
from invae.training.model_folder import Trained
from invae.training.signal_sources import ArraySource
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


def trained(family: str, team: distributed.Team = distributed.ALONE) -> Trained:
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


def told(epochs: Sequence[Epoch]) -> list[dict[str, Any]]:
    """The history as JSON values."""
    return [epoch.to_json() for epoch in epochs]


def out_of_memory() -> None:
    """What PyTorch does when there is no memory left."""
    raise torch.OutOfMemoryError("out of memory")


def out_of_order() -> None:
    """Anything else."""
    raise ValueError("a number is no word")


def killed() -> None:
    """Nothing gets to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS = {fault.__name__: fault for fault in (out_of_memory, out_of_order, killed)}
STEP = 7
"""The first one of the second epoch is the sixth."""


@dataclass
class Failing(TorchFunctionMode):
    """A machine on which something happens when a loss is followed back."""

    fault: Callable[[], None]
    steps: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.steps += func is torch.Tensor.backward
        if self.steps == STEP:
            self.fault()
        return func(*args, **(kwargs or {}))


def ended(family: str, fault: Callable[[], None] | None) -> dict[str, object]:
    """What the training ended with: its history and weights, or an error."""
    try:
        with distributed.team(CPU) as team:
            last = team.rank == team.size - 1
            with Failing(fault) if fault and last else nullcontext():
                made = trained(family, team)
    except (torch.OutOfMemoryError, WorkerLost, ValueError) as error:
        return {"error": type(error).__name__, "said": str(error)}
    total = sum(float(v.double().abs().sum()) for v in made.model.state_dict().values())
    return {"history": told(made.history), "weights": total}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(ended(sys.argv[1], FAULTS[sys.argv[2]] if len(sys.argv) > 2 else None)))
